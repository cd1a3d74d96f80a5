package testnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Beyond4 and Beyond6 are networks behind a Host: what is sent to them goes to its kernel, which has no route for them. So it
// answers "network unreachable", unless a test gives it a [Route] of another kind.
var Beyond4, Beyond6 = netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:71::/64")

// The two ends of the wire, each named after what is at the other.
const nearDevice, farDevice = "host0", "near0"

// Host is another machine: a namespace with a kernel's TCP of its own, at the other end of a veth pair, and a router.
//
//	this namespace               the host's
//	host0  Near4, Near6 ──────── near0  Far4, Far6 ──▶ Beyond4, Beyond6
type Host struct {
	Near4, Far4, Near6, Far6 netip.Addr

	t         testing.TB
	namespace int // a descriptor of it
}

// NewHost makes the host. There can be one at a time; it ends with the test.
func NewHost(t testing.TB) *Host {
	t.Helper()
	Private(t)
	h := &Host{
		Near4: netip.MustParseAddr("198.51.100.1"), Far4: netip.MustParseAddr("198.51.100.2"),
		Near6: netip.MustParseAddr("2001:db8:51::1"), Far6: netip.MustParseAddr("2001:db8:51::2"),
		t: t,
	}
	var err error
	onThread(func() {
		if err = os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)); err == nil {
			h.namespace, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
	})
	if err != nil {
		t.Fatalf("namespace of the host: %v", err)
	}
	t.Cleanup(func() { unix.Close(h.namespace) })
	h.Do(h.becomeRouter)
	if err := addVeth(nearDevice, farDevice, h.namespace); err != nil {
		t.Fatalf("veth: %v", err)
	}
	// The namespace goes some time after its last descriptor; the wire goes at once.
	t.Cleanup(func() {
		if err := deleteLink(nearDevice); err != nil {
			t.Error(err)
		}
	})
	h.Do(func() { h.bringUp(farDevice, h.Far4, h.Far6) })
	h.bringUp(nearDevice, h.Near4, h.Near6)
	// Only now have both ends a carrier, without which IPv6 does not begin.
	h.Do(func() { awaitLocal(t, h.Far6) })
	awaitLocal(t, h.Near6)
	for to, via := range map[netip.Prefix]netip.Addr{Beyond4: h.Far4, Beyond6: h.Far6} {
		if err := addRoute(unix.RTN_UNICAST, to, attribute{unix.RTA_GATEWAY, via.AsSlice()}); err != nil {
			t.Fatalf("route to %s: %v", to, err)
		}
	}
	return h
}

// becomeRouter makes the host forward, and send an ICMP error for each packet that deserves one. One limit stays: for want of a
// route an IPv4 sender gets five errors, and from then on one a second (ip_error, net/ipv4/route.c), which only the machine's
// first namespace can change. A [Reject] of the host's firewall has no such limit.
func (h *Host) becomeRouter() {
	h.t.Helper()
	for _, s := range []struct {
		name, value string
		needed      bool
	}{
		{"net/ipv4/ip_forward", "1", true},
		{"net/ipv6/conf/all/forwarding", "1", true},
		{"net/ipv4/icmp_ratelimit", "0", true},
		{"net/ipv4/icmp_ratemask", "0", true}, // limits no type, neither for each peer nor for all together
		{"net/ipv6/icmp/ratelimit", "0", true},
		{"net/ipv6/icmp/ratemask", "", false},
		{"net/ipv4/icmp_msgs_per_sec", "1000000", false}, // the whole machine's on older kernels
		{"net/ipv4/icmp_msgs_burst", "1000000", false},
	} {
		if err := os.WriteFile("/proc/sys/"+s.name, []byte(s.value+"\n"), 0); err != nil && s.needed {
			h.t.Fatal(err)
		}
	}
	if err := loopbackUp(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *Host) bringUp(device string, ip4, ip6 netip.Addr) {
	h.t.Helper()
	if err := errors.Join(
		setUp(device),
		addAddress(device, netip.PrefixFrom(ip4, 24)),
		addAddress(device, netip.PrefixFrom(ip6, 64)),
	); err != nil {
		h.t.Fatalf("%s: %v", device, err)
	}
}

// Do calls f on a thread of the host, where a socket, a Route, a Sysctl, a Tap or a Firewall is the host's. What f makes stays
// when f returns; a goroutine that f starts is not on the host. The test may end in f, by t.Fatal.
func (h *Host) Do(f func()) {
	h.t.Helper()
	if !onThread(func() {
		if err := unix.Setns(h.namespace, unix.CLONE_NEWNET); err != nil {
			h.t.Fatal(os.NewSyscallError("setns", err))
		}
		f()
	}) {
		runtime.Goexit()
	}
}

// Counters returns the Counters of the host.
func (h *Host) Counters() map[string]int {
	h.t.Helper()
	var counters map[string]int
	h.Do(func() { counters = Counters(h.t) })
	return counters
}

// ImpatientNeighbours makes both ends give up a neighbour that does not answer after some 50 ms, not 3 s: three times the
// retransmit time, arp(7).
func (h *Host) ImpatientNeighbours() {
	h.t.Helper()
	impatient := func(device string) {
		if err := setNeighbourPatience(device, 16*time.Millisecond); err != nil {
			h.t.Fatalf("neighbours of %s: %v", device, err)
		}
	}
	impatient(nearDevice)
	h.Do(func() { impatient(farDevice) })
}

// ForgetNeighbour deletes what this namespace knows of the host's link-layer address behind ip.
func (h *Host) ForgetNeighbour(ip netip.Addr) error {
	link, err := net.InterfaceByName(nearDevice)
	if err != nil {
		return err
	}
	header := make([]byte, 12) // struct ndmsg, linux/neighbour.h
	header[0] = familyOf(ip)
	binary.NativeEndian.PutUint32(header[4:], uint32(link.Index))
	const destination = 1 // NDA_DST
	return request(unix.RTM_DELNEIGH, 0, header, attribute{destination, ip.AsSlice()})
}

// SendFrom gives this namespace's end a second address, and has it send from there to an address of the host's.
func (h *Host) SendFrom(second, to netip.Addr, bits int) error {
	link, err := net.InterfaceByName(nearDevice)
	if err != nil {
		return err
	}
	if err := addAddress(nearDevice, netip.PrefixFrom(second, bits)); err != nil {
		return err
	}
	return addRoute(unix.RTN_UNICAST, netip.PrefixFrom(to, to.BitLen()),
		attribute{unix.RTA_OIF, u32(uint32(link.Index))}, attribute{unix.RTA_PREFSRC, second.AsSlice()})
}

// Cut sets the host's end of the wire down, so that this namespace's end has no carrier.
func (h *Host) Cut() error {
	var err error
	h.Do(func() { err = setFlags(farDevice, false) })
	return err
}

// addVeth makes a veth(4) pair, of which the peer is in another namespace.
func addVeth(name, peer string, namespace int) error {
	const vethInfoPeer = 1 // VETH_INFO_PEER, linux/veth.h
	link := make([]byte, unix.SizeofIfInfomsg)
	other := append(link[:len(link):len(link)], encode([]attribute{
		{unix.IFLA_IFNAME, text(peer)}, {unix.IFLA_NET_NS_FD, u32(uint32(namespace))},
	})...)
	return request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, link,
		attribute{unix.IFLA_IFNAME, text(name)},
		nested(unix.IFLA_LINKINFO,
			attribute{unix.IFLA_INFO_KIND, text("veth")},
			nested(unix.IFLA_INFO_DATA, attribute{vethInfoPeer, other})))
}

func deleteLink(name string) error {
	return request(unix.RTM_DELLINK, 0, make([]byte, unix.SizeofIfInfomsg), attribute{unix.IFLA_IFNAME, text(name)})
}

// setNeighbourPatience sets the retransmit time of a device's neighbours. There is a sysctl too, but not in a namespace that
// is not the machine's first (neigh_sysctl_register, net/core/neighbour.c).
func setNeighbourPatience(device string, retransmit time.Duration) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	// NDTA_NAME, NDTA_PARMS, NDTPA_IFINDEX, NDTPA_RETRANS_TIME: linux/neighbour.h.
	const name, parms, ifindex, retransTime = 1, 6, 1, 5
	for table, family := range map[string]byte{"arp_cache": unix.AF_INET, "ndisc_cache": unix.AF_INET6} {
		err := request(unix.RTM_SETNEIGHTBL, 0, []byte{family, 0, 0, 0},
			attribute{name, text(table)},
			nested(parms,
				attribute{ifindex, u32(uint32(link.Index))},
				attribute{retransTime, u64(uint64(retransmit.Milliseconds()))}))
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}
