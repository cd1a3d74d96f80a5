package shaker

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// unasked are segments that a peer may send after its SYN-ACK though it has no ACK of ours, each
// made of that SYN-ACK.
var unasked = map[string]func(answer testnet.Segment) []testnet.Segment{
	"data": func(a testnet.Segment) []testnet.Segment { return behind(a, testnet.PSH, 0, 5) },
	"FIN":  func(a testnet.Segment) []testnet.Segment { return behind(a, testnet.FIN, 0, 0) },
	"data and FIN": func(a testnet.Segment) []testnet.Segment {
		return append(behind(a, testnet.PSH, 0, 900), behind(a, testnet.FIN, 900, 0)...)
	},
	"many segments": func(a testnet.Segment) []testnet.Segment {
		return slices.Concat(behind(a, 0, 0, 1400), behind(a, 0, 1400, 1400), behind(a, testnet.PSH, 2800, 1400))
	},
	"data with a gap":   func(a testnet.Segment) []testnet.Segment { return behind(a, testnet.PSH, 1000, 500) },
	"data out of range": func(a testnet.Segment) []testnet.Segment { return behind(a, testnet.PSH, 1<<20, 500) },
}

// behind makes a segment that lies some bytes behind a SYN-ACK.
func behind(answer testnet.Segment, flags byte, after, length int) []testnet.Segment {
	s := answer
	s.Flags = testnet.ACK | flags
	s.Seq += 1 + uint32(after)
	s.Options = answer.Options[4:] // the timestamps
	s.Payload = make([]byte, length)
	return []testnet.Segment{s}
}

// TestDataBehindTheAnswer: a peer sends what TCP would acknowledge at once, just after the counters
// of the socket were read and before we leave. No ACK leaves. The silence of an honest peer is
// proven, on the same sockets.
func TestDataBehindTheAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for kind, segments := range unasked {
			t.Run(strings.ReplaceAll(kind, " ", "_"), func(t *testing.T) {
				honest := f.target(1)
				answers := make(chan testnet.Segment, 1)
				peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
					answer := syn.SYNACK(true)
					if syn.To != honest {
						answers <- answer
					}
					p.Send(answer)
				}))
				stall := func() { // of the honest peer there is no answer here
					select {
					case answer := <-answers:
						for _, s := range segments(answer) {
							peer.Send(s)
						}
					default:
					}
				}
				e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1, hooks: hooks{stall: stall}})
				for k := range 10 {
					rude := f.target(10 + k) // of which nothing is known
					r := check(t, e, patient(t), rude, patience, Open)
					noACK(t, peer, e, &r)
					r = check(t, e, patient(t), honest, patience, Open)
					if r.Silence != Proven && !stopped(e) {
						t.Errorf("honest: silence %s", r.Silence)
					}
				}
				if n := e.Stats().SocketsOpened; mode == Reuse && n != 1 {
					t.Errorf("%d sockets: this is about one that is deaf now and then", n)
				}
			})
		}
	})
}

// noACK checks that we sent a peer no ACK before our RST, unless the loop was stopped.
func noACK(t *testing.T, peer *testnet.Peer, e *Engine, r *Result) {
	t.Helper()
	eventually(t, "the RST", func() bool { return slices.Contains(peer.Sent(r.Source, r.Addr), "RST") })
	sent := peer.Sent(r.Source, r.Addr)
	if slices.Contains(sent, "ACK") && (r.Silence == Proven || !stopped(e)) {
		t.Errorf("silence %s, and we sent %v", r.Silence, sent)
	}
}

// TestTalkativePeer: a peer that sends data right behind each SYN-ACK, at full load: many probes,
// and no silence is called proven of which an ACK was on the wire.
func TestTalkativePeer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		probes := 3000
		if long() {
			probes = 100_000
		}
		var mu sync.Mutex
		type ends struct{ from, to netip.AddrPort }
		acked := map[ends]bool{} // of the probe under way between them
		said := 0                // ACKs
		var resets atomic.Uint64
		testnet.NewQuietPeer(t, func(p *testnet.Peer, s *testnet.Segment) {
			switch s.Kind() {
			case "SYN":
				mu.Lock()
				acked[ends{s.From, s.To}] = false
				mu.Unlock()
				answer := s.SYNACK(true)
				p.Send(answer)
				for _, more := range behind(answer, testnet.PSH, 0, 20) {
					p.Send(more)
				}
			case "ACK":
				mu.Lock()
				acked[ends{s.From, s.To}] = true
				said++
				mu.Unlock()
			case "RST":
				resets.Add(1)
			}
		})
		for _, targets := range []int{1, 500} {
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 8})
			proven, wrong := 0, 0
			for done := 0; done < probes; {
				n := min(1000, probes-done) // ports are used again later than that
				done += n
				before := resets.Load()
				b, err := e.Submit(patient(t), probesOf(n, func(i int) Probe { return Probe{Addr: f.target(1 + i%targets), Timeout: patience} }))
				if err != nil {
					t.Fatal(err)
				}
				results := collect(t, b, n)
				eventually(t, "the RSTs", func() bool { return resets.Load() >= before+uint64(n) })
				mu.Lock()
				for _, r := range results {
					if r.Outcome != Open {
						t.Error(r.String())
					}
					if r.Silence != Proven {
						continue
					}
					proven++
					if acked[ends{r.Source, r.Addr}] {
						wrong++
					}
				}
				mu.Unlock()
			}
			e.Close()
			mu.Lock()
			t.Logf("%d targets: of %d probes %d proven, %d of them wrong; %d ACKs seen", targets, probes, proven, wrong, said)
			mu.Unlock()
			if wrong > 0 {
				t.Errorf("%d of %d silences called proven whose ACK was seen", wrong, probes)
			}
		}
	})
}

// TestManners: a target that has sent data is never again believed to be silent. One that is quiet
// is spared the deaf socket after four handshakes, until it sends data.
func TestManners(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		var talks atomic.Bool
		said := make(chan struct{}, 1)
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			answer := syn.SYNACK(true)
			p.Send(answer)
			if talks.Load() {
				for _, s := range behind(answer, testnet.PSH, 0, 20) {
					p.Send(s)
				}
			}
			said <- struct{}{}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1, hooks: hooks{beforeReading: func() { <-said }}})
		target := f.target(1)
		j := job{addr: target}
		shake := func(want Silence, then manner) {
			t.Helper()
			r := check(t, e, patient(t), target, patience, Open)
			if got := e.manners.of(&j); (r.Silence != want || got != then) && !stopped(e) {
				t.Errorf("silence %s, and then manner %d; want %s, %d", r.Silence, got, want, then)
			}
		}
		for n := range quiet {
			shake(Proven, n+1)
		}
		shake(Proven, quiet)
		talks.Store(true)
		for range 2 {
			shake(Broken, talkative)
		}
		talks.Store(false)
		for range 2 * quiet {
			shake(Unproven, talkative)
		}
	})
}

// TestHiddenSegmentsCount: mode Reuse spares a target the guard only if no segment came until we
// left. What a deaf socket kept out counts as one.
func TestHiddenSegmentsCount(t *testing.T) {
	for _, f := range families {
		t.Run("reuse/"+f.name, func(t *testing.T) {
			answers := make(chan testnet.Segment, 1)
			peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
				answers <- syn.SYNACK(true)
				p.Send(syn.SYNACK(true))
			}))
			stall := func() {
				for _, s := range behind(<-answers, testnet.PSH, 0, 20) {
					peer.Send(s)
				}
			}
			e := newEngine(t, Config{Mode: Reuse, Shards: 1, MaxInFlight: 1, hooks: hooks{stall: stall}})
			target := f.target(1)
			for range 2 * int(quiet) {
				r := check(t, e, patient(t), target, patience, Open)
				noACK(t, peer, e, &r)
			}
			if got := e.manners.of(&job{addr: target}); got != unknown {
				t.Errorf("manner %d", got)
			}
		})
	}
}

// TestNoGuard: where no least hop count can be set, probes work as ever, and no silence is called
// proven.
func TestNoGuard(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for _, c := range []struct {
			name  string
			hooks hooks
			want  Silence
		}{
			{"deaf", hooks{}, Proven},
			{"not deaf", hooks{noHopCount: true}, Unproven},
		} {
			t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
				const probes = 200
				l := listen(t, f.loopback(0))
				e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 4, hooks: c.hooks})
				for _, r := range probeAll(t, e, l.Addr, probes, patience) {
					if r.Outcome != Open || r.Silence != c.want && !stopped(e) {
						t.Errorf("%s, silence %s, want %s", r.String(), r.Silence, c.want)
					}
				}
				s := e.Stats()
				if mode == Reuse && s.SocketsOpened > probes/4 {
					t.Errorf("%d sockets for %d probes", s.SocketsOpened, probes)
				}
				if n := l.Noticed(t); n != 0 && !stopped(e) {
					t.Errorf("%d noticed", n)
				}
			})
		}
	})
}
