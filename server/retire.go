package server

import (
	"math/rand/v2"
	"time"
)

// drainTime is how long a stream may take after Drain to answer what it has read. It is less than
// lastGrace, so that the status still reaches the caller.
const drainTime = 4 * time.Second

// retirement ends a stream for the service's own reasons: the service drains, or the stream is old.
// A stream that retires takes no more messages. It answers every target that it has taken: those in
// flight, those that wait for an attempt or a name, and those that a rate holds back. Then it ends
// with status. The targets of later messages are never probed. One message that the reader was
// already allowed to receive is still looked at: if it cannot be read, its status ends the stream.
//
// An old stream has no bound, because every target has one of its own, and a rate lets a held
// target through some day. But each Send of its results has one, stuckTime. A drain leaves
// unanswered, and refunds, what is open after drainTime.
// The zero value, that of a Check, never retires.
type retirement struct {
	draining <-chan struct{} // closed by Drain; nil once that was seen
	at       time.Duration   // on the session's clock: when the next step is due; 0: there is none
	status   error           // what the stream ends with; nil while it does not retire
	bounded  bool            // at ends the stream, whatever is open
}

// newRetirement returns that of a stream which begins now.
func (s *Server) newRetirement() retirement {
	return retirement{draining: s.draining, at: jittered(s.age)}
}

// jittered returns d, give or take a tenth, so that streams which began together do not end
// together.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// drain begins the retirement of a stream because the service drains. It also bounds one that has
// begun because of the stream's age.
func (s *session) drain() {
	s.told.old = false
	s.retiring = retirement{status: errDraining(), at: s.now() + drainTime, bounded: true}
}

// retireDue takes the next step of the retirement if it is due: it begins, or its time is over.
func (s *session) retireDue() {
	r := &s.retiring
	if r.at == 0 || s.err != nil || s.now() < r.at {
		return
	}
	r.at = 0
	if !r.bounded {
		s.told.old = true
		r.status = errStreamAge()
		return
	}
	if s.out.pending() > 0 {
		s.fail(s.out.flush())
	}
	s.fail(r.status)
}
