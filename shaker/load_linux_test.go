package shaker

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// The kernel drops a SYN for a listener without SYN cookies that has more unfinished handshakes
// than its backlog (inet_csk_reqsk_queue_is_full, include/net/inet_connection_sock.h), or that
// fills three quarters of net.ipv4.tcp_max_syn_backlog (tcp_conn_request, net/ipv4/tcp_input.c).
// Answers that come slowly, as from a machine far away, keep as many handshakes unfinished as are
// in flight.

// farWithoutCookies returns a host without SYN cookies that sends so many answers a second at most.
func farWithoutCookies(t *testing.T, perSecond uint32) *testnet.Host {
	t.Helper()
	testnet.Private(t)
	h := testnet.NewHost(t)
	h.Do(func() {
		testnet.Sysctl(t, "net/ipv4/tcp_syncookies", "0")
		testnet.Sysctl(t, "net/ipv4/tcp_max_syn_backlog", "2048")
	})
	h.SlowAnswers(perSecond)
	return h
}

// load makes n handshakes with one port of the host, as fast as they go, and returns how many were
// silent and how many SYNs the listener dropped.
func load(t *testing.T, h *testnet.Host, ip netip.Addr, c Config, backlog, n int, timeout time.Duration) (silent, dropped int) {
	t.Helper()
	var l *testnet.Listener
	h.Do(func() { l = testnet.ListenBacklog(t, ip, backlog) })
	defer acceptAll(t, l.FD)()
	e := newEngine(t, c)
	defer e.Close()
	before := h.Counters()
	batch, err := e.Submit(patient(t), probesOf(n, func(int) Probe { return Probe{Addr: l.Addr, Timeout: timeout} }))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range collect(t, batch, n) {
		switch r.Outcome {
		case Open:
		case TimedOut:
			silent++
		default:
			t.Fatal(r.String())
		}
	}
	after := h.Counters()
	added := func(name string) int { return after[name] - before[name] }
	// A loop that this machine stops for 200 ms is noticed, and fills the queue of those to be
	// accepted: the overflows, which are drops too.
	return silent, added("TcpExtListenDrops") - added("TcpExtListenOverflows")
}

// acceptAll accepts and closes what comes to a listener, until the function that it returns is
// called.
func acceptAll(t *testing.T, listener int) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	var accepting sync.WaitGroup
	accepting.Go(func() {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		for !stopped.Load() {
			if n, _ := unix.Poll(ready, 10); n > 0 {
				if fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC); err == nil {
					unix.Close(fd)
				}
			}
		}
	})
	return func() {
		stopped.Store(true)
		accepting.Wait()
	}
}

// TestOurLoadIsNotSilence: a listener with a backlog of 128 and without SYN cookies drops no SYN of
// ours in 5,000 handshakes (20,000 in the long form) with its one port, however slowly it answers.
// A bound that equals the backlog does the same for smaller ones.
func TestOurLoadIsNotSilence(t *testing.T) {
	probes := 5000
	if long() {
		probes = 20_000
	}
	tests := []struct{ bound, backlog, probes int }{{0, 128, probes}, {16, 16, 2000}, {4, 4, 1000}, {1, 1, 500}}
	h := farWithoutCookies(t, 10_000)
	for _, mode := range modes {
		for _, test := range tests {
			for _, ip := range []netip.Addr{h.Far4, h.Far6} {
				if ip.Is6() && !long() {
					continue
				}
				c := Config{Mode: mode, Shards: 2, MaxInFlightPerAddress: test.bound}
				if test.bound == 1 {
					c.Shards = 1 // each has one at least
				}
				silent, dropped := load(t, h, ip, c, test.backlog, test.probes, patience)
				if silent != 0 || dropped != 0 {
					t.Errorf("%s to %s: %d silent of %d, %d SYNs dropped at listen(%d)", mode, ip, silent, test.probes, dropped, test.backlog)
				}
			}
		}
	}
}

// TestSharesOfSilence measures, with one port without SYN cookies, how many handshakes our own load
// makes silent where the backlog is smaller than the bound: with the default bound, and with none
// but that of the ports. It prints; it fails only if listen(1) dropped nothing, because a turn of
// the loop alone starts 16 handshakes.
func TestSharesOfSilence(t *testing.T) {
	runs, probes := 1, 2000
	if long() {
		runs, probes = 3, 10_000
	}
	h := farWithoutCookies(t, 5000)
	for _, bound := range []int{DefaultMaxInFlightPerAddress, MaxMaxInFlightPerAddress} {
		for _, backlog := range []int{1, 4, 16} {
			for _, mode := range modes {
				var shares string
				for range runs {
					c := Config{Mode: mode, Shards: 1, MaxInFlightPerAddress: bound}
					silent, dropped := load(t, h, h.Far4, c, backlog, probes, 200*time.Millisecond)
					shares += fmt.Sprintf(" %d", silent)
					if dropped == 0 && backlog == 1 {
						t.Errorf("%s, listen(%d), %d in flight: the listener dropped no SYN", mode, backlog, bound)
					}
				}
				t.Logf("listen(%d), at most %d in flight, %s: of %d handshakes silent:%s", backlog, bound, mode, probes, shares)
			}
		}
	}
}

// TestBoundOfAnAddress: the parts of the shards add up to the bound in force, which is at least one
// per shard and at most half of the ports; and so many are in flight.
func TestBoundOfAnAddress(t *testing.T) {
	for _, test := range []struct{ shards, asked, ports, want int }{
		{1, 0, 28_232, 128},
		{2, 0, 28_232, 128},
		{3, 0, 28_232, 128},
		{3, 7, 28_232, 7},
		{5, 3, 28_232, 5},
		{1, 1, 28_232, 1},
		{2, 65_535, 100, 50},
		{2, 0, 10, 5},
		{4, 0, 1, 4},
	} {
		mute := silent(t, families[0].loopback(0))
		e := newEngine(t, Config{Shards: test.shards, MaxInFlightPerAddress: test.asked, hooks: hooks{ports: func() (int, int) {
			return 60_999 - test.ports + 1, 60_999
		}}})
		sum := 0
		for _, s := range e.shards {
			if s.addresses.limit < 1 {
				t.Errorf("%+v: a shard may have %d in flight", test, s.addresses.limit)
			}
			sum += s.addresses.limit
		}
		if got := e.Stats().MaxInFlightPerTarget; got != test.want || sum != got {
			t.Errorf("%+v: %d in force, the parts of the shards are %d together", test, got, sum)
		}
		if test.ports < test.want {
			continue
		}
		ctx, cancel := context.WithCancel(patient(t))
		batch, err := e.Submit(ctx, probesOf(1000, func(int) Probe { return Probe{Addr: mute, Timeout: patience} }))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "as many as may be are in flight", func() bool { return e.Stats().InFlight >= test.want })
		for range 10 {
			if n := e.Stats().InFlight; n > test.want {
				t.Fatalf("%+v: %d in flight", test, n)
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		drain(batch)
	}
}
