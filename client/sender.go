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

// sender carries targets from a sequence to a stream, several to a message. The sequence's goroutine adds and sends full
// messages; a timer sends what has waited long enough, because the sequence may not come back for a long time.
type sender struct {
	stream  grpc.BidiStreamingClient[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse]
	options *tcpshakerv1.CheckOptions
	pending *pending

	mu    sync.Mutex // guards those below and stream.Send, which must not be called twice at once
	batch []string   // targets not yet sent
	late  *time.Timer
	over  bool // nothing is sent any more
}

func newSender(
	stream grpc.BidiStreamingClient[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse],
	options *tcpshakerv1.CheckOptions, pending *pending,
) *sender {
	s := &sender{stream: stream, options: options, pending: pending}
	s.late = time.AfterFunc(flushDelay, s.flush) // its first run finds nothing, or what may go
	return s
}

// run sends all targets and half-closes. It returns early, without the half-close that would say "all", when the stream is
// over or ctx ends.
func (s *sender) run(ctx context.Context, targets iter.Seq[string]) {
	for target := range targets {
		if ctx.Err() != nil || !s.add(target) {
			return
		}
	}
	s.close()
}

// add takes one target on, and reports whether there is use for more.
func (s *sender) add(target string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = append(s.batch, target)
	switch len(s.batch) {
	case maxBatch:
		s.flushLocked()
	case 1:
		s.late.Reset(flushDelay)
	}
	return !s.over
}

// flush sends what there is.
func (s *sender) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *sender) flushLocked() {
	if len(s.batch) == 0 || s.over {
		return
	}
	s.pending.add(s.batch)
	for i, target := range s.batch {
		s.batch[i] = wireTarget(target)
	}
	request := &tcpshakerv1.StreamCheckRequest{Targets: s.batch, Options: s.options}
	if err := s.stream.Send(request); err != nil {
		s.over = true // the receiver is told why by Recv
	}
	s.batch = nil // not to be used again: interceptors and stats handlers may hold on to the message
}

// close sends the rest and half-closes.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Stop()
	s.flushLocked()
	s.over = true
	s.pending.end()
	_ = s.stream.CloseSend() // grpc-go's is always nil; an error would come from Recv
}
