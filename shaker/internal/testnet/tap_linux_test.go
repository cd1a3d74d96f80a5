package testnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var loopbacks = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}

// knock makes n connections to an address, waits for the answer to each, and says which error it was.
func knock(to netip.AddrPort, n int) error {
	var last error
	for range n {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
		if err == nil {
			err = errors.Join(c.SetLinger(0), c.Close())
		}
		last = err
	}
	return last
}

// closedPort returns a port that is taken, and does not listen.
func closedPort(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	l := listen(t, ip)
	fd, err := unix.Socket(int(familyOf(ip)), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	l.Close()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	if err := unix.Bind(fd, Sockaddr(to)); err != nil {
		t.Fatal(err)
	}
	return to
}

func listen(t testing.TB, ip netip.Addr) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestTapSeesAConnection on the loopback device: each segment once, in the order of sending, and nothing but TCP.
func TestTapSeesAConnection(t *testing.T) {
	Private(t)
	for _, ip := range loopbacks {
		t.Run(ip.String(), func(t *testing.T) {
			tap := NewTap(t, "lo", nil)
			var seen []string // by the second tap, which does not keep them
			second := NewTap(t, "lo", func(s *Segment) { seen = append(seen, s.Kind()) })
			l := listen(t, ip)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			from, to := c.LocalAddr().(*net.TCPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
			datagram, err := net.Dial("udp", netip.AddrPortFrom(ip, 9).String())
			if err != nil {
				t.Fatal(err)
			}
			defer datagram.Close()
			if _, err := datagram.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
				t.Fatal(err)
			}
			tap.Sync()
			second.Sync()
			second.Close()
			want := []string{"SYN", "SYN-ACK", "ACK", "RST"}
			if got := tap.Flow(from, to); !slices.Equal(got, want) || len(tap.Log()) != len(want) {
				t.Errorf("%v of %d segments, want %v", got, len(tap.Log()), want)
			}
			if !slices.Equal(seen, want) {
				t.Errorf("the second tap saw %v, want %v", seen, want)
			}
			syn, answer := tap.Log()[0], tap.Log()[1]
			if syn.From != from || syn.To != to || answer.From != to || answer.To != from || answer.Ack != syn.Seq+1 {
				t.Errorf("%v, %v", syn, answer)
			}
			if _, ok := syn.Timestamp(); !ok {
				t.Errorf("options %x of the SYN hold no timestamp", syn.Options)
			}
		})
	}
}

// TestTapSync: what was sent before a Sync has been seen after it.
func TestTapSync(t *testing.T) {
	Private(t)
	for _, ip := range loopbacks {
		t.Run(ip.String(), func(t *testing.T) {
			to := closedPort(t, ip)
			var seen atomic.Int64
			tap := NewTap(t, "lo", func(*Segment) { seen.Add(1) })
			for round := int64(1); round <= 20; round++ {
				const knocks = 10
				if err := knock(to, knocks); !errors.Is(err, unix.ECONNREFUSED) {
					t.Fatal(err)
				}
				tap.Sync()
				if n, want := seen.Load(), round*knocks*2; n != want { // SYN and RST
					t.Fatalf("%d segments seen in round %d, want %d", n, round, want)
				}
			}
		})
	}
}

// TestBacklogsOfAllProcessors: a Sync sends something through that of each. Only a kernel that is behind leaves anything in them,
// so no other test would notice; the kernel counts what each has received (softnet_seq_show, net/core/net-procfs.c).
func TestBacklogsOfAllProcessors(t *testing.T) {
	Private(t)
	received := func() []uint64 {
		text, err := os.ReadFile("/proc/thread-self/net/softnet_stat")
		if err != nil {
			t.Fatal(err)
		}
		var counts []uint64
		for line := range strings.Lines(string(text)) {
			count, err := strconv.ParseUint(strings.Fields(line)[0], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, count)
		}
		return counts
	}
	runtime.LockOSThread() // whose processors are asked for
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if n := len(received()); n != all.Count() {
		Skip(t, fmt.Sprintf("%d processors, of which %d are ours: those of others cannot be seen to be flushed", n, all.Count()))
	}
	tap := NewTap(t, "lo", nil)
	before := received()
	tap.Sync()
	for i, n := range received() {
		if n == before[i] {
			t.Errorf("nothing was received on processor %d", i)
		}
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != all {
		t.Errorf("may run on %d processors, was %d, %v", after.Count(), all.Count(), err)
	}
}

// recorder keeps the errors of a test that is to fail.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// TestTapTellsItsDrops: a small ring whose reader is held back loses segments, and that is an error of the test.
func TestTapTellsItsDrops(t *testing.T) {
	Private(t)
	to := closedPort(t, loopbacks[0])
	r := &recorder{TB: t}
	hold := make(chan struct{})
	tap := newTap(r, "lo", func(*Segment) { <-hold }, 4096, 2)
	const knocks = 100
	if err := knock(to, knocks); !errors.Is(err, unix.ECONNREFUSED) {
		t.Error(err)
	}
	first := tap.Drops()
	if err := knock(to, knocks); !errors.Is(err, unix.ECONNREFUSED) {
		t.Error(err)
	}
	close(hold)
	tap.Close()
	if n := tap.Drops(); first < knocks || first >= 2*knocks || n != first+2*knocks {
		t.Errorf("%d lost, then %d", first, n)
	}
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "lost") {
		t.Errorf("the test's errors: %q", r.errors)
	}
}

// TestSegmentsComeBack as they were written, and nothing that is cut off is taken for one.
func TestSegmentsComeBack(t *testing.T) {
	for _, ends := range [][2]string{{"192.0.2.1:1", "192.0.2.2:65535"}, {"[2001:db8::1]:1", "[2001:db8::2]:65535"}} {
		want := Segment{
			From: netip.MustParseAddrPort(ends[0]), To: netip.MustParseAddrPort(ends[1]), Flags: SYN | ACK,
			Seq: 1 << 31, Ack: 7, Window: 65535, Options: []byte{2, 4, 5, 0xb4},
		}
		packet := want.packet()
		var got Segment
		if !got.decode(packet) {
			t.Fatal("no segment")
		}
		got.raw = nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
		for n := range packet {
			if got.decode(packet[:n]) {
				t.Errorf("a segment in %d bytes of %d", n, len(packet))
			}
		}
	}
}

// BenchmarkTap sends segments that nobody answers over the loopback device, on all processors. One op is one segment: sent,
// received by the kernel, and seen.
func BenchmarkTap(b *testing.B) {
	Private(b)
	var seen atomic.Int64
	tap := NewTap(b, "lo", func(*Segment) { seen.Add(1) })
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	s := Segment{From: netip.AddrPortFrom(loopbacks[0], 1), To: netip.AddrPortFrom(loopbacks[0], 2), Flags: RST}
	packet := s.packet()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: tap.device.Index, Halen: 6}
		for pb.Next() {
			if err := unix.Sendto(fd, packet, 0, to); err != nil {
				b.Error(err)
				return
			}
		}
	})
	tap.Sync()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "segments/s")
	b.ReportMetric(float64(tap.Drops()), "lost")
	if seen.Load() != int64(b.N) {
		b.Errorf("%d seen of %d", seen.Load(), b.N)
	}
}

// TestTapTellsWhen a segment was sent, and not when it was read: the kernel's time of a SYN lies within the connect(2) that sent it.
func TestTapTellsWhen(t *testing.T) {
	Private(t)
	for _, ip := range loopbacks {
		t.Run(ip.String(), func(t *testing.T) {
			tap := NewTap(t, "lo", nil)
			to := closedPort(t, ip)
			var spans [20][2]time.Time
			for i := range spans {
				spans[i][0] = time.Now().Round(0) // the wall clock alone, which is the kernel's here
				if err := knock(to, 1); !errors.Is(err, unix.ECONNREFUSED) {
					t.Fatal(err)
				}
				spans[i][1] = time.Now().Round(0)
			}
			tap.Sync()
			i := 0
			for _, s := range tap.Log() {
				if s.To != to {
					continue
				}
				if s.At.Before(spans[i][0]) || s.At.After(spans[i][1]) {
					t.Errorf("SYN %d at %s, connect(2) from %s to %s", i, s.At, spans[i][0], spans[i][1])
				}
				i++
			}
			if i != len(spans) {
				t.Errorf("%d SYNs, want %d", i, len(spans))
			}
		})
	}
}
