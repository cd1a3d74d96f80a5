package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// Check and StreamCheck keep back a tenth of the time they have left to bring the answers home, or
// what answering so many targets takes on a busy machine if that is more. It is never more than half
// of the time.
const (
	minReserve       = 10 * time.Millisecond
	maxTenth         = 100 * time.Millisecond
	maxReserve       = 200 * time.Millisecond
	reservePerTarget = 20 * time.Microsecond
)

// session is one RPC at work, the same for Check and StreamCheck. The goroutine of the RPC's handler runs its loop and owns
// all of it: there are no locks, and no goroutine, channel or timer per target. What comes from elsewhere comes by channel:
// messages from the intake, results from the batch, names from the lookups.
//
//	message ─▶ arrive ─▶ feed ─▶ start ─▶ submit ─▶ batch ─▶ receive ─▶ settle ─▶ answer ─▶ sink
//	                       └─▶ lookup ─▶ named ─▲                └─▶ follow, delay ─▶ submit
type session struct {
	server *Server
	ctx    context.Context    // the RPC's
	work   context.Context    // ends before it does, by the reserve
	cancel context.CancelFunc // ends work
	land   context.CancelFunc // ends the context of the batch; see flightContext
	// fitInto is the end of work, on the session's clock, if timeouts that callers have left to the
	// service are fitted into it; otherwise it is unfitted.
	fitInto time.Duration
	batch   Batch
	names   *resolve.Request // nil until a name comes

	admission *access.Admission
	view      *access.View // what the caller may; see look
	turn      string       // what the caller is to the engine, and to the limits of destinations
	counted   int          // targets that stand in the caller's account as outstanding
	held      held         // of a stream: what of its message waits
	told      *record      // for the log
	retiring  retirement   // of a stream

	out   sink
	epoch time.Time // the zero of all times below
	timer *time.Timer
	alarm time.Duration // when timer fires; 0: it is not set

	tasks     slab
	fitted    int            // handshakes in flight whose timeout was fitted into the deadline
	undecided int            // targets admitted whose results have not been written
	next      uint64         // index of the next target
	probes    []shaker.Probe // to be given to the batch by submit
	delayed   schedule       // attempts that begin later
	flushAt   time.Duration  // when what the sink holds has to be sent

	ended bool  // work has ended, and end was called
	err   error // ends the RPC
}

// sink is where results go: the one difference between Check and StreamCheck.
type sink interface {
	// slot returns the place to write the result of the target with that index to.
	slot(index uint64) *slot
	// written says that the slot last asked for is filled. It may send.
	written() error
	// pending is how many results have been written and not sent, of those that need to be sent one by one.
	pending() int
	// flush sends what is pending.
	flush() error
}

// newSession makes the session of an RPC; its close must be called. Expected is how many targets it will have to answer at
// once, 0 where that is not known.
func (s *Server) newSession(ctx context.Context, out sink, expected int) (*session, error) {
	admission, err := s.admission(ctx)
	if err != nil {
		return nil, err
	}
	turn := admission.Caller()
	if turn == "" {
		turn = s.caller(ctx)
	}
	view := admission.View()
	work, cancel := workContext(ctx, expected)
	flights, land := flightContext(ctx, work, expected)
	return &session{
		server:    s,
		ctx:       ctx,
		work:      work,
		cancel:    cancel,
		land:      land,
		fitInto:   unfitted,
		batch:     s.prober.OpenFor(flights, turn),
		out:       out,
		epoch:     time.Now(),
		admission: admission,
		view:      &view,
		turn:      turn,
		told:      recordOf(ctx),
	}, nil
}

// close frees what is left under way: the batch answers to nobody, lookups end, what the caller was charged for and did not
// get is given back.
func (s *session) close() {
	s.batch.Finish() // before its context ends: of a batch that is over nobody has to hear that its context ends
	s.cancel()
	s.land()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.settleAccounts()
}

// workContext returns the context that handshakes and lookups have. It ends before ctx does.
func workContext(ctx context.Context, expected int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(deadline)
	reserve := max(min(left/10, maxTenth), time.Duration(expected)*reservePerTarget, minReserve)
	reserve = min(reserve, maxReserve, left/2)
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// fitTimeouts has the timeouts that callers have left to the service fitted into the RPC's deadline.
// Without a deadline it has no effect.
func (s *session) fitTimeouts() {
	if end, ok := s.work.Deadline(); ok {
		s.fitInto = end.Sub(s.epoch)
	}
}

// now is the time since the session began, on the monotonic clock.
func (s *session) now() time.Duration { return time.Since(s.epoch) }

// run is the loop. It returns nil once nothing more comes in and all that came is answered, and else the status to end
// with. in is nil for a Check, whose targets were admitted before. A stream can also retire; see retirement.
func (s *session) run(in *intake) error {
	done := s.work.Done()
	for {
		if s.retireDue(); s.err == nil {
			s.feed()
			s.startDue()
			s.flushDue()
		}
		if s.err != nil {
			return s.err
		}
		if s.undecided == 0 && !s.holding() && (in.finished() || s.retiring.status != nil) {
			if s.ctx.Err() != nil { // what ended it may have ended the handshakes first
				return errEnded(s.ctx)
			}
			if in.finished() {
				return nil
			}
			return s.retiring.status
		}
		s.recount()
		in.allow(s.retiring.status == nil && !s.holding() && s.outstanding() < s.server.limits.OutstandingPerStream)

		select {
		case m := <-in.arrivals():
			s.arrive(in, m)
		case <-s.batch.Ready():
			s.receive()
		case a := <-s.answers():
			s.named(a)
		case <-s.wake():
			s.alarm = 0
		case <-s.held.room:
		case <-s.held.turns:
		case <-s.replaced():
		case <-done:
			done = nil
			s.end()
			s.landUnfitted()
		case <-s.retiring.draining:
			s.drain()
		case <-s.ctx.Done():
			return errEnded(s.ctx)
		}
		s.submit()
	}
}

// outstanding is how many targets count against the limit of a stream: those with work under way, and results not yet handed
// to gRPC. A decided target whose last handshakes are still under way counts twice for the millisecond that its result waits.
func (s *session) outstanding() int { return s.tasks.used + s.out.pending() }

// arrive takes a message of a stream.
func (s *session) arrive(in *intake, m arrival) {
	in.asked = false
	switch {
	case m.err == nil && s.retiring.status != nil: // it was received, and not read
	case m.err == nil:
		s.fail(s.accept(m.request.GetTargets(), m.request.GetOptions()))
	case errors.Is(m.err, io.EOF):
		in.over = true
	case ended(m.err):
		s.fail(m.err)
	default: // what Recv says of the message itself; gRPC has ended the context by then as well
		s.err = m.err
	}
}

// ended reports whether a status of gRPC's says no more than that the RPC is over.
func ended(err error) bool {
	code := status.Code(err)
	return code == codes.Canceled || code == codes.DeadlineExceeded
}

// answers gives what the lookups find; nil, hence never, without lookups and once the work has ended: answers that come
// later speak of tasks that are gone.
func (s *session) answers() <-chan resolve.Answer {
	if s.names == nil || s.ended {
		return nil
	}
	return s.names.Answers()
}

// flushDue sends what the sink holds when its time has come, or when nothing is under way that could join it.
func (s *session) flushDue() {
	if s.out.pending() == 0 {
		s.flushAt = 0
		return
	}
	now := s.now()
	if s.flushAt == 0 {
		s.flushAt = now + flushDelay
	}
	if s.undecided == 0 && !s.holding() || now >= s.flushAt {
		s.fail(s.out.flush())
		s.flushAt = 0
	}
}

// wake returns the channel of the session's one timer, set to what falls due first: results to
// send, delayed attempts, held targets, or the stream's retirement. It is nil if nothing falls due.
func (s *session) wake() <-chan time.Time {
	due := s.flushAt
	if len(s.delayed) > 0 && (due == 0 || s.delayed[0].at < due) {
		due = s.delayed[0].at
	}
	if s.held.at > 0 && (due == 0 || s.held.at < due) {
		due = s.held.at
	}
	if at := s.retiring.at; at > 0 && (due == 0 || at < due) {
		due = at
	}
	switch {
	case due == 0:
		return nil
	case s.timer == nil:
		s.timer = time.NewTimer(due - s.now())
	case s.alarm != due:
		s.timer.Reset(due - s.now())
	}
	s.alarm = due
	return s.timer.C
}

// fail ends the RPC with err, where it is one. The first error stays; but where the RPC's context has ended, that is what
// made the others, and what the caller is told.
func (s *session) fail(err error) {
	switch {
	case err == nil || s.err != nil:
	case s.ctx.Err() != nil:
		s.err = errEnded(s.ctx)
	default:
		s.err = err
	}
}
