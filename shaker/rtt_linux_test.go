package shaker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestRoundTripsAndRetransmits agree with what the peer did: it answers the n-th SYN after a delay, with TCP timestamps and
// without. The round trip is within 2 ms of what the peer's clock says, whatever the peer's own delay was. After a retransmit the kernel
// cannot tell it without timestamps (Karn's rule), and with them tells it in whole milliseconds. Retransmits are exact.
func TestRoundTripsAndRetransmits(t *testing.T) {
	const grain, warm = 2 * time.Millisecond, 1000
	most := 2
	if long() {
		most = 4
	}
	type script struct {
		nth        int // the SYN that is answered
		delay      time.Duration
		timestamps bool
	}
	var scripts []script
	for nth := 1; nth <= most; nth++ {
		for _, delay := range []time.Duration{0, 5 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond} {
			scripts = append(scripts, script{nth, delay, true}, script{nth, delay, false})
		}
	}
	type times struct{ syn, sent, heard time.Time }
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		var mu sync.Mutex
		wire := map[netip.AddrPort]times{}
		peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			if syn.To.Port() == warm {
				p.Send(syn.SYNACK(true))
				return
			}
			s := scripts[syn.To.Port()-1]
			if p.SYNs(syn) != s.nth {
				return
			}
			answer, came := syn.SYNACK(s.timestamps), syn.At
			p.After(s.delay, func() {
				sent := time.Now()
				heard := p.Send(answer)
				mu.Lock()
				defer mu.Unlock()
				wire[answer.From] = times{came, sent, heard}
			})
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		// In mode Reuse the sockets have been used before, with a shorter round trip.
		first, err := e.Submit(patient(t), probesOf(len(scripts), func(i int) Probe {
			return Probe{Addr: portOf(f.target(2+i).Addr(), warm), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		collect(t, first, len(scripts))
		asked := clock()
		batch, err := e.Submit(patient(t), probesOf(len(scripts), func(i int) Probe {
			return Probe{Addr: portOf(f.target(1).Addr(), 1+i), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		results := collect(t, batch, len(scripts))
		peer.Close()
		var errors, unknown []time.Duration // unknown is what a busy machine, on which the peer comes late to its own SYNs, adds
		for i, r := range results {
			s, w := scripts[i], wire[r.Addr]
			what := fmt.Sprintf("SYN %d answered after %s, timestamps %t: %s, RTT %s of %s", s.nth, s.delay, s.timestamps, r.String(), r.RTT, r.Elapsed)
			if r.Outcome != Open || r.Retransmits != uint32(s.nth-1) || r.Silence == Broken && !slices.Contains(peer.Sent(r.Source, r.Addr), "ACK") || (r.Options&Timestamps != 0) != s.timestamps {
				t.Errorf("%s, %d retransmits, silence %s, options %s", what, r.Retransmits, r.Silence, r.Options)
				continue
			}
			// The SYN left between the begin of the probe, for the first one, and its coming to the peer.
			least, most := w.sent.Sub(w.syn), time.Duration(clockAt(w.heard)-asked-int64(r.Queued))
			switch {
			case s.nth > 1 && !s.timestamps:
				if r.RTT != 0 {
					t.Error(what + ": nobody can know")
				}
				continue
			case s.nth > 1:
				most -= time.Duration(s.nth-1)*time.Second - 5*grain // when it was sent again, but for the grain of timers
				if r.RTT%time.Millisecond != 0 || r.RTT == 0 {
					t.Error(what + ": not in whole milliseconds")
				}
			}
			if r.RTT < least-grain || r.RTT > most+grain {
				t.Errorf("%s: want %s to %s", what, least-grain, most+grain)
			}
			errors = append(errors, (r.RTT - least).Abs())
			unknown = append(unknown, most-least)
		}
		slices.Sort(errors)
		slices.Sort(unknown)
		t.Logf("off by %s in the median, %s at most; the peer's clock leaves open %s in the median",
			errors[len(errors)/2], errors[len(errors)-1], unknown[len(unknown)/2])
	})
}
