package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Wire is a device of its own with a Peer behind it, and a route of its own to the Peer's targets.
// A test can break each of its parts, and mend it, while other wires go on working. The methods
// return what the kernel says.
//
//	wireK  Own4, Own6 ──── route to Target4 and Target6 ──── Peer
type Wire struct {
	*Peer
	Device             string
	Own4, Own6         netip.Addr
	Other4, Other6     netip.Addr // addresses of the same networks that nobody has
	Target4, Target6   netip.Addr
	behind4, behind6   netip.Prefix
	network4, network6 int // lengths of the prefixes
}

// NewWire makes the wire of number k, 0 to 249. It ends with the test. The script is a Peer's.
func NewWire(t testing.TB, k int, script func(*Peer, *Segment)) *Wire {
	t.Helper()
	w := &Wire{
		Device: fmt.Sprintf("wire%d", k),
		Own4:   netip.AddrFrom4([4]byte{100, 64, byte(k), 1}), Other4: netip.AddrFrom4([4]byte{100, 64, byte(k), 2}),
		Target4:  netip.AddrFrom4([4]byte{100, 65, byte(k), 7}),
		network4: 24, network6: 64,
	}
	ip6 := func(net, host byte) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x64, net, byte(k), 15: host})
	}
	w.Own6, w.Other6, w.Target6 = ip6(0, 1), ip6(0, 2), ip6(1, 7)
	w.behind4, _ = w.Target4.Prefix(24)
	w.behind6, _ = w.Target6.Prefix(64)
	w.Peer = newPeer(t, w.Device, near{netip.PrefixFrom(w.Own4, 24), netip.PrefixFrom(w.Own6, 64)}, script, false)
	for _, v6 := range []bool{false, true} {
		if err := w.AddRoute(v6); err != nil {
			t.Fatalf("%s: %v", w.Device, err)
		}
	}
	return w
}

// Own returns the near side's address of a family, and Target an address behind the wire.
func (w *Wire) Own(v6 bool) netip.Addr {
	if v6 {
		return w.Own6
	}
	return w.Own4
}

// Target returns the address that the wire's route leads to.
func (w *Wire) Target(v6 bool) netip.Addr {
	if v6 {
		return w.Target6
	}
	return w.Target4
}

func (w *Wire) behind(v6 bool) netip.Prefix {
	if v6 {
		return w.behind6
	}
	return w.behind4
}

// AddRoute adds the wire's own route, or puts it in the place of another kind.
func (w *Wire) AddRoute(v6 bool) error {
	link, err := net.InterfaceByName(w.Device)
	if err != nil {
		return err
	}
	return w.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, v6, unix.RTN_UNICAST, unix.RT_SCOPE_LINK,
		attribute{unix.RTA_OIF, u32(uint32(link.Index))}, attribute{unix.RTA_PREFSRC, w.Own(v6).AsSlice()})
}

// FreeRoute puts a route that names no source address in the place of the wire's own.
func (w *Wire) FreeRoute(v6 bool) error {
	link, err := net.InterfaceByName(w.Device)
	if err != nil {
		return err
	}
	return w.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, v6, unix.RTN_UNICAST, unix.RT_SCOPE_LINK,
		attribute{unix.RTA_OIF, u32(uint32(link.Index))})
}

// ReplaceRoute puts a route that leads nowhere in the place of the wire's own.
func (w *Wire) ReplaceRoute(v6 bool, kind RouteKind) error {
	if err := w.DeleteRoute(v6); err != nil {
		return err
	}
	return w.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, v6, byte(kind), unix.RT_SCOPE_UNIVERSE)
}

// DeleteRoute deletes the route to the wire's targets, of whichever kind.
func (w *Wire) DeleteRoute(v6 bool) error {
	return w.route(unix.RTM_DELROUTE, 0, v6, unix.RTN_UNSPEC, unix.RT_SCOPE_NOWHERE)
}

func (w *Wire) route(message, flags uint16, v6 bool, kind, scope byte, more ...attribute) error {
	to := w.behind(v6)
	header := []byte{
		familyOf(to.Addr()), byte(to.Bits()), 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, scope, kind,
		0, 0, 0, 0,
	}
	if message == unix.RTM_DELROUTE {
		header[5] = unix.RTPROT_UNSPEC
	}
	return request(message, flags, header, append([]attribute{{unix.RTA_DST, to.Addr().AsSlice()}}, more...)...)
}

// AddAddress gives the device an address of the wire's network.
func (w *Wire) AddAddress(ip netip.Addr) error {
	return addAddress(w.Device, netip.PrefixFrom(ip, w.bits(ip)))
}

// DeleteAddress takes an address from the device.
func (w *Wire) DeleteAddress(ip netip.Addr) error {
	link, err := net.InterfaceByName(w.Device)
	if err != nil {
		return err
	}
	header := append([]byte{familyOf(ip), byte(w.bits(ip)), 0, 0}, u32(uint32(link.Index))...)
	return request(unix.RTM_DELADDR, 0, header, attribute{unix.IFA_LOCAL, ip.AsSlice()}, attribute{unix.IFA_ADDRESS, ip.AsSlice()})
}

func (w *Wire) bits(ip netip.Addr) int {
	if ip.Is6() {
		return w.network6
	}
	return w.network4
}

// SetUp sets the device up or down.
func (w *Wire) SetUp(up bool) error { return setFlags(w.Device, up) }

// setFlags sets a device up or down.
func setFlags(device string, up bool) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(link.Index))
	if up {
		binary.NativeEndian.PutUint32(header[8:], unix.IFF_UP)
	}
	binary.NativeEndian.PutUint32(header[12:], unix.IFF_UP) // of which flags
	return request(unix.RTM_NEWLINK, 0, header)
}

// SetCarrier takes the device's carrier away, or gives it back.
func (w *Wire) SetCarrier(on bool) error {
	value := int32(0)
	if on {
		value = 1
	}
	raw, err := w.tun.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, unix.TUNSETCARRIER, uintptr(unsafe.Pointer(&value)))
	})
	if errno != 0 {
		return os.NewSyscallError("TUNSETCARRIER", errno)
	}
	return err
}

// DeleteDevice deletes the device, and ends the Peer.
func (w *Wire) DeleteDevice() error { return deleteLink(w.Device) }

// DisableIPv6 takes all of IPv6 from the device, or gives it back, without its addresses.
func (w *Wire) DisableIPv6(off bool) error {
	value := "0"
	if off {
		value = "1"
	}
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+w.Device+"/disable_ipv6", []byte(value), 0)
}

// Mend gives back what a device loses when it is set down: its address and its route.
func (w *Wire) Mend(v6 bool) error {
	if err := w.AddAddress(w.Own(v6)); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return w.AddRoute(v6)
}

// DestroySocket ends the TCP socket between two ends, as ss -K does: SOCK_DESTROY of sock_diag(7).
func DestroySocket(source, target netip.AddrPort) error {
	fd, err := openNetlink(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const sockDestroy = 21              // SOCK_DESTROY, linux/sock_diag.h
	header := make([]byte, 56)          // struct inet_diag_req_v2, linux/inet_diag.h
	header[0] = familyOf(source.Addr()) // sdiag_family
	header[1] = unix.IPPROTO_TCP        // sdiag_protocol
	states := header[4:8]               // idiag_states
	id := header[8:]                    // struct inet_diag_sockid
	binary.NativeEndian.PutUint32(states, ^uint32(0))
	binary.BigEndian.PutUint16(id[0:], source.Port())
	binary.BigEndian.PutUint16(id[2:], target.Port())
	copy(id[4:20], source.Addr().AsSlice())
	copy(id[20:36], target.Addr().AsSlice())
	for i := 40; i < 48; i++ {
		id[i] = 0xff // any cookie: INET_DIAG_NOCOOKIE
	}
	return exchange(fd, message{sockDestroy, unix.NLM_F_ACK, header, nil})
}
