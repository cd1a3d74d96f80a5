package server

import (
	"time"

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// heldRun is how many targets of a message are charged for at a time: few, so that the streams of a caller have their turns.
const heldRun = 256

// held is what of a stream's message has not been taken on: its targets come as the caller's rate, and the targets that it may
// have outstanding, allow. Nothing more is read of the stream meanwhile.
type held struct {
	targets []string
	options *options

	paid   int           // the first of targets that are charged for, and counted as outstanding
	cost   int           // what was charged for them,
	served bool          // to the service as well as to the caller
	at     time.Duration // when they may begin, or be charged to the service

	room <-chan struct{} // where the caller has too many outstanding: closed when it has fewer
}

// hold takes a message whose targets feed is to take on.
func (s *session) hold(targets []string, o *options) { s.held = held{targets: targets, options: o} }

// holding reports whether targets of a message wait.
func (s *session) holding() bool { return len(s.held.targets) > 0 }

// feed takes on what may begin; once the time of the RPC is over, all of it, which then gets its answer at once.
func (s *session) feed() {
	if s.ended {
		s.letGo()
		return
	}
	h := &s.held
	for s.holding() && s.err == nil {
		if h.paid == 0 && !s.payRun() {
			return
		}
		if h.at > s.now() {
			return
		}
		if !h.served {
			if !s.payService() {
				return
			}
			continue
		}
		run := h.targets[:h.paid]
		h.targets = h.targets[h.paid:]
		h.paid, h.cost, h.served, h.at = 0, 0, false, 0
		s.take(run, h.options)
	}
}

// payRun charges for the next targets; false where the caller has as many outstanding as it may, or nothing can be charged.
func (s *session) payRun() bool {
	h := &s.held
	s.look()
	if h.room != nil {
		select {
		case <-h.room:
			h.room = nil
		default:
			return false
		}
	}
	n := len(h.targets)
	cost := 0
	if s.view.Rated() {
		n, cost = priceRun(h.targets[:min(n, heldRun)], h.options, s.view.Burst())
	}
	got := s.view.Take(n)
	if got == 0 {
		h.room = s.view.Room()
		if got = s.view.Take(n); got == 0 { // room may have come before the channel
			return false
		}
		h.room = nil
	}
	if got < n && cost > 0 {
		_, cost = priceRun(h.targets[:got], h.options, cost)
	}
	wait, err := s.view.BookCaller(cost)
	if err != nil {
		s.view.Add(-got)
		s.fail(s.refusal(err))
		return false
	}
	s.counted += got
	h.paid, h.cost, h.served = got, cost, false
	s.holdFor(wait)
	return true
}

// payService charges what the caller was charged with to the service, once the caller's own wait is over.
func (s *session) payService() bool {
	wait, err := s.view.BookService(s.held.cost)
	if err != nil {
		s.fail(s.refusal(err)) // close gives the rest back
		return false
	}
	s.held.served = true
	s.holdFor(wait)
	return true
}

// holdFor has feed wait.
func (s *session) holdFor(wait time.Duration) {
	s.held.at = 0
	if wait > 0 {
		s.held.at = s.now() + wait
	}
}

// unpay gives back what h was charged.
func (s *session) unpay(h *held) {
	if h.served {
		s.view.Return(h.cost)
	} else {
		s.view.ReturnCaller(h.cost)
	}
}

// priceRun returns how many of targets cost no more than most together, at least one, and what they cost.
func priceRun(targets []string, o *options, most int) (n, cost int) {
	for _, text := range targets {
		next := price(text, o)
		if n > 0 && cost+next > most {
			break
		}
		n++
		cost += next
	}
	return n, cost
}

// letGo ends what is held, when the time of the RPC is over: what was charged is given back, and each target gets its answer.
func (s *session) letGo() {
	h := s.held
	s.held = held{}
	if len(h.targets) == 0 {
		return
	}
	s.unpay(&h)
	s.take(h.targets, h.options)
}

// look sees what the caller may now. A view is shared by all targets that were taken on under it.
func (s *session) look() {
	if now := s.admission.View(); now != *s.view {
		s.view = &now
	}
}

// recount tells how many targets are outstanding now.
func (s *session) recount() {
	now := s.outstanding() + s.held.paid
	s.view.Add(now - s.counted)
	s.counted = now
}

// giveBack gives back what was charged for a target and is not made: it is decided, or its RPC is over.
func (s *session) giveBack(t *task) {
	if t.charged == 0 && !t.destined {
		return
	}
	begun := 0
	for i := range t.addresses {
		a := &t.addresses[i]
		begun += int(a.begun)
		if t.destined {
			t.view.ReturnDestination(a.addr, t.options.attempts-int(a.begun))
		}
	}
	if t.looked {
		begun = max(begun, 1) // a lookup is work for others too
	}
	if t.charged > begun {
		t.view.Return(t.charged - begun)
	}
	t.charged, t.destined = 0, false
}

// settleAccounts gives back all that the session still holds, when its RPC is over.
func (s *session) settleAccounts() {
	s.unpay(&s.held)
	for _, t := range s.tasks.tasks {
		if t.options == nil {
			continue
		}
		s.auditUnread(t)
		if !t.decided {
			s.giveBack(t)
		}
	}
	s.view.Add(-s.counted)
	s.counted = 0
}

// refusal is the status of what a view has refused.
func (s *session) refusal(err error) error {
	if refused, ok := err.(*access.Refusal); ok {
		return errRefused(refused)
	}
	return s.server.refused(s.ctx, err)
}
