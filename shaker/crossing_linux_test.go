package shaker

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// untilTheyMeet asks for batches of ports of this host until an answer may have been our own, which takes loops that run at the same
// time: a busy machine can make that rare. It gives each result to judge.
func untilTheyMeet(t *testing.T, e *Engine, ip netip.Addr, low, ports int, judge func(r *Result)) {
	t.Helper()
	const probes = 20_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for began, rounds := time.Now(), 0; rounds == 0 || e.Stats().Crossings == 0; rounds++ {
		if time.Since(began) > patience/4 {
			t.Error("no crossing was seen: this proves nothing")
			return
		}
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe {
			return Probe{Addr: portOf(ip, low+rng.IntN(ports)), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		unknown := 0
		for _, r := range collect(t, batch, probes) {
			if r.Outcome == LocalError && r.Cause == LocalResources { // asked many times, and each time perhaps by ourselves
				unknown++
			} else {
				judge(&r)
			}
		}
		if unknown > probes/50 {
			t.Errorf("%d of %d not known", unknown, probes)
		}
	}
	s := e.Stats()
	t.Logf("%d crossings, %d self-connects, %d stale resets, %d not known", s.Crossings, s.SelfConnects, s.StaleResets, s.Done[LocalError])
}

// TestProbesThatMeetAreNoAnswer: with few source ports, two probes to closed ports of this host meet every so often, where the
// source of each is the target of the other, and the kernel connects them. Nobody listens there, and nobody is to be called
// open; nor is a listener among the closed ports to be called closed.
func TestProbesThatMeetAreNoAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50029")
		noneIsOpen(t, newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64}), f, 50_000)
	})
}

// TestPortsMove: the ports that probes are sent from are others than when the engine was made: the sysctl was changed meanwhile.
func TestPortsMove(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64})
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "20000 20029")
		noneIsOpen(t, e, f, 20_000)
	})
}

// noneIsOpen probes 30 ports of this host until probes have met; one of them has a listener.
func noneIsOpen(t *testing.T, e *Engine, f family, low int) {
	t.Helper()
	l := testnet.ListenAt(t, portOf(f.loopback(0), low+7))
	untilTheyMeet(t, e, f.loopback(0), low, 30, func(r *Result) {
		want := Refused
		if r.Addr == l.Addr {
			want = Open
		}
		if r.Outcome != want {
			t.Errorf("%s, want %s", r.String(), want)
		}
	})
	if n := l.Noticed(t); n != 0 && !stopped(e) {
		t.Errorf("%d noticed", n)
	}
}

// TestKnockingElsewhere: half of the ports that probes are sent from are knocked at for long, so half of a listener's answers may be
// no answers. Each is asked for again from a port that has nothing to do with the last one, until one is beyond doubt.
func TestKnockingElsewhere(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, half, asked = 50_000, 50, 500
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50099")
		testnet.NewPeer(t, func(*testnet.Peer, *testnet.Segment) {}) // says nothing
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		if _, err := e.Submit(ctx, probesOf(half, func(i int) Probe {
			return Probe{Addr: portOf(f.target(1).Addr(), low+i), Timeout: patience}
		})); err != nil {
			t.Fatal(err)
		}
		eventually(t, "they knock", func() bool { return e.Stats().InFlight == half })
		l := listen(t, f.loopback(0))
		for range asked {
			if r, err := e.Check(patient(t), l.Addr, patience); err != nil || r.Outcome != Open {
				t.Fatalf("%s, %v", r.String(), err)
			}
		}
		eventually(t, "it is published", func() bool { return e.Stats().Done[Open] == asked })
		if s := e.Stats(); s.Crossings < asked/4 || s.Crossings > asked*4 {
			t.Errorf("%d crossings, about %d were to be: this proves nothing", s.Crossings, asked)
		}
	})
}

// TestScanOfThisHost: every port that probes are sent from, twice, many at once, with a few listeners among them.
func TestScanOfThisHost(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		low, high := localPorts()
		open := map[netip.AddrPort]*listener{}
		for range 20 {
			l := testnet.ListenAt(t, portOf(f.loopback(0), 0)) // one of them
			open[l.Addr] = l
		}
		e := newEngine(t, Config{Mode: mode, Shards: 2})
		n := high - low + 1
		batch, err := e.Submit(patient(t), probesOf(2*n, func(i int) Probe {
			return Probe{Addr: netip.AddrPortFrom(f.loopback(0), uint16(low+i%n)), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, batch, 2*n) {
			want := Refused
			if open[r.Addr] != nil {
				want = Open
			}
			if r.Outcome != want {
				t.Errorf("%s, want %s", r.String(), want)
			}
		}
		s := e.Stats()
		t.Logf("%d crossings, %d self-connects, %d stale resets", s.Crossings, s.SelfConnects, s.StaleResets)
		if s.Done[LocalError] != 0 {
			t.Errorf("%d not known", s.Done[LocalError])
		}
	})
}
