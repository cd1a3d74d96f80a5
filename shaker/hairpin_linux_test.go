package shaker

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// hairpin makes a router that sends back to this host what is sent to the router's own address,
// which it returns.
func hairpin(t *testing.T, f family) netip.Addr {
	t.Helper()
	h := testnet.NewHost(t)
	x := f.of(h)
	h.Do(func() { testnet.Hairpin(t, x.host, x.near) })
	return x.host
}

// TestHairpin: this host probes its own closed ports under the address of its router. A SYN can
// come back to the socket that sent it, or to the socket of another probe, and the kernel then
// answers it. No address of the result is this host's own but the source. None of the closed ports
// is open, and a listener among them is.
func TestHairpin(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, ports = 50_000, 30
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50029")
		router := hairpin(t, f)
		probes, open := 20_000, uint16(low+7)
		if long() {
			probes = 400_000
		}
		testnet.ListenAt(t, netip.AddrPortFrom(f.unspecified(), open))
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe {
			return Probe{Addr: portOf(router, low+rng.IntN(ports)), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		unknown, wrong := 0, 0
		for _, r := range collect(t, batch, probes) {
			want := Refused
			if r.Addr.Port() == open {
				want = Open
			}
			switch {
			case r.Outcome == LocalError && r.Cause == LocalResources:
				unknown++
			case r.Outcome != want:
				if wrong++; wrong < 5 {
					t.Errorf("%s from %s, want %s", r.String(), r.Source, want)
				}
			}
		}
		s := e.Stats()
		t.Logf("%d crossings, %d wrong, %d not known of %d", s.Crossings, wrong, unknown, probes)
		if s.Crossings == 0 {
			t.Error("no SYN came back to us: this proves nothing")
		}
	})
}

// TestSourcePortIsTheTargets: a listener on another machine has a port number of those that probes
// are sent from. An answer to a probe from just that port proves nothing by itself. The target is
// asked again from another port and is open.
func TestSourcePortIsTheTargets(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, ports, asked = 50_000, 4, 200
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50003")
		h := testnet.NewHost(t)
		var l *listener
		h.Do(func() { l = testnet.ListenAt(t, portOf(f.of(h).host, low+1)) })
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for range asked {
			r, err := e.Check(patient(t), l.Addr, patience)
			if err != nil || r.Outcome != Open || r.Source.Port() == l.Addr.Port() {
				t.Fatalf("%s from %s, %v", r.String(), r.Source, err)
			}
		}
		eventually(t, "it is published", func() bool { return e.Stats().Done[Open] == asked })
		if s := e.Stats(); s.Crossings < asked/ports/4 {
			t.Errorf("%d answers were doubted, about %d were to be: this proves nothing", s.Crossings, asked/ports)
		}
		if n := l.Noticed(t); n != 0 && !stopped(e) {
			t.Errorf("%d noticed", n)
		}
	})
}

// TestSweepOfHighPorts: nine of ten ports that probes are sent from are knocked at for long. A
// listener is open all the same, and is not asked for often: a repeat leaves from a port at which
// nobody knocks.
func TestSweepOfHighPorts(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, most, asked = 50_000, 90, 500
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50099")
		testnet.NewPeer(t, func(*testnet.Peer, *testnet.Segment) {}) // says nothing
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		if _, err := e.Submit(ctx, probesOf(most, func(i int) Probe {
			return Probe{Addr: portOf(f.target(1).Addr(), low+i), Timeout: patience}
		})); err != nil {
			t.Fatal(err)
		}
		eventually(t, "they knock", func() bool { return e.Stats().InFlight == most })
		l := listen(t, f.loopback(0))
		for range asked {
			if r, err := e.Check(patient(t), l.Addr, patience); err != nil || r.Outcome != Open {
				t.Fatalf("%s, %v", r.String(), err)
			}
		}
		eventually(t, "it is published", func() bool { return e.Stats().Done[Open] == asked })
		if s := e.Stats(); s.Crossings < asked/2 || s.Crossings > asked*3 {
			t.Errorf("%d crossings for %d probes", s.Crossings, asked)
		}
	})
}

// TestSilenceAfterADoubt: an answer is doubted, and the SYN of the repeat is lost. The target is asked once more, for it may be up.
func TestSilenceAfterADoubt(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, half, asked = 50_000, 50, 20
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50099")
		mute, lossy := f.target(1), f.target(2)
		var lost atomic.Int64
		doubted := false // the last SYN left from a port that is knocked at, and was answered
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			if syn.To != lossy {
				return
			}
			if doubted {
				doubted = false
				lost.Add(1)
				return
			}
			doubted = syn.From.Port() < low+half
			p.Send(syn.SYNACK(true))
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		if _, err := e.Submit(ctx, probesOf(half, func(i int) Probe {
			return Probe{Addr: portOf(mute.Addr(), low+i), Timeout: patience}
		})); err != nil {
			t.Fatal(err)
		}
		eventually(t, "they knock", func() bool { return e.Stats().InFlight == half })
		for range asked {
			check(t, e, patient(t), lossy, 20*time.Millisecond, Open)
		}
		if lost.Load() == 0 {
			t.Error("no SYN was lost after a doubt: this proves nothing")
		}
	})
}

// TestPortsBelow1024: the kernel may be told to send from ports below 1024. A listener on this
// host, and one on another machine, is open all the same.
func TestPortsBelow1024(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const asked = 100
		testnet.Sysctl(t, "net/ipv4/ip_unprivileged_port_start", "0")
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "600 900")
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) { p.Send(syn.SYNACK(true)) }))
		here := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 2})
		for _, to := range []netip.AddrPort{here.Addr, f.target(1)} {
			for range asked {
				r, err := e.Check(patient(t), to, patience)
				if err != nil || r.Outcome != Open || r.Source.Port() < 600 || r.Source.Port() > 900 {
					t.Fatalf("%s from %s, %v", r.String(), r.Source, err)
				}
			}
		}
	})
}

// TestScanBelow1024: with such ports, probes to closed ports of this host meet as they do
// elsewhere, and none is open.
func TestScanBelow1024(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		testnet.Sysctl(t, "net/ipv4/ip_unprivileged_port_start", "0")
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "600 629")
		noneIsOpen(t, newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64}), f, 600)
	})
}
