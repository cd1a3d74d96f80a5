package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Stream probes the targets that the sequence gives, and yields their results in the order of completion, each with a nil
// error. An error, always an *Error, is yielded last and with a zero Result; a loop that ends without one has seen exactly
// one Result per target. After an error [Error].Unanswered has the other targets that were taken from the sequence.
//
//	for result, err := range c.Stream(ctx, targets) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// There may be any number of targets, also without end. They are pulled while results are yielded, and sent in messages of
// up to 256, or about 1 ms after the first of a message was pulled. When the service has its limit of targets
// outstanding, gRPC's flow control stops the pulling until results were taken, so a slow loop body slows the source down.
// The memory needed is that of the targets outstanding.
//
// The sequence runs on a goroutine of its own, once per range over the returned one; a panic in it ends the program. When
// the loop ends by itself and without an error, the sequence has returned. When it ends early, by a break or by an error,
// everything at the service is canceled at once, and yield returns false at the next target. Nobody can wake a sequence
// that is blocked meanwhile, in a read for instance: its goroutine stays until it gives another target or returns, and
// Stream does not wait for it. A sequence that may block for ever should therefore watch a context, or something to
// read that is closed after the loop.
//
// A call outlives its stream. If a stream ends with UNAVAILABLE, because it is old, the service drains or restarts, or the
// connection is lost, Stream opens another, and sends the targets without a result again. Indexes go on, no result comes
// twice, and meanwhile the sequence waits. A target whose result was lost with the connection is probed twice, and charged
// twice to a quota. Before another stream Stream waits as long as the service asks (google.rpc.RetryInfo), or else 0.1 s,
// and up to 2 s if that happens again. The last error ends the loop after 10 s ([WithConnectTimeout]) in which no stream
// brought a result or stood so long; a wait that the service asked for, of up to 10 s, is added if it takes more than half of that.
// A service that cannot be reached at the beginning of the call, and every other status, end it at once. A new
// instance of the service may have other limits, and its refusal ends the loop too.
//
// As for ctx, see [Client.Check]. Its end ends the loop with an error, also where the sequence is blocked.
func (c *Client) Stream(ctx context.Context, targets iter.Seq[string], opts ...CheckOption) iter.Seq2[Result, error] {
	options := checkOptions(opts)
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // frees the RPC and stops the sender, however the loop ends
		stream, err := c.rpc.StreamCheck(ctx)
		if err != nil {
			yield(Result{}, newError("StreamCheck", nil, err))
			return
		}

		pending := newPending()
		sender := newSender(options, pending)
		context.AfterFunc(ctx, sender.stop)
		sender.attach(stream)
		go sender.run(ctx, targets)

		var header metadata.MD
		fail := func(err error) {
			failed := newError("StreamCheck", header, err)
			cancel()
			failed.Unanswered = sender.giveUp()
			yield(Result{}, failed)
		}
		outage := outage{patience: c.patience}
		for {
			opened := time.Now()
			n, err := receive(stream, pending, yield)
			if err == nil || err == errStopped {
				return
			}
			header, _ = stream.Header() // at hand, since Recv has returned; without it there is no request id
			if status.Code(err) != codes.Unavailable {
				fail(err)
				return
			}
			lost := time.Now()
			idle, complete := sender.detach()
			if complete {
				return
			}
			if idle {
				select {
				case <-sender.wanted:
				case <-ctx.Done():
				}
				if _, complete := sender.detach(); complete {
					return
				}
			}
			if n > 0 || idle || lost.Sub(opened) >= outage.patience {
				outage.over()
			}
			if stream, err = c.reopen(ctx, &outage, err, lost); err != nil {
				fail(err)
				return
			}
			sender.attach(stream)
		}
	}
}

// errStopped is the end of a loop by its body.
var errStopped = errors.New("stopped")

// receive yields the results of one stream, and returns how many. The error is nil if the call is complete, and otherwise
// errStopped or what ended the stream.
func receive(stream clientStream, pending *pending, yield func(Result, error) bool) (n int, err error) {
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return n, pending.complete()
		}
		if err != nil {
			return n, err
		}
		for _, m := range response.GetResults() {
			result, err := claim(pending, m)
			if err != nil {
				return n, err
			}
			n++
			if !yield(result, nil) {
				return n, errStopped
			}
		}
	}
}

// claim reads the result m of a target that is pending, and is so no longer.
func claim(p *pending, m *tcpshakerv1.CheckResult) (Result, error) {
	target, err := p.take(m.GetIndex())
	if err != nil {
		return Result{}, err
	}
	result, err := newResult(target.text, m)
	if err != nil {
		p.restore(m.GetIndex(), target)
		return Result{}, err
	}
	result.Index = target.index // m's is that of the stream
	return result, nil
}
