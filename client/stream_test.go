package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func drain(seq iter.Seq2[Result, error]) ([]Result, error) {
	var results []Result
	for r, err := range seq {
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// naturals gives targets without end, and closes returned when it was told to stop.
func naturals(returned chan<- struct{}) iter.Seq[string] {
	return func(yield func(string) bool) {
		defer close(returned)
		for i := 0; yield(fmt.Sprintf("host-%d.example:80", i)); i++ {
		}
	}
}

func TestStreamGivesEveryTargetOnce(t *testing.T) {
	targets := make([]string, 3*maxBatch+1)
	for i := range targets {
		targets[i] = fmt.Sprintf("192.0.2.1:%d", i+1)
	}
	c := dial(t, &fake{stream: echo})
	stream := c.Stream(t.Context(), slices.Values(targets))
	for range 2 { // the same sequence may be ranged over again
		results, err := drain(stream)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(results, func(a, b Result) int { return int(a.Index) - int(b.Index) })
		for i, r := range results {
			if r.Target != targets[i] || r.Index != uint64(i) {
				t.Fatalf("at %d: %q, index %d", i, r.Target, r.Index)
			}
		}
		if len(results) != len(targets) {
			t.Fatalf("%d results of %d targets", len(results), len(targets))
		}
	}
}

func TestStreamOfNone(t *testing.T) {
	c := dial(t, &fake{stream: echo})
	results, err := drain(c.Stream(t.Context(), slices.Values([]string(nil))))
	if len(results) != 0 || err != nil {
		t.Errorf("%v, %v", results, err)
	}
}

// A target does not wait for a message to fill: here the next one comes only after the answer to the one before.
func TestSlowSource(t *testing.T) {
	c := dial(t, &fake{stream: echo})
	answered := make(chan string)
	targets := func(yield func(string) bool) {
		for i := range 5 {
			target := fmt.Sprintf("192.0.2.1:%d", i+1)
			if !yield(target) {
				return
			}
			if got := <-answered; got != target {
				t.Errorf("answer to %q, want %q", got, target)
			}
		}
	}
	for r, err := range c.Stream(t.Context(), targets) {
		if err != nil {
			t.Fatal(err)
		}
		answered <- r.Target
	}
}

// Targets wait 1 ms for company, no longer and no shorter.
func TestFlushDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var arrivals []time.Time
		c := dial(t, &fake{stream: func(s serverStream) error {
			for {
				request, err := s.Recv()
				if err != nil {
					return nil
				}
				sizes, arrivals = append(sizes, len(request.GetTargets())), append(arrivals, time.Now())
			}
		}})
		var start time.Time
		targets := func(yield func(string) bool) {
			synctest.Wait() // the connection stands
			start = time.Now()
			for i := range maxBatch + 2 { // one full message, and two that have to wait
				yield(fmt.Sprintf("192.0.2.1:%d", i+1))
			}
			timer := time.NewTimer(time.Minute)
			<-timer.C
			yield("192.0.2.2:1")
		}
		_, err := drain(c.Stream(t.Context(), targets))
		if !errors.Is(err, ErrProtocol) { // this fake answers nothing
			t.Error(err)
		}
		synctest.Wait()
		if !slices.Equal(sizes, []int{maxBatch, 2, 1}) {
			t.Fatalf("messages of %v targets", sizes)
		}
		for i, want := range []time.Duration{0, time.Millisecond, time.Minute} {
			if got := arrivals[i].Sub(start); got != want {
				t.Errorf("message %d arrived after %v, want %v", i, got, want)
			}
		}
	})
}

// A service that reads no further holds back the source: what is pulled ahead is bounded by gRPC's windows.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := dial(t, &fake{stream: func(s serverStream) error {
			<-release
			return status.Error(codes.Aborted, "scripted")
		}})
		var pulled atomic.Int64
		long := strings.Repeat("x", maxTarget)
		returned := make(chan struct{})
		targets := func(yield func(string) bool) {
			defer close(returned)
			for yield(long) {
				pulled.Add(1)
			}
		}
		go func() {
			synctest.Wait() // until nothing moves any more
			if n := pulled.Load() * maxTarget; n > 1<<20 {
				t.Errorf("%d bytes of targets were pulled from a source that the service does not read", n)
			}
			close(release)
		}()
		_, err := drain(c.Stream(t.Context(), targets))
		if status.Code(err) != codes.Aborted {
			t.Error(err)
		}
		<-returned
	})
}

// A break cancels the RPC at the service and stops the source.
func TestBreak(t *testing.T) {
	canceled := make(chan struct{})
	c := dial(t, &fake{stream: func(s serverStream) error {
		err := echo(s)
		<-s.Context().Done()
		close(canceled)
		return err
	}})
	returned := make(chan struct{})
	for _, err := range c.Stream(t.Context(), naturals(returned)) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	<-canceled
	<-returned
}

// A source that is blocked does not keep a break, an error or the end of the context from ending the loop.
func TestBlockedSource(t *testing.T) {
	tests := map[string]struct {
		stream func(serverStream) error
		end    func(cancel func()) (stop bool)
		want   error
	}{
		"break":  {echo, func(func()) bool { return true }, nil},
		"cancel": {echo, func(cancel func()) bool { cancel(); return false }, context.Canceled},
		"error": {func(s serverStream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			if err := s.Send(respond(reachable(0, "a:1"))); err != nil {
				return err
			}
			return status.FromContextError(context.DeadlineExceeded).Err()
		}, func(func()) bool { return false }, context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{stream: tt.stream})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wake, returned := make(chan struct{}), make(chan struct{})
			targets := func(yield func(string) bool) {
				defer close(returned)
				yield("a:1")
				<-wake
				if yield("b:1") {
					t.Error("the source was asked for more after the loop")
				}
			}
			var last error
			for _, err := range c.Stream(ctx, targets) {
				if last = err; err == nil && tt.end(cancel) {
					break
				}
			}
			if !errors.Is(last, tt.want) {
				t.Errorf("error %v, want %v", last, tt.want)
			}
			close(wake) // only now may the source go on
			<-returned
		})
	}
}

// A stream that has failed stops the source, which has not come to its end.
func TestSourceOfAFailedStream(t *testing.T) {
	c := dial(t, &fake{stream: func(s serverStream) error {
		request, err := s.Recv()
		if err != nil {
			return err
		}
		return errors.Join(s.Send(respond(reachable(0, request.GetTargets()[0]))), status.Error(codes.Aborted, "scripted"))
	}})
	returned := make(chan struct{})
	var last error
	for _, err := range c.Stream(t.Context(), naturals(returned)) {
		last = err
	}
	<-returned
	if last == nil {
		t.Error("no error")
	}
}

func TestStreamWithACanceledContext(t *testing.T) {
	c := dial(t, &fake{stream: echo})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := drain(c.Stream(ctx, slices.Values([]string{"a:1"})))
	if len(results) != 0 || !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled {
		t.Errorf("%v, %v", results, err)
	}
}

// What goes wrong on this side in Send is told too.
func TestStreamWhoseMessagesCannotBeSent(t *testing.T) {
	c := dial(t, &fake{stream: echo}, WithDialOptions(grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(3))))
	returned := make(chan struct{})
	results, err := drain(c.Stream(t.Context(), naturals(returned)))
	if len(results) != 0 || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v, %v", results, err)
	}
	<-returned
}
