package server

import (
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// pacing is the time between the starts of two attempts of an exhaustive target: far enough apart that one full queue on
// the way does not drop them all.
const pacing = 10 * time.Millisecond

// round is the next attempt of an exhaustive target, made at all of its addresses together.
type round struct {
	at   time.Duration
	task *task
}

// startRound begins one attempt at every address of t. Of an exhaustive target the next round is queued at once; otherwise
// follow decides for each address by itself.
func (s *session) startRound(t *task) {
	for i := range t.addresses {
		s.probe(t, i)
	}
	t.rounds++
	if t.options.exhaustive && t.rounds < t.options.attempts {
		s.paced.push(round{s.now() + pacing, t})
	}
}

// startDue begins the rounds whose time has come. A target in the queue is undecided, so its place is still its own.
func (s *session) startDue() {
	if s.paced.len() == 0 {
		return
	}
	for now := s.now(); s.paced.len() > 0 && s.paced.front().at <= now; {
		s.startRound(s.paced.pop().task)
	}
	s.submit()
}

// probe queues the next handshake with one address for submit.
func (s *session) probe(t *task, place int) {
	a := &t.addresses[place]
	s.probes = append(s.probes, shaker.Probe{
		ID:      probeID(t.place, place, int(a.begun)),
		Addr:    a.addr,
		Timeout: t.options.timeout,
	})
	a.begun++
	t.inFlight++
	s.told.handshakes++
}

// submit gives all queued handshakes to the engine with one call.
func (s *session) submit() {
	if len(s.probes) == 0 || s.err != nil {
		return
	}
	now := s.now()
	for i := range s.probes {
		place, address, attempt := splitProbeID(s.probes[i].ID)
		*s.tasks.tasks[place].handshakeAt(address, attempt) = now
	}
	if err := s.batch.Add(s.probes); err != nil {
		s.fail(s.server.refused(s.ctx, err))
	}
	s.probes = s.probes[:0]
}

// receive takes what the engine has found.
func (s *session) receive() {
	results, _ := s.batch.Take()
	for i := range results {
		if s.err != nil {
			return
		}
		s.result(&results[i])
	}
}

// result takes one handshake to its target. A target that is decided already only counts it out.
func (s *session) result(r *shaker.Result) {
	place, at, attempt := splitProbeID(r.ID)
	t := s.tasks.tasks[place]
	t.inFlight--
	s.auditProbe(t, r)
	if t.decided {
		t.addresses[at].ended++
		s.release(t)
		return
	}
	t.account(r, *t.handshakeAt(at, attempt))
	t.addresses[at].meet(r)
	s.follow(t, at, r.Outcome)
	s.settle(t)
}

// follow decides what comes after a handshake: another one, or nothing, which closes the address.
func (s *session) follow(t *task, at int, outcome shaker.Outcome) {
	a, attempts := &t.addresses[at], uint8(t.options.attempts)
	switch {
	case t.options.exhaustive:
		a.closed = a.ended == attempts || s.ended && a.ended == a.begun
	case outcome != shaker.TimedOut || a.begun == attempts:
		a.closed = true
	default: // once the work has ended, the engine answers it with Canceled
		s.probe(t, at)
	}
}

// settle answers a target as soon as its addresses make its verdict certain.
func (s *session) settle(t *task) {
	at, certain := decide(t.options.addresses, t.options.exhaustive, t.addresses)
	if !certain {
		return
	}
	a := &t.addresses[at]
	s.answer(t, finding{reason: a.reason, detail: detailOf(a, t.options), decider: a})
}

// end makes an end of all that cannot be brought to its own any more, when the context of the work has ended: names that
// are still looked up, and attempts that were not begun. What is in flight the engine answers now, with Canceled or with what
// it found, and so does each target: REACHABLE where a handshake was answered, UNREACHABLE where all that was asked for was
// done, and else why it was cut off.
func (s *session) end() {
	s.ended = true
	s.paced.clear()
	s.letGo()
	for _, t := range s.tasks.tasks {
		switch {
		case t.options == nil || t.decided:
		case len(t.addresses) == 0:
			s.answer(t, finding{reason: cutOff, detail: detailCutName})
		case t.options.exhaustive:
			for i := range t.addresses {
				if int(t.addresses[i].begun) < t.options.attempts {
					t.addresses[i].cut()
				}
			}
			s.settle(t)
		}
	}
}
