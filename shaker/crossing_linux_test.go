package shaker

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestProbesThatMeetAreNoAnswer: with few source ports, two probes to closed ports of this host meet every so often, where the
// source of each is the target of the other, and the kernel connects them. Nobody listens there, and nobody is to be called
// open; nor is a listener among the closed ports to be called closed.
func TestProbesThatMeetAreNoAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, ports, probes = 50_000, 30, 20_000
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50029")
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64})
		l := testnet.ListenAt(t, portOf(f.loopback(0), low+7))
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe {
			return Probe{Addr: netip.AddrPortFrom(f.loopback(0), uint16(low+rng.IntN(ports))), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		unknown, limit := 0, probes/50
		for _, r := range collect(t, batch, probes) {
			want := Refused
			if r.Addr == l.Addr {
				want = Open
			}
			switch {
			case r.Outcome == want:
			case r.Outcome == LocalError && r.Cause == LocalResources: // asked four times, and each time perhaps by ourselves
				unknown++
			default:
				t.Fatalf("%s, want %s", r.String(), want)
			}
		}
		s := e.Stats()
		t.Logf("%d crossings, %d self-connects, %d not known", s.Crossings, s.SelfConnects, unknown)
		if unknown > limit {
			t.Errorf("%d of %d not known", unknown, probes)
		}
		if s.Crossings == 0 {
			t.Error("no two probes ever met: this proves nothing")
		}
		if n := l.Noticed(t); n != 0 && !stopped(e) {
			t.Errorf("%d noticed", n)
		}
	})
}

// TestPortsMove: the ports that probes are sent from are others than when the engine was made: the sysctl was changed meanwhile.
func TestPortsMove(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, ports, probes = 20_000, 30, 15_000
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64})
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "20000 20029")
		batch, err := e.Submit(patient(t), probesOf(probes, func(i int) Probe {
			return Probe{Addr: portOf(f.loopback(0), low+i*7%ports), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Refused && !(r.Outcome == LocalError && r.Cause == LocalResources) {
				t.Errorf("%s, want refused", r.String())
			}
		}
		if s := e.Stats(); s.Crossings == 0 {
			t.Error("no crossing was seen")
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
