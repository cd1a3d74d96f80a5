package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// unavailable returns an UNAVAILABLE of the service's own, with RetryInfo unless delay is negative.
func unavailable(reason string, delay time.Duration) error {
	if delay < 0 {
		return refusal(codes.Unavailable, errorInfo(reason))
	}
	return refusal(codes.Unavailable, errorInfo(reason), &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
}

// numbered returns n targets that differ.
func numbered(n int) []string {
	targets := make([]string, n)
	for i := range targets {
		targets[i] = fmt.Sprintf("host-%d.example:80", i)
	}
	return targets
}

// flaky answers about the given number of targets on each of its streams, some of those that it has read and in any order, and then ends
// the stream with what end returns; the last stream is answered to the end.
func flaky(streams, answers int, end func(n int) error) func(serverStream) error {
	var opened atomic.Int64
	return func(s serverStream) error {
		n := int(opened.Add(1))
		if n == streams {
			return echo(s)
		}
		next, given := uint64(0), 0
		for given < answers {
			request, err := s.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			response := new(tcpshakerv1.StreamCheckResponse)
			for _, i := range rand.Perm(len(request.GetTargets())) {
				if rand.IntN(3) > 0 {
					response.Results = append(response.Results, reachable(next+uint64(i), request.GetTargets()[i]))
				}
			}
			next += uint64(len(request.GetTargets()))
			given += len(response.GetResults())
			if err := s.Send(response); err != nil {
				return err
			}
		}
		return end(n)
	}
}

// Every target is answered once, in its place, whatever ends the streams that it is sent on; and the sequence runs once.
func TestStreamGoesOn(t *testing.T) {
	for name, end := range map[string]func(int) error{
		"age":        func(int) error { return unavailable("STREAM_AGE", 0) },
		"drain":      func(int) error { return unavailable("DRAINING", time.Second) },
		"connection": func(int) error { return status.Error(codes.Unavailable, "connection reset") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				targets := numbered(20_000)
				var runs int
				sequence := func(yield func(string) bool) {
					runs++
					for _, target := range targets {
						if !yield(target) {
							return
						}
					}
				}
				c := dial(t, &fake{stream: flaky(20, 1500, end)})
				answered := make([]bool, len(targets))
				for r, err := range c.Stream(t.Context(), sequence) {
					if err != nil {
						t.Fatal(err)
					}
					if answered[r.Index] || r.Target != targets[r.Index] {
						t.Fatalf("target %d is answered as %q, before: %v", r.Index, r.Target, answered[r.Index])
					}
					answered[r.Index] = true
				}
				if i := slices.Index(answered, false); i >= 0 || runs != 1 {
					t.Errorf("target %d has no answer; the sequence ran %d times", i, runs)
				}

				all, err := c.CheckAll(t.Context(), targets)
				if err != nil || len(all) != len(targets) {
					t.Errorf("CheckAll: %d results, %v", len(all), err)
				}
			})
		})
	}
}

// A service that does not come back ends the loop after 10 s, with its last error, and with all that has no answer.
func TestServiceThatNeverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var streams atomic.Int64
		c := dial(t, &fake{stream: func(s serverStream) error {
			if n := streams.Add(1); n > 1 {
				return status.Error(codes.Unavailable, fmt.Sprint("attempt ", n))
			}
			for range 10 {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
			if err := s.Send(respond(reachable(7, "host-7.example:80"))); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "the first")
		}})
		returned := make(chan struct{})
		began := time.Now()
		results, err := drain(c.Stream(t.Context(), naturals(returned)))
		took := time.Since(began)
		<-returned
		opened := streams.Load()
		failed, ok := errors.AsType[*Error](err)
		if !ok || status.Code(err) != codes.Unavailable || len(results) != 1 || results[0].Index != 7 {
			t.Fatalf("%v, %v", results, err)
		}
		if took < 9*time.Second || took > 11*time.Second || opened < 5 || opened > 12 {
			t.Errorf("given up after %v and %d streams", took, opened)
		}
		if message := status.Convert(failed.Err).Message(); message != fmt.Sprint("attempt ", opened) {
			t.Errorf("the error is %q, and not the last", message)
		}
		if want := fmt.Sprintf("client: StreamCheck, targets without a result: %d: rpc error", len(failed.Unanswered)); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v", err)
		}
		// 10 messages, and at most one that fills and those that gRPC has taken.
		if n := len(failed.Unanswered); n < 10*maxBatch-1 || n > 100_000 {
			t.Errorf("%d targets have no answer", n)
		}
		next := uint64(0)
		for _, u := range failed.Unanswered {
			if next == 7 {
				next++
			}
			if u.Index != next || u.Target != fmt.Sprintf("host-%d.example:80", next) {
				t.Fatalf("%+v in place of target %d", u, next)
			}
			next++
		}
	})
}

// How long a Stream waits for the next one, and when it does not.
func TestWaitsBetweenStreams(t *testing.T) {
	const ms, second = time.Millisecond, time.Second
	for name, tt := range map[string]struct {
		ends  []error // of the streams, each before a result
		least []time.Duration
		code  codes.Code // of the last
	}{
		"backoff": {
			slices.Repeat([]error{status.Error(codes.Unavailable, "")}, 4),
			[]time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms},
			codes.OK,
		},
		"asked for": {
			[]error{unavailable("DRAINING", second), unavailable("DRAINING", second)},
			[]time.Duration{second, second},
			codes.OK,
		},
		"at once, and never twice in a row": {
			[]error{unavailable("STREAM_AGE", 0), unavailable("STREAM_AGE", 0)},
			[]time.Duration{0, 200 * ms},
			codes.OK,
		},
		"too long for the patience": {[]error{unavailable("", time.Hour)}, nil, codes.Unavailable},
		"another status":            {[]error{status.Error(codes.Aborted, "")}, nil, codes.Aborted},
		"then another": {
			[]error{status.Error(codes.Unavailable, ""), status.Error(codes.ResourceExhausted, "")},
			[]time.Duration{100 * ms},
			codes.ResourceExhausted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opened []time.Time
				c := dial(t, &fake{stream: func(s serverStream) error {
					opened = append(opened, time.Now())
					if n := len(opened); n <= len(tt.ends) {
						return tt.ends[n-1]
					}
					return echo(s)
				}})
				results, err := drain(c.Stream(t.Context(), slices.Values(numbered(3))))
				if status.Code(err) != tt.code || (err == nil) != (len(results) == 3) {
					t.Errorf("%d results, %v", len(results), err)
				}
				if len(opened) != len(tt.least)+1 {
					t.Fatalf("%d streams, want %d", len(opened), len(tt.least)+1)
				}
				for i, least := range tt.least {
					if waited := opened[i+1].Sub(opened[i]); waited < least || waited > least*12/10 {
						t.Errorf("stream %d was opened after %v, want %v", i+2, waited, least)
					}
				}
			})
		})
	}
}

// A stream that ends while nothing is asked is not opened again before there is a target; so a service may be away for long.
func TestIdleStream(t *testing.T) {
	for name, more := range map[string]int{"another target": 1, "the end": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opened []time.Time
				c := dial(t, &fake{stream: func(s serverStream) error {
					opened = append(opened, time.Now())
					request, err := s.Recv()
					if err != nil {
						return err
					}
					if err := s.Send(respond(reachable(0, request.GetTargets()[0]))); err != nil {
						return err
					}
					if len(opened) == 1 {
						time.Sleep(time.Second)
						return unavailable("STREAM_AGE", 0)
					}
					_, err = s.Recv()
					if errors.Is(err, io.EOF) {
						return nil
					}
					return err
				}})
				began := time.Now()
				targets := func(yield func(string) bool) {
					for i := range 1 + more {
						if !yield(fmt.Sprint("a:", i)) {
							return
						}
						time.Sleep(time.Hour)
					}
				}
				results, err := drain(c.Stream(t.Context(), targets))
				if err != nil || len(results) != 1+more || len(opened) != 1+more {
					t.Fatalf("%v, %v; %d streams", results, err, len(opened))
				}
				if more > 0 && (results[1].Index != 1 || results[1].Target != "a:1" || opened[1].Sub(began) < time.Hour) {
					t.Errorf("%+v, on a stream opened after %v", results[1], opened[1].Sub(began))
				}
			})
		})
	}
}

// A long call is not given up because each of its streams stands long without a result.
func TestLongStreamsEndNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened int
		c := dial(t, &fake{stream: func(s serverStream) error {
			if opened++; opened == 20 {
				return echo(s)
			}
			time.Sleep(defaultConnectTimeout)
			return status.Error(codes.Unavailable, "again")
		}})
		if results, err := drain(c.Stream(t.Context(), slices.Values(numbered(3)))); err != nil || len(results) != 3 {
			t.Errorf("%v, %v", results, err)
		}
	})
}

// Between two streams a loop ends with its context, and its sequence stops.
func TestContextBetweenStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &fake{stream: func(serverStream) error { return status.Error(codes.Unavailable, "away") }})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		returned := make(chan struct{})
		began := time.Now()
		_, err := drain(c.Stream(ctx, naturals(returned)))
		<-returned
		if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if failed, _ := errors.AsType[*Error](err); failed == nil || len(failed.Unanswered) == 0 {
			t.Errorf("%+v", failed)
		}
	})
}

// A connect timeout below the wait that the service asks for does not make an orderly restart fatal: after
// the wait there is time for an attempt. A service that stays away is given up after it all the same.
func TestShortPatience(t *testing.T) {
	const patience, asked = 200 * time.Millisecond, time.Second
	for name, tt := range map[string]struct {
		end  error
		away int // streams that end before one is answered
		code codes.Code
		most time.Duration
	}{
		"comes back":                        {unavailable("DRAINING", asked), 1, codes.OK, 2 * time.Second},
		"comes back after the longest wait": {unavailable("DRAINING", maxAsked), 1, codes.OK, 13 * time.Second},
		"goes on asking":                    {unavailable("DRAINING", asked), 1000, codes.Unavailable, 4 * time.Second},
		"asks for nothing":                  {status.Error(codes.Unavailable, "away"), 1000, codes.Unavailable, time.Second},
		"asks for more than is accepted":    {unavailable("DRAINING", maxAsked+1), 1000, codes.Unavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := 0
				c := dial(t, &fake{stream: func(s serverStream) error {
					if opened++; opened <= tt.away {
						return tt.end
					}
					return echo(s)
				}}, WithConnectTimeout(patience))
				began := time.Now()
				results, err := drain(c.Stream(t.Context(), slices.Values(numbered(3))))
				if took := time.Since(began); status.Code(err) != tt.code || (err == nil) != (len(results) == 3) || took > tt.most {
					t.Errorf("%d results, %v after %v and %d streams", len(results), err, took, opened)
				}
			})
		})
	}
}
