package client

import (
	"context"
	"io"
	"iter"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Stream probes the targets that the sequence gives, and yields their results in the order of completion, each with a nil
// error. An error, always an *Error, is yielded last and with a zero Result; a loop that ends without one has seen exactly
// one Result per target.
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
		go newSender(stream, options, pending).run(ctx, targets)

		fail := func(err error) {
			header, _ := stream.Header() // at hand, since Recv has returned; without it there is no request id
			yield(Result{}, newError("StreamCheck", header, err))
		}
		for {
			response, err := stream.Recv()
			if err == io.EOF {
				err = pending.complete()
				if err == nil {
					return
				}
			}
			if err != nil {
				fail(err)
				return
			}
			for _, m := range response.GetResults() {
				result, err := claim(pending, m)
				if err != nil {
					fail(err)
					return
				}
				if !yield(result, nil) {
					return
				}
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
	return newResult(target, m)
}
