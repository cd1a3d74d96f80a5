package server

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestDeadlineDecidesTheSameEachTime asks a real engine about silent targets, with the deadlines
// that callers use and without a timeout. All runs of one deadline must have the same reason, as
// long as the machine lets this process run at least every lateSilence. A longer stop can only cut
// off.
func TestDeadlineDecidesTheSameEachTime(t *testing.T) {
	engine, err := shaker.New(shaker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(Config{Prober: FromEngine(engine), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	const runs, apart = 20, 25 * time.Millisecond // so that the test is not its own load
	stopped := watchStops(t)

	var wg sync.WaitGroup
	var mu sync.Mutex
	var late []string // runs that were cut off, and should not have been
	for _, test := range []struct {
		deadline  time.Duration
		attempts  uint32
		want      tcpshakerv1.Reason
		attempted uint32
		detail    string // what it names
	}{
		{1000 * time.Millisecond, 1, cutOff, 1, "timeout of 2s"},
		{1300 * time.Millisecond, 1, cutOff, 1, "timeout of 2s"}, // 1.18 s is too short
		{1500 * time.Millisecond, 1, timeout, 1, "within 1.3"},
		{2000 * time.Millisecond, 1, timeout, 1, "within 1.8"},
		{2500 * time.Millisecond, 1, timeout, 1, "within 2s"},
		{5000 * time.Millisecond, 1, timeout, 1, "within 2s"},
		{1000 * time.Millisecond, 3, cutOff, 1, "after 0 of 3"},
		{1300 * time.Millisecond, 3, cutOff, 1, "after 0 of 3"},
		{1500 * time.Millisecond, 3, cutOff, 1, "after 0 of 3"},
		{2000 * time.Millisecond, 3, cutOff, 1, "after 0 of 3"},
		{2500 * time.Millisecond, 3, cutOff, 2, "after 1 of 3"},
		{5000 * time.Millisecond, 3, timeout, 3, "within 1.6"},
	} {
		targets := [...]string{
			silentTarget(t, netip.MustParseAddr("127.0.0.1")), silentTarget(t, netip.IPv6Loopback()),
		}
		for run := range runs {
			wg.Go(func() {
				time.Sleep(time.Duration(run) * apart)
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				defer cancel()
				got, err := s.Check(ctx, &tcpshakerv1.CheckRequest{
					Targets: []string{targets[run%len(targets)]},
					Options: &tcpshakerv1.CheckOptions{Attempts: test.attempts},
				})
				r := &tcpshakerv1.CheckResult{Reason: cutOff}
				if err == nil {
					r = got.Results[0]
				}
				what := fmt.Sprintf("deadline %v, %d attempts, run %d: %v, %v, want %v, %d attempted, %q",
					test.deadline, test.attempts, run, r, err, test.want, test.attempted, test.detail)
				switch {
				case status.Code(err) == codes.DeadlineExceeded, err == nil && r.Reason == cutOff && test.want == timeout:
					mu.Lock()
					late = append(late, what)
					mu.Unlock()
				case err != nil, r.Reason != test.want, r.Attempted != test.attempted, !strings.Contains(r.Detail, test.detail),
					strings.Contains(r.Detail, "set options.timeout below the deadline") != (test.want == cutOff):
					t.Error(what)
				}
			})
		}
	}
	wg.Wait()
	longest := max(stopped(), engine.Stats().LongestTurn)
	if len(late) == 0 {
		return
	}
	if longest <= lateSilence {
		t.Errorf("the longest stop was %v, but %d runs were cut off:\n%s", longest, len(late), strings.Join(late, "\n"))
	}
	t.Logf("this machine stopped the test for %v; %d of its runs were cut off", longest, len(late))
}

// watchStops watches how long this process is kept from running. The returned function ends that,
// and returns the longest stop.
func watchStops(t *testing.T) func() time.Duration {
	const tick = 5 * time.Millisecond
	end, longest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-time.After(tick):
			case <-end:
				longest <- most
				return
			}
			now := time.Now()
			most = max(most, now.Sub(last)-tick)
			last = now
		}
	}()
	stop := sync.OnceValue(func() time.Duration {
		close(end)
		return <-longest
	})
	t.Cleanup(func() { stop() })
	return stop
}

// silentTarget returns a target that answers nothing: a listener whose queue, of length 0, is
// full.
func silentTarget(t *testing.T, ip netip.Addr) string {
	t.Helper()
	listener := tcpSocket(t, ip)
	if err := syscall.Listen(listener, 0); err != nil {
		t.Fatal("listen:", err)
	}
	bound, err := syscall.Getsockname(listener)
	if err != nil {
		t.Fatal("getsockname:", err)
	}
	if err := syscall.Connect(tcpSocket(t, ip), bound); err != nil {
		t.Fatal("connect:", err)
	}
	switch bound := bound.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(ip, uint16(bound.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(ip, uint16(bound.Port)).String()
	default:
		t.Fatalf("address %v", bound)
		return ""
	}
}

// tcpSocket returns a blocking socket that is bound to a free port of ip and closed with the test.
func tcpSocket(t *testing.T, ip netip.Addr) int {
	t.Helper()
	family, addr := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: ip.As16()})
	if ip.Is4() {
		family, addr = syscall.AF_INET, &syscall.SockaddrInet4{Addr: ip.As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal("socket:", err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, addr); err != nil {
		t.Fatal("bind:", err)
	}
	return fd
}
