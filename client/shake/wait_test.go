package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client"
)

// answer is what a scripted service says of a target: `up`, `refused`, … after a while.
type answer struct {
	after  time.Duration
	reason client.Reason
}

// script is a service for a waiting in a bubble of synctest.
type script struct {
	// answers has what a target is like at a time, from the begin of the test.
	answers func(target string, at time.Duration) answer
	// fails is why a call fails at a time, after how long. nil: none does.
	fails func(at time.Duration) (time.Duration, error)

	begun time.Time
	log   []string // each call: the time, and its targets or error
}

// ask ends as the service does: at the deadline of ctx, with the targets cut off that are under
// way.
func (s *script) ask(ctx context.Context, targets []string) iter.Seq2[client.Result, error] {
	return func(yield func(client.Result, error) bool) {
		at := time.Since(s.begun)
		if s.fails != nil {
			if after, err := s.fails(at); err != nil {
				s.log = append(s.log, fmt.Sprint(at, " fails"))
				select {
				case <-time.After(after):
				case <-ctx.Done():
					err = status.FromContextError(ctx.Err()).Err()
				}
				yield(client.Result{}, &client.Error{Err: err})
				return
			}
		}
		s.log = append(s.log, fmt.Sprint(at, " ", strings.Join(targets, " ")))
		type due struct {
			index int
			answer
		}
		var all []due
		for i, target := range targets {
			all = append(all, due{i, s.answers(target, at)})
		}
		slices.SortStableFunc(all, func(a, b due) int { return int(a.after - b.after) })
		for _, d := range all {
			select {
			case <-time.After(d.after - (time.Since(s.begun) - at)):
			case <-ctx.Done():
				if errors.Is(ctx.Err(), context.Canceled) {
					yield(client.Result{}, &client.Error{Err: status.FromContextError(ctx.Err()).Err()})
					return
				}
				d.reason = client.ReasonDeadlineExceeded
			}
			r := client.Result{Index: uint64(d.index), Target: targets[d.index], Verdict: d.reason.Verdict(), Reason: d.reason}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// wait runs a waiting in a bubble and returns what it did, with the time of each event.
func (s *script) wait(t *testing.T, ctx context.Context, targets string, wait, interval time.Duration) (log []string, err error) {
	t.Helper()
	s.begun = time.Now()
	w := newWaiting(strings.Fields(targets), interval, s.begun.Add(wait))
	w.ask = s.ask
	w.write = func(r client.Result) error {
		log = append(log, fmt.Sprint(time.Since(s.begun), " ", r.Index, " ", r.Target, " ", r.Reason))
		return nil
	}
	w.note = func([]client.Result, error) {}
	err = w.run(ctx)
	return append(log, fmt.Sprint(time.Since(s.begun), " end")), err
}

const (
	up       = client.ReasonSYNACK
	refused  = client.ReasonRefused
	timedOut = client.ReasonTimedOut
)

// upFrom is a target that refuses until a time.
func upFrom(begin map[string]time.Duration) func(string, time.Duration) answer {
	return func(target string, at time.Duration) answer {
		if from, ok := begin[target]; ok && at >= from {
			return answer{0, up}
		}
		return answer{0, refused}
	}
}

func check(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each target is written once, when it is reachable, and not asked about again.
func TestWaitAsksAboutTheMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: func(target string, at time.Duration) answer {
			if target == "gone:1" { // reachable in the first round alone
				return answer{0, map[bool]client.Reason{true: up, false: refused}[at == 0]}
			}
			return upFrom(map[string]time.Duration{"a:1": 2 * time.Second, "b:1": 1500 * time.Millisecond, "c:1": 0})(target, at)
		}}
		log, err := s.wait(t, t.Context(), "a:1 gone:1 c:1 b:1 a:1", time.Minute, time.Second)
		if err != nil {
			t.Error(err)
		}
		check(t, "rounds", s.log, []string{"0s a:1 gone:1 c:1 b:1 a:1", "1s a:1 b:1 a:1", "2s a:1 b:1 a:1"})
		check(t, "results", log, []string{
			"0s 1 gone:1 SYN-ACK", "0s 2 c:1 SYN-ACK", "2s 0 a:1 SYN-ACK", "2s 3 b:1 SYN-ACK", "2s 4 a:1 SYN-ACK", "2s end",
		})
	})
}

// The last round begins shortly before the end, whatever the interval, and the missing are written
// then.
func TestWaitEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		wait, interval time.Duration
		rounds         []string
		end            string
	}{
		"intervals":     {3 * time.Second, time.Second, []string{"0s", "1s", "2s", "2.75s"}, "2.75s"},
		"long interval": {time.Minute, time.Hour, []string{"0s", "59.75s"}, "59.75s"},
		"short wait":    {400 * time.Millisecond, time.Second, []string{"0s", "300ms"}, "300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: upFrom(nil)}
				log, err := s.wait(t, t.Context(), "a:1 b:1", tt.wait, tt.interval)
				if err != nil {
					t.Error(err)
				}
				var rounds []string
				for _, at := range tt.rounds {
					rounds = append(rounds, at+" a:1 b:1")
				}
				check(t, "rounds", s.log, rounds)
				check(t, "results", log, []string{tt.end + " 0 a:1 refused", tt.end + " 1 b:1 refused", tt.end + " end"})
			})
		})
	}
}

// A target that appears in the last moment is found.
func TestWaitLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: upFrom(map[string]time.Duration{"a:1": 9700 * time.Millisecond})}
		log, err := s.wait(t, t.Context(), "a:1", 10*time.Second, 10*time.Second)
		if err != nil {
			t.Error(err)
		}
		check(t, "results", log, []string{"9.75s 0 a:1 SYN-ACK", "9.75s end"})
	})
}

// A round of silent targets takes their timeout, and never longer than what is left. A target that
// the end has cut off keeps the result that it had.
func TestWaitForSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: func(string, time.Duration) answer { return answer{2 * time.Second, timedOut} }}
		log, err := s.wait(t, t.Context(), "a:1", 5*time.Second, time.Second)
		if err != nil {
			t.Error(err)
		}
		check(t, "rounds", s.log, []string{"0s a:1", "2s a:1", "4s a:1"})
		check(t, "results", log, []string{"5s 0 a:1 timed out", "5s end"})

		s = &script{answers: s.answers}
		log, _ = s.wait(t, t.Context(), "a:1", time.Second, time.Second)
		check(t, "results of a wait below the timeout", log, []string{"1s 0 a:1 deadline exceeded", "1s end"})
	})
}

func rpcError(code codes.Code, delay time.Duration) error {
	s := status.New(code, "test")
	if delay > 0 {
		s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return s.Err()
}

// A service that comes later is waited for, and asked again when it said.
func TestWaitForTheService(t *testing.T) {
	for name, tt := range map[string]struct {
		fails  map[time.Duration]error // at the times of calls
		wait   time.Duration
		rounds []string
		code   codes.Code // of the error
	}{
		"comes later": {
			map[time.Duration]error{0: rpcError(codes.Unavailable, 0), time.Second: rpcError(codes.Unavailable, 0)},
			10 * time.Second,
			[]string{"0s fails", "1s fails", "2s a:1"},
			codes.OK,
		},
		"quota": {
			map[time.Duration]error{0: rpcError(codes.ResourceExhausted, 3500*time.Millisecond)},
			10 * time.Second,
			[]string{"0s fails", "3.5s a:1"},
			codes.OK,
		},
		"short delay": {
			map[time.Duration]error{0: rpcError(codes.ResourceExhausted, 10*time.Millisecond)},
			10 * time.Second,
			[]string{"0s fails", "1s a:1"},
			codes.OK,
		},
		"delay into the last round": {
			map[time.Duration]error{0: rpcError(codes.ResourceExhausted, 9900*time.Millisecond)},
			10 * time.Second,
			[]string{"0s fails", "9.9s a:1"},
			codes.OK,
		},
		"delay beyond the end": {
			map[time.Duration]error{0: rpcError(codes.ResourceExhausted, 10*time.Second)},
			10 * time.Second,
			[]string{"0s fails"},
			codes.ResourceExhausted,
		},
		"never comes": {
			map[time.Duration]error{
				0: rpcError(codes.Unavailable, 0), time.Second: rpcError(codes.Unavailable, 0),
				1750 * time.Millisecond: rpcError(codes.Unavailable, 0),
			},
			2 * time.Second,
			[]string{"0s fails", "1s fails", "1.75s fails"},
			codes.Unavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{
					answers: upFrom(map[string]time.Duration{"a:1": 0}),
					fails:   func(at time.Duration) (time.Duration, error) { return 0, tt.fails[at] },
				}
				_, err := s.wait(t, t.Context(), "a:1", tt.wait, time.Second)
				check(t, "rounds", s.log, tt.rounds)
				if status.Code(err) != tt.code {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// An error that waiting does not help ends the wait at once.
func TestWaitEndsAtOnce(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.Unimplemented, codes.Internal,
		codes.ResourceExhausted,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{
				answers: upFrom(nil),
				fails: func(at time.Duration) (time.Duration, error) {
					if at == 0 {
						return 0, nil
					}
					return 0, rpcError(code, 0)
				},
			}
			log, err := s.wait(t, t.Context(), "a:1", time.Minute, time.Second)
			if status.Code(err) != code {
				t.Errorf("%v: error %v", code, err)
			}
			check(t, code.String(), log, []string{"1s 0 a:1 refused", "1s end"})
		})
	}
	for _, reason := range []client.Reason{client.ReasonInvalidTarget, client.ReasonPolicyDenied} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: func(target string, _ time.Duration) answer {
				return map[string]answer{"a:1": {0, refused}, "b:1": {0, reason}, "c:1": {0, up}}[target]
			}}
			log, err := s.wait(t, t.Context(), "a:1 b:1 c:1", time.Minute, time.Second)
			if err != nil {
				t.Errorf("%v: error %v", reason, err)
			}
			check(t, reason.String(), log, []string{
				"0s 2 c:1 SYN-ACK", "0s 0 a:1 refused", "0s 1 b:1 " + reason.String(), "0s end",
			})
		})
	}
	// These pass.
	for _, reason := range []client.Reason{
		client.ReasonNameNotFound, client.ReasonNameLookupFailed, client.ReasonRateLimited, client.ReasonTooManyAddresses,
		client.ReasonNoRoute, client.ReasonLocalResources, client.ReasonLocalFiltered, client.ReasonShuttingDown,
		client.ReasonVantageIsolated, client.ReasonProhibited, client.ReasonHostUnreachable,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: func(_ string, at time.Duration) answer {
				return answer{0, map[bool]client.Reason{true: reason, false: up}[at < 3*time.Second]}
			}}
			log, err := s.wait(t, t.Context(), "a:1", time.Minute, time.Second)
			if err != nil {
				t.Errorf("%v: error %v", reason, err)
			}
			check(t, reason.String(), log, []string{"3s 0 a:1 SYN-ACK", "3s end"})
		})
	}
}

// A service that accepts calls and never answers ends with the wait. Results of earlier rounds
// count then.
func TestWaitForAHungService(t *testing.T) {
	hangs := func(from time.Duration) *script {
		return &script{
			answers: upFrom(nil),
			fails: func(at time.Duration) (time.Duration, error) {
				if at >= from {
					return time.Hour, errors.New("never")
				}
				return 0, nil
			},
		}
	}
	synctest.Test(t, func(t *testing.T) {
		log, err := hangs(0).wait(t, t.Context(), "a:1", 5*time.Second, time.Second)
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("error %v", err)
		}
		check(t, "never", log, []string{"5s end"})

		log, err = hangs(time.Second).wait(t, t.Context(), "a:1", 5*time.Second, time.Second)
		if err != nil {
			t.Errorf("error %v", err)
		}
		check(t, "later", log, []string{"5s 0 a:1 refused", "5s end"})
	})
}

// Ctrl-C ends the pause and the round, and nothing is written then.
func TestWaitInterrupted(t *testing.T) {
	for name, answers := range map[string]func(string, time.Duration) answer{
		"pause": upFrom(nil),
		"round": func(string, time.Duration) answer { return answer{time.Hour, refused} },
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(1300*time.Millisecond, cancel)
			log, err := (&script{answers: answers}).wait(t, ctx, "a:1", time.Minute, time.Second)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error %v", name, err)
			}
			check(t, name, log, []string{"1.3s end"})
		})
	}
}
