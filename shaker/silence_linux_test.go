package shaker

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestSilenceAgainstTheWire stops loops at each place of the leaving, for times around the 200 ms of the held-back ACK and well
// beyond, while the peer sends what makes an ACK leave at once: a SYN-ACK for a second time, right after the first or while the loop is
// stopped, or, as no TCP does without our ACK, an ACK, data or a FIN. What is said of each silence is held against the wire: none is called
// proven whose ACK left, and none broken whose ACK did not.
func TestSilenceAgainstTheWire(t *testing.T) {
	const before, between, after = "before the counters are read", "between reading and leaving", "after leaving"
	type stall struct {
		place string
		time  time.Duration
		flags byte          // of a segment after the SYN-ACK; 0: there is none
		delay time.Duration // of that segment
	}
	var stalls []stall
	for _, place := range []string{before, between, after} {
		for _, ms := range []int{0, 150, 170, 180, 185, 190, 195, 198, 200, 202, 204, 206, 210, 215, 220, 230, 400} {
			d := time.Duration(ms) * time.Millisecond
			stalls = append(stalls, stall{place, d, 0, 0}, stall{place, d, testnet.SYN | testnet.ACK, 0})
			if ms > 0 {
				for _, flags := range []byte{testnet.SYN | testnet.ACK, testnet.ACK, testnet.ACK | testnet.PSH, testnet.ACK | testnet.FIN} {
					stalls = append(stalls, stall{place, d, flags, 75 * time.Millisecond})
				}
			}
		}
	}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			s, answer := stalls[syn.To.Port()-1], syn.SYNACK(true)
			p.Send(answer)
			more := answer
			if more.Flags = s.flags; s.flags&testnet.SYN == 0 {
				more.Seq++
				more.Options = answer.Options[4:]
			}
			if s.flags&testnet.PSH != 0 {
				more.Payload = []byte("hello")
			}
			switch {
			case s.delay > 0:
				p.After(s.delay, func() { p.Send(more) })
			case s.flags != 0:
				p.Send(more)
			}
		}))
		results := make([]Result, len(stalls))
		var all sync.WaitGroup
		for i, s := range stalls {
			h, wait := hooks{}, func() { stop(s.time) }
			switch s.place {
			case before:
				h.beforeReading = wait
			case between:
				h.stall = wait
			case after:
				h.afterLeaving = wait
			}
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 4, hooks: h})
			all.Go(func() {
				defer e.Close()
				to := portOf(f.target(1).Addr(), 1+i)
				e.manners.set(&job{addr: to}, quiet) // so that mode Reuse has no guard
				batch, err := e.Submit(patient(t), []Probe{{Addr: to, Timeout: patience}})
				if err != nil {
					t.Error(err)
					return
				}
				for r := range batch.All() {
					results[i] = *r
				}
			})
		}
		all.Wait()
		said := map[string]map[Silence]int{before: {}, between: {}, after: {}}
		acks := 0
		for i, r := range results {
			s := stalls[i]
			what := fmt.Sprintf("%s %s, then %x after %s: %s, silence %s", s.time, s.place, s.flags, s.delay, r.String(), r.Silence)
			if r.Outcome != Open {
				t.Error(what)
				continue
			}
			var sent []string // by us: what the peer sends is noted as soon as it means to, before what was on the wire by then
			eventually(t, what+": the RST", func() bool {
				sent = peer.Sent(r.Source, r.Addr)
				return slices.Contains(sent, "RST")
			})
			acked := slices.Contains(sent[:slices.Index(sent, "RST")], "ACK")
			if acked {
				acks++
			}
			said[s.place][r.Silence]++
			switch {
			case acked && r.Silence == Proven, !acked && r.Silence == Broken:
				t.Errorf("%s: the wire says %v, of all %v", what, sent, peer.Flow(r.Source, r.Addr))
			case s.time >= 250*time.Millisecond && s.place != after && !acked:
				t.Errorf("%s: no ACK in %v: there was no fault to see", what, sent)
			}
		}
		t.Logf("%d of %d ACKs left; said %v", acks, len(stalls), said)
		if p := said[after][Proven]; p == 0 {
			t.Error("nothing was proven")
		}
	})
}
