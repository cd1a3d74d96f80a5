package testnet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attribute is one of a rtnetlink(7) message.
type attribute struct {
	kind  uint16
	value []byte
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// request sends one rtnetlink message and waits for its acknowledgment.
func request(kind, flags uint16, header []byte, attributes ...attribute) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	body := append([]byte(nil), header...)
	for _, a := range attributes {
		body = binary.NativeEndian.AppendUint16(body, uint16(4+len(a.value)))
		body = binary.NativeEndian.AppendUint16(body, a.kind)
		body = append(body, a.value...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	message = append(message, make([]byte, 8)...) // sequence and port: one request to a socket
	message = append(message, body...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil {
		return err
	}
	for _, m := range messages {
		if m.Header.Type == unix.NLMSG_ERROR {
			if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
				return syscall.Errno(-code)
			}
			return nil
		}
	}
	return errors.New("rtnetlink did not acknowledge")
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
)

// Route adds a route that leads nowhere.
func Route(t testing.TB, kind RouteKind, to netip.Prefix) {
	t.Helper()
	Private(t)
	header := []byte{familyOf(to.Addr()), byte(to.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, byte(kind)}
	header = append(header, u32(0)...)
	if err := request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header, attribute{unix.RTA_DST, to.Addr().AsSlice()}); err != nil {
		t.Fatalf("route to %s: %v", to, err)
	}
}
