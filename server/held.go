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
	view   *access.View  // under this view,
	served bool          // to the service as well as to the caller
	due    time.Duration // when they may begin, or be charged to the service,
	at     time.Duration // and when to look again for that; 0: somebody will tell

	room  <-chan struct{} // where the caller has too many outstanding: closed when it has fewer
	turn  *access.Turn    // at the service's rate; nil: not this RPC's
	turns <-chan struct{} // where it is another's: closed when that is over
}

// overdue is how late what was paid for may begin, where the caller is slow to read its results, or waits for its turn at the service's
// rate. What was paid is lost then: a caller whose streams all stand still has no right to all that they might have had, at once.
const overdue = time.Second

// hold takes a message whose targets feed is to take on.
func (s *session) hold(targets []string, o *options) { s.held = held{targets: targets, options: o} }

// holding reports whether targets of a message wait.
func (s *session) holding() bool { return len(s.held.targets) > 0 }

// feed takes on what may begin, as long as its caller may have it: by the view of now. Once the time of the RPC is over, all of it
// is taken on, and gets its answer at once.
func (s *session) feed() {
	if s.ended {
		s.letGo()
		return
	}
	h := &s.held
	for s.holding() && s.err == nil {
		s.look()
		switch late := s.now() - h.due; {
		case h.paid == 0:
			if !s.payRun() {
				return
			}
		case h.view != s.view:
			s.unpay(h)
			s.payAnew()
		case late > overdue:
			s.payAnew()
		case late < 0:
			return
		case !h.served:
			if !s.payService() {
				return
			}
		default:
			run := h.targets[:h.paid]
			h.targets = h.targets[h.paid:]
			h.forget()
			s.take(run, h.options)
		}
	}
}

// replaced gives something where what is held may have to be paid for anew.
func (s *session) replaced() <-chan struct{} {
	if s.held.paid == 0 {
		return nil
	}
	return s.held.view.Replaced()
}

// payAnew has what is held paid for again.
func (s *session) payAnew() {
	s.view.Add(-s.held.paid)
	s.counted -= s.held.paid
	s.held.forget()
}

// forget forgets what was paid for.
func (h *held) forget() {
	h.turn.End()
	*h = held{targets: h.targets, options: h.options, room: h.room}
}

// payRun charges for the next targets; false where the caller has as many outstanding as it may, or nothing can be charged.
func (s *session) payRun() bool {
	h := &s.held
	if h.room != nil {
		select {
		case <-h.room:
			h.room = nil
		default:
			return false
		}
	}
	n, cost := len(h.targets), 0
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
	h.paid, h.cost, h.view, h.served = got, cost, s.view, false
	s.holdFor(wait)
	return true
}

// payService charges what the caller was charged with to the service, once the caller's own wait is over, and it is this RPC's turn.
func (s *session) payService() bool {
	h := &s.held
	if h.turn, h.turns = s.view.Turn(); h.turns != nil {
		h.at = 0
		return false
	}
	wait, err := s.view.BookService(h.cost)
	if err != nil {
		s.fail(s.refusal(err)) // close gives the rest back
		return false
	}
	h.served = true
	h.turn.EndAfter(wait)
	s.holdFor(wait)
	return true
}

// holdFor has feed wait.
func (s *session) holdFor(wait time.Duration) {
	s.held.due, s.held.at = s.now()+wait, 0
	if wait > 0 {
		s.held.at = s.held.due
	}
}

// unpay gives back what h was charged.
func (s *session) unpay(h *held) {
	h.turn.End()
	if h.paid == 0 {
		return
	}
	service := 0
	if h.served {
		service = h.cost
	}
	s.view.ReturnAll(h.view, h.cost, service)
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
	s.unpay(&s.held)
	h := s.held
	s.held = held{}
	if len(h.targets) == 0 {
		return
	}
	s.take(h.targets, h.options)
}

// look sees what the caller may now, and reports whether that has changed. A view is shared by all targets that were taken on under it.
func (s *session) look() (changed bool) {
	if now := s.admission.View(); now != *s.view {
		s.view, changed = &now, true
	}
	return changed
}

// recount tells how many targets are outstanding now.
func (s *session) recount() {
	now := s.outstanding() + s.held.paid
	s.view.Add(now - s.counted)
	s.counted = now
}

// giveBack refunds what was charged for handshakes of a target that were not made, or sent no SYN:
// it is decided, or its RPC is over.
func (s *session) giveBack(t *task) {
	if t.charged == 0 && !t.destined {
		return
	}
	made := 0
	for i := range t.addresses {
		a := &t.addresses[i]
		n := a.charged()
		made += n
		if t.destined {
			t.view.ReturnDestination(a.addr, t.options.attempts-n)
		}
	}
	if t.looked {
		made = max(made, 1) // a lookup is work for others too
	}
	if t.charged > made {
		t.view.Return(t.charged - made)
		t.charged = made
	}
}

// refundOne refunds a handshake that sent no SYN and ended after its target was decided. giveBack
// has counted it as made. A handshake that was sent has decided the target, so the charge for a
// lookup remains.
func (t *task) refundOne(at int) {
	if t.destined {
		t.view.ReturnDestination(t.addresses[at].addr, 1)
	}
	if t.charged > 0 {
		t.view.Return(1)
		t.charged--
	}
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
