package server

import (
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

const (
	// stuckTime is how long one Send of an old stream may take. A caller that takes no results for so
	// long would keep its stream for ever.
	stuckTime = time.Minute

	// lastSendTime is how long a Send may take that begins when a drain has ended the stream. With
	// drainTime it is less than lastGrace.
	lastSendTime = 400 * time.Millisecond
)

// sender calls Send for a stream, in a goroutine of its own, because Send blocks while the caller's
// flow-control window is full. The session's loop waits for it, and can stop waiting. Send then ends
// with the stream, which gRPC ends when the handler returns.
//
// The methods are for the loop's goroutine.
type sender struct {
	messages chan *tcpshakerv1.StreamCheckResponse
	sent     chan error // has room for the error of one Send, so that the goroutine never blocks on it
	timer    *time.Timer
	timed    bool // timer is set, early enough for any Send but those of a drain
}

// newSender starts the sender of a stream; its close must be called.
func (s *Server) newSender(stream checkStream) *sender {
	out := &sender{
		messages: make(chan *tcpshakerv1.StreamCheckResponse, 1),
		sent:     make(chan error, 1),
		timer:    time.NewTimer(forever),
	}
	go func() {
		defer s.recovered(stream.Context(), func(err error) { out.sent <- err })
		for m := range out.messages {
			out.sent <- stream.Send(m)
		}
	}()
	return out
}

func (out *sender) close() {
	out.timer.Stop()
	close(out.messages)
}

// sendBy has out send a message, and waits for that. It stops waiting if the RPC ends, or if the
// stream retires and Send takes too long. After an error the message belongs to the sender, and the
// session sends no more.
func (s *session) sendBy(out *sender, m *tcpshakerv1.StreamCheckResponse) error {
	if s.err != nil {
		return s.err
	}
	out.messages <- m
	began := s.now()
	if !out.timed || s.retiring.bounded {
		out.timed = true
		out.timer.Reset(s.sendBound(began) - began)
	}
	for {
		select {
		case err := <-out.sent:
			return err
		case <-s.ctx.Done():
			return errEnded(s.ctx)
		case <-s.retiring.draining:
			s.drain()
			out.timer.Reset(s.sendBound(began) - s.now())
		case <-out.timer.C:
			left := s.sendBound(began) - s.now()
			if left <= 0 {
				return s.stuck()
			}
			out.timer.Reset(left) // it was set by an earlier Send
		}
	}
}

// sendBound returns when a Send that began at that time must be over, on the session's clock.
func (s *session) sendBound(began time.Duration) time.Duration {
	switch r := &s.retiring; {
	case r.bounded:
		return max(began+lastSendTime, r.at)
	case r.status != nil, r.at > 0:
		return max(began, r.at) + stuckTime
	default:
		return forever
	}
}

// stuck returns the status of a stream whose caller takes no results. Not all that was read is
// answered, so the log says more than that the stream was old.
func (s *session) stuck() error {
	s.told.old = false
	if s.retiring.status == nil {
		return errStreamAge()
	}
	return s.retiring.status
}
