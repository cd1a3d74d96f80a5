package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// answerOne answers a Check of one target.
func answerOne(_ context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
	return &tcpshakerv1.CheckResponse{Results: []*tcpshakerv1.CheckResult{reachable(0, r.GetTargets()[0])}}, nil
}

func TestCheck(t *testing.T) {
	var got *tcpshakerv1.CheckRequest
	c := dial(t, &fake{check: func(ctx context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
		got = r
		return answerOne(ctx, r)
	}})
	result, err := c.Check(t.Context(), "192.0.2.7:443", WithTimeout(time.Second), WithEvidence())
	if err != nil {
		t.Fatal(err)
	}
	if result.Target != "192.0.2.7:443" || result.Verdict != Reachable || result.Reason != ReasonSYNACK {
		t.Errorf("result %+v", result)
	}
	want := &tcpshakerv1.CheckRequest{
		Targets: []string{"192.0.2.7:443"},
		Options: &tcpshakerv1.CheckOptions{Timeout: durationpb.New(time.Second), Evidence: true},
	}
	if !proto.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

// More targets than a message may carry, and more bytes of answer than a message may have, still come in order.
func TestCheckAllIsInOrderBeyondEveryLimit(t *testing.T) {
	const n = 25_000
	var longest atomic.Int64
	c := dial(t, &fake{stream: func(s serverStream) error {
		// All is read before anything is answered, last first: the order that is furthest from the one wanted.
		var all []*tcpshakerv1.CheckResult
		for {
			request, err := s.Recv()
			if err != nil {
				break
			}
			longest.Store(max(longest.Load(), int64(len(request.GetTargets()))))
			for _, target := range request.GetTargets() {
				result := reachable(uint64(len(all)), target)
				result.Detail = strings.Repeat("x", 200) // 5 MB in all
				all = append(all, result)
			}
		}
		slices.Reverse(all)
		for chunk := range slices.Chunk(all, 100) {
			if err := s.Send(respond(chunk...)); err != nil {
				return err
			}
		}
		return nil
	}})
	targets := make([]string, n)
	for i := range targets {
		targets[i] = fmt.Sprintf("host-%d.example:443", i)
	}
	results, err := c.CheckAll(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != n {
		t.Fatalf("%d results of %d targets", len(results), n)
	}
	for i, r := range results {
		if r.Index != uint64(i) || r.Target != targets[i] {
			t.Fatalf("at %d: index %d, target %q", i, r.Index, r.Target)
		}
	}
	if got := longest.Load(); got != maxBatch {
		t.Errorf("the longest message had %d targets, want %d", got, maxBatch)
	}
}

func TestCheckAllOfNone(t *testing.T) {
	c := dial(t, &fake{}) // would panic if it were asked
	results, err := c.CheckAll(t.Context(), nil)
	if results != nil || err != nil {
		t.Errorf("got %v, %v", results, err)
	}
}

// A target that no message could carry harms no other, and comes back as it was given.
func TestTargetsThatCannotTravel(t *testing.T) {
	targets := []string{
		"a\xff\xfeb:80", "plain.example:80", strings.Repeat("x", 5<<20), strings.Repeat("ü", 4000), "nul\x00:80", "",
	}
	c := dial(t, &fake{stream: echo, check: answerOne})
	results, err := c.CheckAll(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	for i, target := range targets {
		if results[i].Target != target {
			t.Errorf("target %d came back as %.40q", i, results[i].Target)
		}
		if one, err := c.Check(t.Context(), target); err != nil || one.Target != target {
			t.Errorf("Check of target %d: %.40q, %v", i, one.Target, err)
		}
	}
}

// Check and Vantage are tried up to four times if the service is UNAVAILABLE. Streams go on with
// another stream. After another status no call is made again. The package comment promises this.
func TestRetries(t *testing.T) {
	var calls atomic.Int64
	fails := func(times int64, code codes.Code) error {
		if calls.Add(1) <= times {
			return status.Error(code, "scripted")
		}
		return nil
	}
	tests := []struct {
		name  string
		code  codes.Code
		times int64 // how often the service fails first
		call  func(*Client) error
		want  codes.Code
		calls int64
	}{
		{"check recovers", codes.Unavailable, 2, checkOne, codes.OK, 3},
		{"check gives up", codes.Unavailable, 100, checkOne, codes.Unavailable, 4},
		{"check of another status", codes.Internal, 1, checkOne, codes.Internal, 1},
		{"vantage recovers", codes.Unavailable, 1, askVantage, codes.OK, 2},
		{"vantage of another status", codes.PermissionDenied, 1, askVantage, codes.PermissionDenied, 1},
		{"stream recovers", codes.Unavailable, 1, checkTwo, codes.OK, 2},
		{"stream of another status", codes.Internal, 1, checkTwo, codes.Internal, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls.Store(0)
			c := dial(t, &fake{
				check: func(ctx context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
					if err := fails(tt.times, tt.code); err != nil {
						return nil, err
					}
					return answerOne(ctx, r)
				},
				vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) {
					return &tcpshakerv1.GetVantageResponse{}, fails(tt.times, tt.code)
				},
				stream: func(s serverStream) error {
					if err := fails(tt.times, tt.code); err != nil {
						return err
					}
					return echo(s)
				},
			})
			err := tt.call(c)
			if got := status.Code(err); got != tt.want {
				t.Errorf("status %v, want %v (%v)", got, tt.want, err)
			}
			if got := calls.Load(); got != tt.calls {
				t.Errorf("the service was called %d times, want %d", got, tt.calls)
			}
		})
	}
}

func checkOne(c *Client) error {
	_, err := c.Check(context.Background(), "a.example:1")
	return err
}

func checkTwo(c *Client) error {
	_, err := c.CheckAll(context.Background(), []string{"a.example:1", "b.example:1"})
	return err
}

func askVantage(c *Client) error {
	_, err := c.Vantage(context.Background())
	return err
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	c := dial(t, &fake{
		check:  answerOne,
		stream: echo,
		vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) {
			return &tcpshakerv1.GetVantageResponse{}, nil
		},
	})
	targets := make([]string, 1000)
	for i := range targets {
		targets[i] = fmt.Sprintf("192.0.2.1:%d", i+1)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, call := range []func(*Client) error{checkOne, askVantage} {
				if err := call(c); err != nil {
					t.Error(err)
				}
			}
			results, err := c.CheckAll(context.Background(), targets)
			if err != nil {
				t.Error(err)
			}
			for i, r := range results {
				if r.Target != targets[i] {
					t.Errorf("at %d: %q", i, r.Target)
				}
			}
		})
	}
	all.Wait()
}

func TestClosedClient(t *testing.T) {
	c := dial(t, &fake{check: answerOne})
	other, err := New("localhost:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkOne(other); status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("of a closed Client: %v", err)
	}
	if err := checkOne(c); err != nil {
		t.Errorf("of an open one: %v", err)
	}
}
