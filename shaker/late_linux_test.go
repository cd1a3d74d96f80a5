package shaker

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// clockAt is a time as the engine's clock has it.
func clockAt(t time.Time) int64 { return int64(t.Sub(epoch)) }

// TestAnswersAroundTheDeadline: SYN-ACKs at 0.9, 1.0 and 1.1 of the timeout. What the kernel has had before the deadline is an
// answer, however late the loop comes; what came after it is none, but where the loop was so late that it found it.
func TestAnswersAroundTheDeadline(t *testing.T) {
	const each, tries = 40, 5
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for try := range tries { // on a busy machine all can be too late, or the loop so late that it finds all
			ok := false
			t.Run(fmt.Sprintf("try=%d", try+1), func(t *testing.T) { ok = aroundTheDeadline(t, mode, f, each) })
			if ok || t.Failed() {
				return
			}
		}
		t.Error("no answer in time, or none too late: this proves nothing")
	})
}

// aroundTheDeadline reports whether there were answers in time, and answers too late.
func aroundTheDeadline(t *testing.T, mode Mode, f family, each int) bool {
	const timeout = 150 * time.Millisecond
	var mu sync.Mutex
	sent, heard := map[netip.AddrPort]time.Time{}, map[netip.AddrPort]time.Time{}
	delays := [...]time.Duration{timeout * 9 / 10, timeout, timeout * 11 / 10}
	peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
		answer, delay := syn.SYNACK(true), delays[int(syn.To.Port())%len(delays)]
		p.After(delay-time.Since(syn.At), func() {
			began := time.Now()
			done := p.Send(answer)
			mu.Lock()
			defer mu.Unlock()
			sent[answer.From], heard[answer.From] = began, done
		})
	}))
	e := newEngine(t, Config{Mode: mode, Shards: 1})
	asked := clock()
	batch, err := e.Submit(patient(t), probesOf(each*len(delays), func(i int) Probe {
		return Probe{Addr: netip.AddrPortFrom(f.target(1+i/len(delays)).Addr(), uint16(300+i%len(delays))), Timeout: timeout}
	}))
	if err != nil {
		t.Fatal(err)
	}
	results := collect(t, batch, each*len(delays))
	over := clock()
	peer.Close() // every answer has been sent
	var open [len(delays)]int
	for i, r := range results {
		began, done := sent[r.Addr], heard[r.Addr]
		deadline := asked + int64(r.Queued) + int64(timeout) // at the earliest
		switch r.Outcome {
		case Open:
			open[i%len(delays)]++
			if clockAt(began) > over || r.Elapsed < delays[i%len(delays)] {
				t.Errorf("%s after %s: not yet answered", r.String(), r.Elapsed)
			}
		case TimedOut:
			if !done.IsZero() && clockAt(done) <= deadline { // or its SYN was never read
				t.Errorf("%s: the answer was there %s before the deadline", r.String(), time.Duration(deadline-clockAt(done)))
			}
			if r.Elapsed < timeout {
				t.Errorf("%s: cut short after %s", r.String(), r.Elapsed)
			}
		default:
			t.Error(r.String())
		}
	}
	t.Logf("of %d each, open at 0.9: %d, at 1.0: %d, at 1.1: %d", each, open[0], open[1], open[2])
	return open[0] > 0 && open[2] < each
}

// TestStaleAnswersAnswerNobody: what a target says to an earlier handshake, when the same source port, and in mode Reuse the same
// socket, is at the next one, to the same target or another, is no answer to that. It is neither up nor refused for it.
func TestStaleAnswersAnswerNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		tried, again := 0, 0 // of those whose first socket may be used again
		for _, first := range []Outcome{Open, Refused, TimedOut} {
			for _, stale := range []string{"SYN-ACK", "RST"} {
				for _, same := range []bool{true, false} {
					for _, then := range []Outcome{TimedOut, Open} {
						t.Run(fmt.Sprintf("first=%s/stale=%s/same=%t/then=%s", first, stale, same, then), func(t *testing.T) {
							sockets := staleAnswer(t, mode, f, first, stale, same, then)
							if mode == Fresh || first == TimedOut {
								if sockets == 1 {
									t.Error("a socket was used again")
								}
								return
							}
							if tried++; sockets == 1 {
								again++
							} else {
								t.Logf("%d sockets", sockets)
							}
						})
					}
				}
			}
		}
		if again*10 < tried*9 {
			t.Errorf("%d of %d sockets were used again: this proves little", again, tried)
		}
	})
}

// staleAnswer returns how many sockets there were.
func staleAnswer(t *testing.T, mode Mode, f family, first Outcome, stale string, same bool, then Outcome) uint64 {
	a, b := f.target(1), f.target(2)
	if same {
		b = a
	}
	var old *testnet.Segment // the first SYN
	peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
		if old == nil {
			switch old = syn; first {
			case Open:
				p.Send(syn.SYNACK(true))
			case Refused:
				p.Send(syn.RST())
			default:
			}
			return
		}
		if stale == "SYN-ACK" {
			p.Send(old.SYNACK(true))
		} else {
			p.Send(old.RST())
		}
		if then == Open {
			p.Send(syn.SYNACK(true))
		}
	}))
	e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: onePort()}})
	timeout := 10 * time.Millisecond
	if first != TimedOut {
		timeout = patience
	}
	r1, err := e.Check(patient(t), a, timeout)
	if err != nil || r1.Outcome != first {
		t.Fatalf("first: %s, %v", r1.String(), err)
	}
	if timeout = 10 * time.Millisecond; then == Open {
		timeout = patience
	}
	r2, err := e.Check(patient(t), b, timeout)
	if err != nil || r2.Outcome != then {
		t.Errorf("second: %s, want %s, %v; wire %v", r2.String(), then, err, peer.Flow(r2.Source, b))
	}
	if r1.Source != r2.Source {
		t.Errorf("from %s and %s: this proves nothing", r1.Source, r2.Source)
	}
	return e.Stats().SocketsOpened
}
