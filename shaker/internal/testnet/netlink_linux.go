package testnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attribute is one of a rtnetlink(7) or nfnetlink message.
type attribute struct {
	kind  uint16
	value []byte
}

// nested is an attribute that holds others.
func nested(kind uint16, attributes ...attribute) attribute {
	return attribute{kind, encode(attributes)}
}

func encode(attributes []attribute) []byte {
	var b []byte
	for _, a := range attributes {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(a.value)))
		b = binary.NativeEndian.AppendUint16(b, a.kind)
		b = append(b, a.value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// text is a string as netlink has it.
func text(s string) []byte { return append([]byte(s), 0) }

// message is one of netlink(7), with the header of its family.
type message struct {
	kind, flags uint16
	header      []byte
	attributes  []attribute
}

func openNetlink(protocol int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	return fd, os.NewSyscallError("socket", err)
}

var sequence atomic.Uint32

// exchange sends messages at once, and waits until the kernel refuses one, or acknowledges the last that asks for it.
func exchange(fd int, messages ...message) error {
	var all []byte
	first := sequence.Add(uint32(len(messages))) - uint32(len(messages))
	last := first
	for i, m := range messages {
		if m.flags&unix.NLM_F_ACK != 0 {
			last = first + uint32(i)
		}
		body := append(append([]byte(nil), m.header...), encode(m.attributes)...)
		all = binary.NativeEndian.AppendUint32(all, uint32(unix.SizeofNlMsghdr+len(body)))
		all = binary.NativeEndian.AppendUint16(all, m.kind)
		all = binary.NativeEndian.AppendUint16(all, m.flags|unix.NLM_F_REQUEST)
		all = binary.NativeEndian.AppendUint32(all, first+uint32(i))
		all = binary.NativeEndian.AppendUint32(all, 0) // port: the kernel fills it in
		all = append(all, body...)
	}
	if err := unix.Sendto(fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for answer := make([]byte, 1<<16); ; {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		replies, err := syscall.ParseNetlinkMessage(answer[:n])
		if err != nil {
			return err
		}
		for _, r := range replies {
			if r.Header.Type != unix.NLMSG_ERROR || r.Header.Seq-first >= uint32(len(messages)) {
				continue
			}
			if code := int32(binary.NativeEndian.Uint32(r.Data)); code != 0 {
				return syscall.Errno(-code)
			}
			if r.Header.Seq == last {
				return nil
			}
		}
	}
}

// request sends one rtnetlink message and waits for its acknowledgment.
func request(kind, flags uint16, header []byte, attributes ...attribute) error {
	fd, err := openNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return exchange(fd, message{kind, flags | unix.NLM_F_ACK, header, attributes})
}

func familyOf(ip netip.Addr) byte {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addAddress gives an interface an address, without duplicate address detection.
func addAddress(name string, prefix netip.Prefix) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	header := []byte{familyOf(prefix.Addr()), byte(prefix.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	header = append(header, u32(uint32(link.Index))...)
	return request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, header,
		attribute{unix.IFA_LOCAL, prefix.Addr().AsSlice()}, attribute{unix.IFA_ADDRESS, prefix.Addr().AsSlice()})
}

// RouteKind is a kind of route that leads nowhere, of ip-route(8).
type RouteKind byte

// The kinds, each with what a connect(2) along it says.
const (
	Blackhole   RouteKind = unix.RTN_BLACKHOLE   // EINVAL
	Unreachable RouteKind = unix.RTN_UNREACHABLE // EHOSTUNREACH
	Prohibit    RouteKind = unix.RTN_PROHIBIT    // EACCES
	Throw       RouteKind = unix.RTN_THROW       // ENETUNREACH, where no other rule has a route
)

// Route adds a route that leads nowhere.
func Route(t testing.TB, kind RouteKind, to netip.Prefix) {
	t.Helper()
	Private(t)
	if err := addRoute(byte(kind), to); err != nil {
		t.Fatalf("route to %s: %v", to, err)
	}
}

func addRoute(kind byte, to netip.Prefix, more ...attribute) error {
	header := []byte{
		familyOf(to.Addr()), byte(to.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, kind,
		0, 0, 0, 0,
	}
	return request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header,
		append([]attribute{{unix.RTA_DST, to.Addr().AsSlice()}}, more...)...)
}
