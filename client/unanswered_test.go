package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Every target that the sequence was asked for has a Result or stands in Unanswered, also if the
// service goes away while a full message waits.
func TestNoTargetIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		code  codes.Code
		pause time.Duration // before the sequence gives its next target
		least int           // targets without a result
	}{
		"the service stays away":   {codes.Unavailable, 0, 4 * maxBatch},
		"the call is aborted":      {codes.Aborted, 0, 3 * maxBatch},
		"a slow sequence, aborted": {codes.Aborted, time.Microsecond, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var opened atomic.Int64
			c := dial(t, &fake{stream: func(s serverStream) error {
				if opened.Add(1) == 1 {
					for range 3 {
						if _, err := s.Recv(); err != nil {
							return err
						}
					}
					time.Sleep(100 * time.Millisecond) // the sequence fills what there is room for
				}
				return status.Error(tt.code, "scripted")
			}}, WithConnectTimeout(time.Second))
			var taken atomic.Int64
			targets := numbered(100_000)
			returned := make(chan struct{})
			sequence := func(yield func(string) bool) {
				defer close(returned)
				for _, target := range targets {
					taken.Add(1)
					if !yield(target) {
						return
					}
					if tt.pause > 0 {
						time.Sleep(tt.pause)
					}
				}
			}
			_, err := drain(c.Stream(t.Context(), sequence))
			<-returned
			failed, ok := errors.AsType[*Error](err)
			if !ok || status.Code(err) != tt.code {
				t.Fatal(err)
			}
			// A sequence that is running, and not waiting, when the call ends may give one more.
			late := int(taken.Load()) - len(failed.Unanswered)
			if late < 0 || late > 1 || (tt.code == codes.Unavailable && late > 0) || len(failed.Unanswered) < tt.least {
				t.Errorf("%d targets were taken, and %d are unanswered", taken.Load(), len(failed.Unanswered))
			}
			for i, u := range failed.Unanswered {
				if u.Index != uint64(i) || u.Target != targets[i] {
					t.Fatalf("%+v in place of target %d", u, i)
				}
			}
		})
	}
}

// The error of CheckAll has every target without a result, also those that were not sent.
func TestUnansweredOfCheckAll(t *testing.T) {
	c := newClient(t, "unix:"+t.TempDir()+"/none")
	targets := numbered(3 * maxBatch)
	_, err := c.CheckAll(t.Context(), targets)
	failed, ok := errors.AsType[*Error](err)
	if !ok || status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	checkUnanswered(t, failed.Unanswered, targets, func(int) bool { return false })

	c = dial(t, &fake{stream: func(s serverStream) error {
		request, err := s.Recv()
		if err != nil {
			return err
		}
		return errors.Join(
			s.Send(respond(reachable(1, request.GetTargets()[1]))), status.Error(codes.Aborted, "scripted"))
	}})
	_, err = c.CheckAll(t.Context(), targets)
	if failed, ok = errors.AsType[*Error](err); !ok || status.Code(err) != codes.Aborted {
		t.Fatal(err)
	}
	checkUnanswered(t, failed.Unanswered, targets, func(i int) bool { return i == 1 })

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.CheckAll(ctx, targets)
	if failed, ok = errors.AsType[*Error](err); !ok || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	checkUnanswered(t, failed.Unanswered, targets, func(int) bool { return false })
}

// checkUnanswered compares got with the targets that have no answer.
func checkUnanswered(t *testing.T, got []UnansweredTarget, targets []string, answered func(int) bool) {
	t.Helper()
	var want []UnansweredTarget
	for i, target := range targets {
		if !answered(i) {
			want = append(want, UnansweredTarget{uint64(i), target})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d targets are unanswered, want %d", len(got), len(want))
	}
}

// A Stream that finds no service at its beginning does not run its sequence, so it has taken no target.
func TestNoSequenceWithoutAService(t *testing.T) {
	c := newClient(t, "unix:"+t.TempDir()+"/none")
	_, err := drain(c.Stream(t.Context(), func(func(string) bool) { t.Error("the sequence ran") }))
	failed, ok := errors.AsType[*Error](err)
	if !ok || failed.Unanswered != nil || strings.Contains(err.Error(), "without a result") {
		t.Errorf("%+v", failed)
	}
}
