package testnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends are the addresses of a Host in one family, with one beyond it, and one on the wire that nobody has.
type ends struct{ near, far, beyond, nobody netip.Addr }

func (h *Host) ends() map[string]ends {
	return map[string]ends{
		"ipv4": {h.Near4, h.Far4, netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.77")},
		"ipv6": {h.Near6, h.Far6, netip.MustParseAddr("2001:db8:71::7"), netip.MustParseAddr("2001:db8:51::77")},
	}
}

// start begins a connect(2) that waits for nothing, with ICMP errors to be queued (ip(7), IP_RECVERR).
func start(t testing.TB, to netip.AddrPort) int {
	t.Helper()
	fd, err := unix.Socket(int(familyOf(to.Addr())), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if to.Addr().Is4() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	} else {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, Sockaddr(to)); !errors.Is(err, unix.EINPROGRESS) {
		t.Fatalf("connect to %s: %v", to, err)
	}
	return fd
}

// beforeRetransmit is some time before the kernel sends a SYN again, which might be answered otherwise.
const beforeRetransmit = 900 * time.Millisecond

// answer waits for what becomes of a connect(2): the ICMP error "type/code from sender", else the errno, "" for silence.
func answer(t testing.TB, fd int, wait time.Duration) string {
	t.Helper()
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(polled, int(wait.Milliseconds()))
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(polled, int(wait.Milliseconds()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return ""
	}
	control := make([]byte, 512)
	if _, n, _, _, err := unix.Recvmsg(fd, nil, control, unix.MSG_ERRQUEUE); err == nil {
		messages, err := unix.ParseSocketControlMessage(control[:n])
		if err != nil || len(messages) == 0 {
			t.Fatalf("error queue: %v", err)
		}
		e := messages[0].Data // struct sock_extended_err, then the sockaddr of the sender
		sender := netip.AddrFrom4([4]byte(e[20:]))
		if e[4] == unix.SO_EE_ORIGIN_ICMP6 {
			sender = netip.AddrFrom16([16]byte(e[24:]))
		}
		return fmt.Sprintf("%d/%d from %s", e[5], e[6], sender)
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		t.Fatal(err)
	}
	return unix.Errno(errno).Error()
}

// TestHostIsAnotherMachine: a listener there is reached from here, and each kernel counts its own part.
func TestHostIsAnotherMachine(t *testing.T) {
	h := NewHost(t)
	for name, e := range h.ends() {
		t.Run(name, func(t *testing.T) {
			var l *net.TCPListener
			h.Do(func() { l = listen(t, e.far) })
			near, far := Counters(t), h.Counters()
			if err := knock(l.Addr().(*net.TCPAddr).AddrPort(), 3); err != nil {
				t.Fatal(err)
			}
			nearAfter, farAfter := Counters(t), h.Counters()
			for _, c := range []struct {
				name      string
				near, far int
			}{{"TcpActiveOpens", 3, 0}, {"TcpPassiveOpens", 0, 3}, {"TcpOutRsts", 3, 0}, {"TcpExtListenOverflows", 0, 0}} {
				if n, f := nearAfter[c.name]-near[c.name], farAfter[c.name]-far[c.name]; n != c.near || f != c.far {
					t.Errorf("%s: here +%d, there +%d; want %d and %d", c.name, n, f, c.near, c.far)
				}
				if _, ok := far[c.name]; !ok {
					t.Errorf("no counter %s", c.name)
				}
			}
		})
	}
}

// TestTapOfAWire sees both directions, each segment once, from either end.
func TestTapOfAWire(t *testing.T) {
	h := NewHost(t)
	for name, e := range h.ends() {
		t.Run(name, func(t *testing.T) {
			taps := []*Tap{NewTap(t, "host0", nil)}
			var l *net.TCPListener
			h.Do(func() {
				l = listen(t, e.far)
				taps = append(taps, NewTap(t, "near0", nil))
			})
			if err := knock(l.Addr().(*net.TCPAddr).AddrPort(), 1); err != nil {
				t.Fatal(err)
			}
			for _, tap := range taps {
				tap.Sync()
				log := tap.Log()
				want := []string{"SYN", "SYN-ACK", "ACK", "RST"}
				if len(log) != len(want) || !slices.Equal(tap.Flow(log[0].From, log[0].To), want) {
					t.Errorf("%s: %v", tap.device.Name, log)
				}
			}
		})
	}
}

// TestTapSyncOfAWire: also what the host sent, on whichever processor, has arrived and has been seen.
func TestTapSyncOfAWire(t *testing.T) {
	h := NewHost(t)
	for name, e := range h.ends() {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			tap := NewTap(t, "host0", func(*Segment) { seen.Add(1) })
			var fd int
			h.Do(func() {
				var err error
				if fd, err = unix.Socket(int(familyOf(e.far)), unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
					t.Fatal(err)
				}
			})
			defer unix.Close(fd)
			// Nobody answers an RST, so nothing tells the sender that it has arrived.
			s := Segment{From: netip.AddrPortFrom(e.far, 1), To: netip.AddrPortFrom(e.near, 2), Flags: RST}
			packet := s.packet()
			for round := int64(1); round <= 20; round++ {
				const senders, each = 4, 50
				var all sync.WaitGroup
				for range senders {
					all.Go(func() {
						to := Sockaddr(netip.AddrPortFrom(e.near, 0))
						for range each {
							if err := unix.Sendto(fd, packet, 0, to); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				tap.Sync()
				if n, want := seen.Load(), round*senders*each; n != want {
					t.Fatalf("%d segments seen in round %d, want %d", n, round, want)
				}
			}
		})
	}
}

// TestHostIsARouter: its kernel answers what it cannot deliver, by the kind of the route, on IPv6 as often as it is asked.
func TestHostIsARouter(t *testing.T) {
	h := NewHost(t)
	for name, e := range h.ends() {
		far := " from " + e.far.String()
		for _, c := range []struct {
			kind       RouteKind
			ipv4, ipv6 string
		}{
			{0, "3/0" + far, "1/0" + far}, // no route at all
			{Unreachable, "3/1" + far, "1/0" + far},
			{Prohibit, "3/13" + far, "1/1" + far},
			{Blackhole, "", ""},
		} {
			t.Run(fmt.Sprintf("%s/kind=%d", name, c.kind), func(t *testing.T) {
				want, probes, wait := c.ipv4, 1, beforeRetransmit
				if e.beyond.Is6() {
					want, probes = c.ipv6, 500 // a kernel that limits them sends at most 50 at once (icmp_msgs_burst)
				}
				if want == "" {
					probes, wait = 1, 50*time.Millisecond
				}
				if c.kind != 0 {
					h.Do(func() { Route(t, c.kind, netip.PrefixFrom(e.beyond, e.beyond.BitLen())) })
				}
				for i := range probes {
					fd := start(t, netip.AddrPortFrom(e.beyond, 443))
					if got := answer(t, fd, wait); got != want {
						t.Fatalf("probe %d: %q, want %q", i, got, want)
					}
				}
			})
		}
	}
}

// TestImpatientNeighbours: where nobody has an address, the kernel says so well before it sends the SYN again, and not after 3 s.
func TestImpatientNeighbours(t *testing.T) {
	h := NewHost(t)
	h.ImpatientNeighbours()
	for name, e := range h.ends() {
		t.Run(name, func(t *testing.T) {
			want := "3/1 from " + e.near.String()
			if e.near.Is6() {
				want = "1/3 from " + e.near.String()
			}
			fd := start(t, netip.AddrPortFrom(e.nobody, 443))
			if got := answer(t, fd, beforeRetransmit); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			var l *net.TCPListener
			h.Do(func() { l = listen(t, e.far) })
			if err := knock(l.Addr().(*net.TCPAddr).AddrPort(), 1); err != nil {
				t.Errorf("the host itself: %v", err)
			}
		})
	}
}

// TestDoLeavesNoTrace: no thread of the process stays on the host, a function that ends its goroutine ends the caller's too, and
// the host can be used again.
func TestDoLeavesNoTrace(t *testing.T) {
	h := NewHost(t)
	namespace := func() string {
		name, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return name
	}
	here := namespace()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			h.Do(func() {
				if namespace() == here {
					t.Error("not on the host")
				}
				runtime.Goexit()
			})
			t.Error("Do returned, though its function did not")
		})
	}
	all.Wait()
	for range 50 {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if now := namespace(); now != here {
				t.Errorf("a thread of ours is in %s", now)
			}
		})
	}
	all.Wait()
	if first, err := os.Readlink("/proc/self/ns/net"); err != nil || first != here {
		t.Errorf("the first thread is in %s, %v", first, err)
	}
}

// TestSysctlOfTheHost is the host's alone, and set back at the end of the test that set it.
func TestSysctlOfTheHost(t *testing.T) {
	h := NewHost(t)
	const name = "net/ipv4/tcp_syncookies"
	get := func() string {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(value))
	}
	there := func() (value string) {
		h.Do(func() { value = get() })
		return value
	}
	t.Run("set", func(t *testing.T) {
		h.Do(func() { Sysctl(t, name, "2") })
		if get() != "1" || there() != "2" {
			t.Errorf("here %s, there %s", get(), there())
		}
	})
	if get() != "1" || there() != "1" {
		t.Errorf("afterwards here %s, there %s", get(), there())
	}
}
