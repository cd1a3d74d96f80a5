package client

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The waits between streams, without RetryInfo: the first is firstBackoff, and each doubles the one before, up to maxBackoff.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// outage is the time since a Stream lost its stream, until one brings a result or stands for patience.
type outage struct {
	patience time.Duration
	began    time.Time     // zero: there is none
	tries    int           // streams that were opened, or not, since
	asked    time.Duration // what the first end asked for, if it takes more than half of the patience; else 0
}

// over ends the outage.
func (o *outage) over() { *o = outage{patience: o.patience} }

// maxAsked is the longest wait that a service may ask for beyond the patience.
const maxAsked = defaultConnectTimeout

// whole returns how long the outage may last. A wait that its first end asked for, up to maxAsked,
// always fits, and a whole patience for the attempt after it. So a short patience does not make an
// orderly restart fatal.
func (o *outage) whole() time.Duration { return o.asked + o.patience }

// next returns how long to wait before the next stream after err, and how long after that it may take to open. A part of the
// wait may be over. It is not ok if the patience is at its end, or the service asks for more of it than is left.
func (o *outage) next(err error, waited time.Duration) (wait, most time.Duration, ok bool) {
	if o.began.IsZero() {
		o.began = time.Now()
	}
	wait = jittered(min(firstBackoff<<min(o.tries, 10), maxBackoff))
	asked, ok := (&Error{Err: err}).RetryDelay()
	if o.tries == 0 && asked <= maxAsked && jitteredMost(asked) > o.patience/2 {
		o.asked = jitteredMost(asked)
	}
	left := o.whole() - time.Since(o.began)
	switch {
	case asked-waited > left:
		return 0, 0, false
	case ok && o.tries == 0:
		wait = jittered(asked)
	case ok:
		wait = max(wait, jittered(asked))
	}
	o.tries++
	wait = max(min(wait-waited, left), 0)
	return wait, max(left-wait, o.patience/10), left > 0
}

// jittered returns d, or up to a fifth more, so that clients of one service do not all come back at once.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(int64(jitteredMost(d)-d)+1))
}

// jitteredMost returns the most that jittered returns.
func jitteredMost(d time.Duration) time.Duration { return d + d/5 }

// reopen opens another stream in place of one that err ended at the time lost. On error the outage lasts too long, ctx has
// ended, or the status is another than UNAVAILABLE.
func (c *Client) reopen(ctx context.Context, o *outage, err error, lost time.Time) (clientStream, error) {
	for {
		wait, most, ok := o.next(err, time.Since(lost))
		if !ok {
			return nil, err
		}
		if !pause(ctx, wait) {
			return nil, ended(ctx, err)
		}
		c.conn.ResetConnectBackoff() // gRPC's own begins at 1 s
		stream, failed := c.open(ctx, most)
		switch {
		case failed == nil:
			return stream, nil
		case ctx.Err() != nil:
			return nil, ended(ctx, err)
		case failed == errTooLate:
			return nil, err
		case status.Code(failed) != codes.Unavailable:
			return nil, failed
		}
		err, lost = failed, time.Now()
	}
}

// errTooLate is the error of a stream that was not open in time.
var errTooLate = status.Error(codes.Unavailable, "the service cannot be reached")

// open opens a stream, which must not take longer than most.
func (c *Client) open(ctx context.Context, most time.Duration) (clientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(most, cancel)
	stream, err := c.rpc.StreamCheck(ctx)
	if !timer.Stop() {
		cancel()
		return nil, errTooLate
	}
	if err != nil {
		cancel()
		return nil, err
	}
	context.AfterFunc(stream.Context(), cancel) // so that a call with many streams does not collect their contexts
	return stream, nil
}

// pause waits for d; it is false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ended returns the status of ctx, which has ended while there was no stream because of err.
func ended(ctx context.Context, err error) error {
	st := status.FromContextError(ctx.Err())
	return status.Errorf(st.Code(), "%s; before that, %s", st.Message(), message(err))
}
