package client

import (
	"context"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

const (
	// maxBatch is how many targets a message has at most; beyond 256 the cost per target hardly falls.
	maxBatch = 256
	// flushDelay is how long a target may wait for others to travel with.
	flushDelay = time.Millisecond
)

type clientStream = grpc.BidiStreamingClient[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse]

// sender carries the targets of a call from its sequence to its streams, several to a message. The sequence's goroutine adds
// and sends full messages; a timer sends what has waited long enough, because the sequence may not come back for a long time.
//
// Between two streams the targets wait, and with them, at a full message, the sequence. The next stream first gets what the
// one before has not answered.
type sender struct {
	options *tcpshakerv1.CheckOptions
	pending *pending
	wanted  chan struct{} // has a token if there is something to send, or to end, and no stream

	mu       sync.Mutex   // guards those below and stream.Send, which must not be called twice at once
	attached *sync.Cond   // there is a stream, or the call is over
	stream   clientStream // nil: there is none
	batch    []string     // targets not yet sent
	late     *time.Timer
	drained  bool // the sequence has returned
	closed   bool // stream is half-closed
	over     bool // the call is: nothing is sent any more
	listed   bool // giveUp has listed the targets without a result
}

func newSender(options *tcpshakerv1.CheckOptions, pending *pending) *sender {
	s := &sender{options: options, pending: pending, wanted: make(chan struct{}, 1)}
	s.attached = sync.NewCond(&s.mu)
	s.late = time.AfterFunc(flushDelay, s.flush) // its first run finds nothing, or what may go
	return s
}

// run takes all targets on. It returns early if the call is over, of which ctx knows first.
func (s *sender) run(ctx context.Context, targets iter.Seq[string]) {
	for target := range targets {
		if !s.add(target) || ctx.Err() != nil {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Stop()
	s.drained = true
	s.flushLocked()
}

// add takes one target on, and reports whether there is use for more. At a full message it waits, so
// that the sequence is not asked for a target that has no place. If the call is over, the target still
// counts as taken on until giveUp has listed those without a result.
func (s *sender) add(target string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed {
		return false
	}
	s.batch = append(s.batch, target)
	if len(s.batch) == 1 {
		s.late.Reset(flushDelay)
	}
	if len(s.batch) == maxBatch {
		s.flushLocked() // asks for a stream if there is none
	}
	for len(s.batch) >= maxBatch && !s.over {
		if s.stream == nil {
			s.attached.Wait()
		} else {
			s.flushLocked() // leaves no batch, or no stream
		}
	}
	return !s.over
}

// flush sends what there is.
func (s *sender) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

// flushLocked sends what there is, and half-closes behind the last target. Without a stream it asks for one instead.
func (s *sender) flushLocked() {
	switch {
	case s.over || s.closed:
		return
	case s.stream == nil && (len(s.batch) > 0 || s.drained):
		select {
		case s.wanted <- struct{}{}:
		default:
		}
		return
	case s.stream == nil:
		return
	}
	for targets := s.pending.resend(); targets != nil; targets = s.pending.resend() {
		if !s.send(targets) {
			return
		}
	}
	if len(s.batch) > 0 {
		batch := s.batch
		s.batch = nil // not to be used again: interceptors and stats handlers may hold on to the message
		s.pending.add(batch)
		if !s.send(batch) {
			return
		}
	}
	if s.drained {
		s.pending.close()
		s.closed = true
		_ = s.stream.CloseSend() // grpc-go's is always nil; an error would come from Recv
	}
}

// send sends one message. It is false if the stream is over: then the receiver learns from Recv why.
func (s *sender) send(targets []string) bool {
	for i, target := range targets {
		targets[i] = wireTarget(target)
	}
	if s.stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets, Options: s.options}) != nil {
		s.stream = nil
		return false
	}
	return true
}

// attach sends to stream from now on, beginning with what earlier streams have not answered.
func (s *sender) attach(stream clientStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream, s.closed = stream, false
	s.attached.Broadcast()
	if s.drained || len(s.batch) > 0 || s.pending.waiting() {
		go s.flush() // not here: Send may block until results were taken
	}
}

// detach takes leave of a stream that is over. idle means that there is nothing to send now, and complete that nothing will
// be: all targets are answered. Otherwise another stream is needed.
func (s *sender) detach() (idle, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream, s.closed = nil, false
	select {
	case <-s.wanted: // what is wanted is found here
	default:
	}
	idle = !s.pending.rewind() && len(s.batch) == 0
	return idle, idle && s.drained
}

// stop ends the call: add is false from now on.
func (s *sender) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.attached.Broadcast()
}

// giveUp is stop, and returns the targets that were taken on and have no result, in their order. The stream's context must
// have ended, because Send may hold the lock.
func (s *sender) giveUp() []UnansweredTarget {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = true
	return s.pending.rest(s.batch)
}
