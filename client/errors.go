package client

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ErrProtocol is found by errors.Is in the error of a call that the service answered in a way it must not: a result for no
// target, for another target or a second one for the same; a result missing at the end; one that contradicts itself or holds
// what is no address or duration. Whatever answers is not a TCP Shaker, or is broken; the results of the call that came
// before it are to be doubted too.
var ErrProtocol = errors.New("the service broke its protocol")

// requestIDHeader carries the request id, both ways.
const requestIDHeader = "x-request-id"

// Error is the error of a call.
type Error struct {
	// Method is the RPC that failed: Check, StreamCheck or GetVantage.
	Method string
	// RequestID is the id under which the service has logged the call; of a Stream that went on with other streams, its last.
	// Empty where the call did not get that far. A caller
	// chooses it by sending the metadata x-request-id (metadata.AppendToOutgoingContext).
	RequestID string
	// Err is what gRPC gave, or wraps it where there was no connection, and has a status (status.FromError). Or it wraps
	// ErrProtocol.
	Err error
	// Unanswered has the targets without a Result, in their order. Some may have been probed. Of a
	// CheckAll it has all of them. Of a Stream it has those that were taken from the sequence; if the
	// service could not be reached at the beginning, the sequence did not run, and there are none. It
	// is nil for other calls.
	Unanswered []UnansweredTarget
}

// UnansweredTarget is a target of a call that failed before there was a Result.
type UnansweredTarget struct {
	// Index is the target's place among those of the call, from 0.
	Index uint64
	// Target is the target as the caller gave it.
	Target string
}

// newError returns err, of a call of method, as an *Error; header is the response's.
func newError(method string, header metadata.MD, err error) *Error {
	e := &Error{Method: method, Err: err}
	if ids := header.Get(requestIDHeader); len(ids) > 0 {
		e.RequestID = ids[0]
	}
	return e
}

// Error implements error.
func (e *Error) Error() string {
	where := e.Method
	if e.RequestID != "" {
		where += fmt.Sprintf(" (request %q)", e.RequestID)
	}
	if n := len(e.Unanswered); n > 0 {
		where += fmt.Sprintf(", targets without a result: %d", n)
	}
	return fmt.Sprintf("client: %s: %v", where, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is finds context.Canceled and context.DeadlineExceeded in the statuses CANCELED and DEADLINE_EXCEEDED, which is what gRPC
// makes of a context that ends.
func (e *Error) Is(target error) bool {
	switch status.Code(e.Err) {
	case codes.Canceled:
		return target == context.Canceled
	case codes.DeadlineExceeded:
		return target == context.DeadlineExceeded
	default:
		return false
	}
}

// broken returns an error that wraps ErrProtocol and says what is wrong.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}
