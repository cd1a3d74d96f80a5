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

// TestErrnosAreClassed: what connect(2) returns at once is our own trouble, what the wire says is not, and what is in neither
// list is not held against the target.
func TestErrnosAreClassed(t *testing.T) {
	for cause, errnos := range map[Cause][]unix.Errno{
		NoRoute:        {unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.ENETDOWN, unix.EAFNOSUPPORT},
		LocalResources: {unix.EADDRNOTAVAIL, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN, unix.EIO},
		LocalFiltered:  {unix.EPERM},
	} {
		for _, errno := range errnos {
			if got := refusedToSend(errno); got != cause {
				t.Errorf("connect: %v: %s, want %s", errno, got, cause)
			}
		}
	}
	for errno, want := range map[unix.Errno]struct {
		outcome Outcome
		cause   Cause
	}{
		unix.ECONNREFUSED: {Refused, NoCause},
		unix.ETIMEDOUT:    {TimedOut, NoCause},
		unix.EHOSTUNREACH: {Unreachable, HostUnreachable},
		unix.ENETUNREACH:  {Unreachable, NetUnreachable},
		unix.EACCES:       {Unreachable, Prohibited},
		unix.ENOBUFS:      {LocalError, LocalResources},
	} {
		if outcome, cause := answeredWith(errno); outcome != want.outcome || cause != want.cause {
			t.Errorf("socket: %v: %s, %s", errno, outcome, cause)
		}
	}
}

// TestICMPFromOurselves: our own firewall is our own trouble, but a neighbour that does not answer is not, nor is anything
// that a target on this host says.
func TestICMPFromOurselves(t *testing.T) {
	source, router := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
	target := netip.MustParseAddr("198.51.100.9")
	source6, target6 := netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:9::9")
	local := netip.MustParseAddr("127.0.0.1")
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
		if outcome, cause := judgeICMP(c.icmp, c.source, c.target); outcome != c.outcome || cause != c.cause {
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
