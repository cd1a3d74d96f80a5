package server

import (
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// pacing is the time between the starts of two attempts of an exhaustive target: far enough apart that one full queue on
// the way does not drop them all.
const pacing = 10 * time.Millisecond

// retryDelay is how long after our own trouble the next attempt starts, unless the timeout is
// shorter: a route or a descriptor may be back by then.
const retryDelay = 200 * time.Millisecond

// startRound begins one attempt at every address of t. Of an exhaustive target the next round is queued at once; otherwise
// follow decides for each address by itself.
func (s *session) startRound(t *task) {
	for i := range t.addresses {
		s.probe(t, i)
	}
	t.rounds++
	if t.options.exhaustive && t.rounds < t.options.attempts {
		s.delay(pacing, t, everyAddress)
	}
}

// delay schedules the next attempt of t with one address, or with every one.
func (s *session) delay(by time.Duration, t *task, address int) {
	s.delayed.push(delayed{at: s.now() + by, task: t, index: t.index, address: address})
}

// startDue begins the delayed attempts that are due.
func (s *session) startDue() {
	if len(s.delayed) == 0 {
		return
	}
	for now := s.now(); len(s.delayed) > 0 && s.delayed[0].at <= now; {
		switch d := s.delayed.pop(); {
		case d.stale():
		case d.address == everyAddress:
			s.startRound(d.task)
		default:
			s.probe(d.task, d.address)
		}
	}
	s.submit()
}

// probe queues the next handshake with one address for submit.
func (s *session) probe(t *task, place int) {
	a := &t.addresses[place]
	s.probes = append(s.probes, shaker.Probe{
		ID:   probeID(t.place, place, int(a.begun)),
		Addr: a.addr,
	})
	a.begun++
	t.inFlight++
	s.told.handshakes++
}

// submit gives all queued handshakes to the engine with one call. Their timeouts are picked here: the
// time that is left counts from when the engine's pace lets each SYN go, if nobody else asks.
func (s *session) submit() {
	if len(s.probes) == 0 || s.err != nil {
		return
	}
	now := s.now()
	for i := range s.probes {
		place, address, attempt := splitProbeID(s.probes[i].ID)
		t := s.tasks.tasks[place]
		timeout := t.options.timeoutOf(attempt, s.fitInto-now-time.Duration(i)*s.server.gap)
		s.probes[i].Timeout = timeout
		if timeout != t.options.timeout {
			s.fitted++
		}
		*t.handshakeAt(address, attempt) = handshake{now, timeout}
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

// result takes one handshake to its target. A target that is decided already only counts it out,
// and refunds it if it sent no SYN.
func (s *session) result(r *shaker.Result) {
	place, at, attempt := splitProbeID(r.ID)
	t := s.tasks.tasks[place]
	h := t.handshakeAt(at, attempt)
	t.inFlight--
	if h.timeout != t.options.timeout {
		s.fitted--
		s.landUnfitted()
	}
	s.auditProbe(t, r)
	if t.decided {
		t.addresses[at].ended++
		if !r.Sent() {
			t.refundOne(at)
		}
		s.release(t)
		return
	}
	t.account(r, h.added)
	s.follow(t, at, t.addresses[at].meet(r, h.timeout))
	s.settle(t)
}

// follow decides what comes after a handshake of the class brought: another one at once, another
// one later, or nothing, which closes the address.
func (s *session) follow(t *task, at int, brought class) {
	a, attempts := &t.addresses[at], uint8(t.options.attempts)
	switch {
	case t.options.exhaustive:
		a.closed = a.ended == attempts || s.ended && a.ended == a.begun
	case a.begun == attempts:
		a.closed = true
	case brought == classSilence && s.ended:
		a.cut()
	case brought == classSilence:
		s.probe(t, at)
	case brought == classTrouble && !s.ended:
		s.delay(min(t.options.timeout, retryDelay), t, at)
	default:
		a.closed = true
	}
}

// settle answers a target as soon as its addresses make its verdict certain.
func (s *session) settle(t *task) {
	at, certain := decide(t.options.addresses, t.options.exhaustive, t.addresses)
	if !certain {
		return
	}
	a := &t.addresses[at]
	s.answer(t, t.conclude(finding{reason: a.reason, detail: explain(a, t.options), decider: a}))
}

// end closes what cannot go on when the context of the work has ended: names that are still looked
// up, and attempts that were not begun. An address that waits for its next attempt keeps our own
// trouble as its finding. The engine answers soon what is in flight (see flightContext), with Canceled
// or with what it found, and that answers the other targets.
func (s *session) end() {
	s.ended = true
	s.delayed.clear()
	s.letGo()
	for _, t := range s.tasks.tasks {
		switch {
		case t.options == nil || t.decided:
		case len(t.addresses) == 0:
			s.answer(t, finding{reason: cutOff, detail: detailCutName})
		default:
			for i := range t.addresses {
				if a := &t.addresses[i]; a.waits(t.options) {
					a.cut()
				}
			}
			s.settle(t)
		}
	}
}
