package server

import (
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// intake reads a stream's messages, in a goroutine of its own, because Recv blocks. It calls Recv only when the session's
// loop has allowed it, once for each time, so that what the service does not read gRPC's flow control keeps with the caller.
//
// The methods are for the loop's goroutine. A nil intake is one of which nothing comes: that of a Check.
type intake struct {
	permits  chan struct{} // one token: Recv once
	messages chan arrival  // has room for what one Recv brings, so that the reader never blocks on it

	asked bool // a Recv was allowed and has not brought anything yet
	over  bool // the caller has half-closed
}

// arrival is what one Recv brought: a message or an error, io.EOF where the caller has half-closed.
type arrival struct {
	request *tcpshakerv1.StreamCheckRequest
	err     error
}

// newIntake starts the reader of a stream; its close must be called. A reader that is inside Recv then ends with the stream,
// which gRPC ends when the handler returns.
func (s *Server) newIntake(stream checkStream) *intake {
	in := &intake{
		permits:  make(chan struct{}, 1),
		messages: make(chan arrival, 1),
	}
	go func() {
		defer s.recovered(stream.Context(), func(err error) { in.messages <- arrival{err: err} })
		for range in.permits {
			request, err := stream.Recv()
			in.messages <- arrival{request, err}
			if err != nil {
				return
			}
		}
	}()
	return in
}

func (in *intake) close() { close(in.permits) }

// allow lets the reader receive once more, where may is set and it is not at it already.
func (in *intake) allow(may bool) {
	if in == nil || !may || in.asked || in.over {
		return
	}
	in.asked = true
	in.permits <- struct{}{}
}

// arrivals gives what was received; the session sets asked or over accordingly.
func (in *intake) arrivals() <-chan arrival {
	if in == nil {
		return nil
	}
	return in.messages
}

// finished reports whether nothing more comes.
func (in *intake) finished() bool { return in == nil || in.over }
