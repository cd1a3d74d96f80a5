package shaker

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzSockaddr: an address written for the kernel and read back is the address.
func FuzzSockaddr(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(80), uint32(0))
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(65535), uint32(7))
	f.Fuzz(func(t *testing.T, raw []byte, port uint16, scope uint32) {
		ip, ok := netip.AddrFromSlice(raw)
		if !ok {
			return // not an address
		}
		addr := netip.AddrPortFrom(ip.Unmap(), port)
		var s sockaddr
		for i := range s {
			s[i] = 0xff // what an earlier use left
		}
		n := s.set(addr, scope)
		if s.addrPort() != addr {
			t.Fatalf("%s became %s", addr, s.addrPort())
		}
		if want := uintptr(unix.SizeofSockaddrInet4); addr.Addr().Is4() != (n == want) {
			t.Fatalf("length %d", n)
		}
		if addr.Addr().Is6() && (binary.NativeEndian.Uint32(s[24:]) != scope || binary.NativeEndian.Uint32(s[4:]) != 0) {
			t.Fatalf("scope or flow label: %x", s)
		}
	})
}

// FuzzParsePorts: whatever the sysctl says, the range is one.
func FuzzParsePorts(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("70000 1")
	f.Fuzz(func(t *testing.T, text string) {
		if low, high := parsePorts(text); low < 1 || high > 65535 || low > high {
			t.Fatalf("%d to %d", low, high)
		}
	})
	if low, high := parsePorts("1024\t65000\n"); low != 1024 || high != 65000 {
		f.Fatalf("%d to %d", low, high)
	}
}

// TestErrnosAreClassed walks all errnos: none of them is held against the target, neither at connect(2) nor in flight, whether or
// not a SYN could be sent again.
func TestErrnosAreClassed(t *testing.T) {
	type class struct {
		atConnect      Cause
		resendFailed   Cause
		resendEvent    Event
		inFlight       Cause
		inFlightEvent  Event
		resetInTCPInfo bool // with a segment received, it is an RST
	}
	route := class{NoRoute, NoRoute, RouteLost, LocalFiltered, NoEvent, false}
	rest := class{LocalResources, LocalResources, ResendFailed, LocalFiltered, NoEvent, false}
	want := map[unix.Errno]class{
		unix.ENETUNREACH: route, unix.EHOSTUNREACH: route, unix.EINVAL: route, unix.ENETDOWN: route, unix.EHOSTDOWN: route,
		unix.ENODEV: route, unix.ENXIO: route, unix.EAFNOSUPPORT: route,
		unix.EACCES:       {LocalFiltered, LocalFiltered, RouteLost, LocalFiltered, NoEvent, false},
		unix.EPERM:        {LocalFiltered, LocalFiltered, ResendFailed, LocalFiltered, NoEvent, false},
		unix.ECONNREFUSED: {LocalFiltered, LocalFiltered, ResendFailed, LocalFiltered, NoEvent, true},
		unix.ECONNRESET:   {LocalResources, LocalResources, ResendFailed, LocalFiltered, NoEvent, true},
		unix.ECONNABORTED: {LocalResources, LocalResources, Aborted, LocalResources, Aborted, false},
		unix.ETIMEDOUT:    {LocalResources, LocalResources, ResendFailed, LocalResources, GaveUp, false},
	}
	for errno := unix.Errno(1); errno <= maxErrno; errno++ {
		w, listed := want[errno]
		if !listed {
			w = rest
		}
		if got := refusedToSend(errno); got != w.atConnect {
			t.Errorf("connect: %v: %s, want %s", errno, got, w.atConnect)
		}
		if cause, event := diedOf(errno, true); cause != w.resendFailed || event != w.resendEvent {
			t.Errorf("resend failed: %v: %s, %s, want %s, %s", errno, cause, event, w.resendFailed, w.resendEvent)
		}
		if cause, event := diedOf(errno, false); cause != w.inFlight || event != w.inFlightEvent {
			t.Errorf("in flight: %v: %s, %s, want %s, %s", errno, cause, event, w.inFlight, w.inFlightEvent)
		}
		if got := isReset(errno, &tcpInfo{Segs_out: 1, Segs_in: 1}); got != w.resetInTCPInfo {
			t.Errorf("%v after a segment: reset %t", errno, got)
		}
		if isReset(errno, &tcpInfo{Segs_out: 1}) {
			t.Errorf("%v without a segment is called an RST", errno)
		}
	}
	if cause, event := resendFailedWith(0); cause != LocalResources || event != ResendFailed {
		t.Errorf("a SYN still in our own queue: %s, %s", cause, event)
	}
}

// TestICMPFromOurselves: our own firewall is our own trouble, but a neighbour that does not answer is not, nor is anything
// that a target on this host says.
func TestICMPFromOurselves(t *testing.T) {
	source, router := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
	target := netip.MustParseAddr("198.51.100.9")
	source6, target6 := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:9::9")
	local := netip.MustParseAddr("127.0.0.1")
	ours := func(ip netip.Addr) bool { return ip == source || ip == source6 || ip.IsLoopback() }
	for _, c := range []struct {
		icmp           ICMP
		source, target netip.Addr
		outcome        Outcome
		cause          Cause
	}{
		{ICMP{3, 13, router}, source, target, Unreachable, Prohibited},
		{ICMP{3, 13, source}, source, target, LocalError, LocalFiltered},
		{ICMP{3, 3, source}, source, target, LocalError, LocalFiltered},
		{ICMP{3, 13, local}, source, target, LocalError, LocalFiltered},
		{ICMP{3, 1, source}, source, target, Unreachable, HostUnreachable}, // ARP
		{ICMP{3, 3, source}, source, source, Unreachable, PortUnreachable},
		{ICMP{3, 13, local}, local, local, Unreachable, Prohibited},
		{ICMP{1, 1, source6}, source6, target6, LocalError, LocalFiltered},
		{ICMP{1, 3, source6}, source6, target6, Unreachable, HostUnreachable}, // neighbour discovery
	} {
		if outcome, cause := judgeICMP(c.icmp, c.source, c.target, ours); outcome != c.outcome || cause != c.cause {
			t.Errorf("%s, %s to %s: %s, %s", c.icmp, c.source, c.target, outcome, cause)
		}
	}
}

// TestSelfCheckSeesTheFault: it passes with the sockets of the engine, and with ones that do not hold back the ACK it says
// that they were noticed.
func TestSelfCheckSeesTheFault(t *testing.T) {
	good := func(v6 bool) (int, unix.Errno) { return openSocket(v6, Reuse, 0) }
	if err := selfCheck(good); err != nil {
		t.Errorf("on this kernel reuse does not work: %v", err)
	}
	noisy := func(v6 bool) (int, unix.Errno) {
		fd, errno := openSocket(v6, Reuse, 0)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0); err != nil {
			t.Fatal(err)
		}
		return fd, errno
	}
	if err := selfCheck(noisy); err == nil {
		t.Error("a socket that sends its ACK at once passed")
	}
	// QUICKACK 0 is what others use. It is forgotten at the disconnect, so the second use must be found out.
	forgetful := func(v6 bool) (int, unix.Errno) {
		fd, errno := noisy(v6)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0); err != nil {
			t.Fatal(err)
		}
		return fd, errno
	}
	if err := selfCheck(forgetful); err == nil {
		t.Error("a socket that holds back only its first ACK passed")
	}
	if err := selfCheck(func(bool) (int, unix.Errno) { return -1, unix.EMFILE }); err == nil {
		t.Error("no socket at all passed")
	}
}
