package shaker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestNeighbourForgotten: that this host forgets its neighbour's link-layer address changes
// nothing, at any time of a handshake.
func TestNeighbourForgotten(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		h := testnet.NewHost(t)
		x := f.of(h)
		l := listenAt(t, h, x.host)
		forget := func() {
			t.Helper()
			if err := h.ForgetNeighbour(x.host); err != nil {
				t.Fatal(err)
			}
		}
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		check(t, e, patient(t), l.Addr, patience, Open)
		forget()
		check(t, e, patient(t), l.Addr, patience, Open)
		var undo func() error
		var err error
		h.Do(func() {
			undo, err = testnet.Forbid(testnet.Rule{Hook: testnet.Input, To: x.host, Port: l.Addr.Port(), Verdict: testnet.Drop})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			timeout time.Duration
			want    Outcome
		}{{noResend, TimedOut}, {patience, Open}} {
			b, err := e.Submit(patient(t), []Probe{{Addr: l.Addr, Timeout: c.timeout}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the SYN is under way", func() bool { return e.Stats().InFlight > 0 })
			forget()
			if c.want == Open {
				if err := undo(); err != nil {
					t.Fatal(err)
				}
			}
			if r := collect(t, b, 1)[0]; r.Outcome != c.want {
				t.Errorf("%s, want %s", r.String(), c.want)
			}
		}
	})
}

// TestNeighbourBehindADeadWire: a neighbour cannot answer ARP or neighbour discovery over a link
// without a carrier. The kernel calls that "host unreachable", and it is our own trouble.
func TestNeighbourBehindADeadWire(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		h := testnet.NewHost(t)
		h.ImpatientNeighbours()
		x := f.of(h)
		l := listenAt(t, h, x.host)
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		check(t, e, patient(t), l.Addr, patience, Open)
		second, bits := netip.MustParseAddr("198.51.100.9"), 24
		if f.v6 {
			second, bits = netip.MustParseAddr("2001:db8:51::9"), 64
		}
		if err := h.SendFrom(second, x.host, bits); err != nil { // over IPv4 the kernel reports from the first address all the same
			t.Fatal(err)
		}
		if r := check(t, e, patient(t), l.Addr, patience, Open); r.Source.Addr() != second {
			t.Errorf("sent from %s", r.Source)
		}
		if err := h.ForgetNeighbour(x.host); err != nil {
			t.Fatal(err)
		}
		if err := h.Cut(); err != nil {
			t.Fatal(err)
		}
		if r := check(t, e, patient(t), l.Addr, patience, LocalError); r.Cause != NoRoute || r.Event != CarrierLost {
			t.Errorf("%s", r.String())
		}
	})
}
