package shaker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestResentSYNsOnTheWire measures what becomes of the SYNs that the kernel sends again after a second, all by itself and at no pace
// of ours, where probes of black holes behind a veth were started smoothly, and as fast as the loops go: how many of the first
// and of the second SYNs never left this host, and how many the queue of the far side lost. It prints; what it holds the
// kernel to is only that no SYN is there that nobody counted.
func TestResentSYNsOnTheWire(t *testing.T) {
	testnet.Private(t)
	probes := 3000
	if long() {
		probes = 14_000
	}
	for _, rate := range []float64{20_000, 0} {
		name := "unpaced"
		if rate > 0 {
			name = "paced"
		}
		t.Run(name, func(t *testing.T) {
			h := testnet.NewHost(t)
			sent, arrived := newSYNLog(), newSYNLog()
			near := testnet.NewTap(t, "host0", sent.see)
			var far *testnet.Tap
			h.Do(func() {
				testnet.Firewall(t, testnet.Rule{Hook: testnet.Input, To: h.Far4, Verdict: testnet.Drop})
				far = testnet.NewTap(t, "near0", arrived.see)
			})
			e := newEngine(t, Config{Mode: Reuse, Shards: 2, MaxInFlight: probes + probes/4, Rate: rate})
			if s := e.Stats(); s.MaxInFlight < probes {
				testnet.Skip(t, "too few in flight: "+s.MaxInFlightDetail)
			}
			before := testnet.Counters(t)
			batch, err := e.Submit(patient(t), probesOf(probes, func(i int) Probe {
				return Probe{Addr: netip.AddrPortFrom(h.Far4, uint16(1+i%60_000)), Timeout: 1500 * time.Millisecond}
			}))
			if err != nil {
				t.Fatal(err)
			}
			resent := 0
			for _, r := range collect(t, batch, probes) {
				if r.Outcome != TimedOut {
					t.Fatal(r.String())
				}
				resent += int(r.Retransmits)
			}
			near.Sync()
			h.Do(far.Sync)
			after := testnet.Counters(t)
			added := func(name string) int { return after[name] - before[name] }
			t.Logf("%d probes: %d first SYNs left this host and %d arrived; %d were sent again (TCPSynRetrans %d, TCPRetransFail %d), "+
				"%d of them left and %d arrived; at most %d first SYNs in a ms, and %d that were sent again",
				probes, len(sent.first), len(arrived.first), resent, added("TcpExtTCPSynRetrans"), added("TcpExtTCPRetransFail"),
				len(sent.again), len(arrived.again), crowd(sent.first, time.Millisecond), crowd(sent.again, time.Millisecond))
			if len(sent.first) > probes || len(sent.again) > resent || len(arrived.first)+len(arrived.again) > len(sent.first)+len(sent.again) {
				t.Error("more on the wire than was sent")
			}
		})
	}
}

// synLog is when a tap has seen the first SYN of each flow, and those that came after it.
type synLog struct {
	seen         map[[2]netip.AddrPort]bool
	first, again []time.Time
}

func newSYNLog() *synLog { return &synLog{seen: map[[2]netip.AddrPort]bool{}} }

func (l *synLog) see(s *testnet.Segment) {
	if s.Flags&(testnet.SYN|testnet.ACK) != testnet.SYN {
		return
	}
	if ends := [2]netip.AddrPort{s.From, s.To}; l.seen[ends] {
		l.again = append(l.again, s.At)
	} else {
		l.seen[ends] = true
		l.first = append(l.first, s.At)
	}
}
