package main

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client"
)

// waiting asks about targets in rounds until each was reachable in one of them, or its time is
// over. A round asks about the missing targets alone, and ends when each has its answer. So a
// target that was reachable once counts to the end, although it may be gone by then.
type waiting struct {
	interval time.Duration // from the begin of a round to that of the next
	end      time.Time
	// missing has the targets that are not yet reachable, with their last results. Verdict is 0 if
	// there is none.
	missing []client.Result

	// ask asks about targets once. It yields as [client.Client.Stream] does.
	ask func(ctx context.Context, targets []string) iter.Seq2[client.Result, error]
	// write takes one result of each target: when it is reachable, or else at the end.
	write func(client.Result) error
	// note is called before each pause. err is why the round failed; it is nil if it was answered.
	note func(missing []client.Result, err error)
}

// lastRound is how long before the end the last round begins. A short wait has a quarter of its
// time.
const lastRound = 250 * time.Millisecond

// newWaiting returns a waiting for targets that ends at end. The caller sets its functions.
func newWaiting(targets []string, interval time.Duration, end time.Time) *waiting {
	w := &waiting{interval: interval, end: end}
	for i, target := range targets {
		w.missing = append(w.missing, client.Result{Index: uint64(i), Target: target})
	}
	return w
}

// run returns when no target is missing, when the time is over, or when asking again cannot help.
// An error is that of a write, the end of ctx, or why the last round failed. Without an error and
// with targets missing, that round was answered.
func (w *waiting) run(ctx context.Context) error {
	timed, cancel := context.WithDeadline(ctx, w.end)
	defer cancel()
	last := w.end.Add(-min(lastRound, time.Until(w.end)/4))
	var failed error // why the last round failed that was not cut short
	for {
		begun := time.Now()
		callErr, writeErr := w.round(timed)
		cut := timed.Err() != nil || status.Code(callErr) == codes.DeadlineExceeded
		switch {
		case writeErr != nil:
			return writeErr
		case len(w.missing) == 0:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !cut || callErr == nil || (failed == nil && w.unknown()):
			failed = callErr
		}
		next := begun.Add(w.interval)
		if next.After(last) {
			next = last
		}
		if delay, ok := retryDelay(failed); ok {
			next = later(next, time.Now().Add(delay))
		}
		if cut || w.hopeless() >= 0 || (failed != nil && !passing(failed)) || !begun.Before(last) || !next.Before(w.end) {
			return w.finish(failed)
		}
		w.note(w.missing, failed)
		select {
		case <-time.After(time.Until(next)):
		case <-timed.Done():
		}
	}
}

// round asks about the missing targets once, and drops those from w.missing that are reachable.
func (w *waiting) round(ctx context.Context) (callErr, writeErr error) {
	targets := make([]string, len(w.missing))
	for i, r := range w.missing {
		targets[i] = r.Target
	}
	reached := make([]bool, len(w.missing))
	for result, err := range w.ask(ctx, targets) {
		if err != nil {
			callErr = err
			break
		}
		at := result.Index
		known := &w.missing[at]
		result.Index = known.Index
		if result.Verdict == client.Reachable {
			reached[at] = true
			if writeErr = w.write(result); writeErr != nil {
				break
			}
			continue
		}
		// What the end of the wait cut short says less than an earlier answer.
		if result.Reason != client.ReasonDeadlineExceeded || known.Verdict == 0 {
			*known = result
		}
	}
	var missing []client.Result
	for i, r := range w.missing {
		if !reached[i] {
			missing = append(missing, r)
		}
	}
	w.missing = missing
	return callErr, writeErr
}

// finish writes what is known of the missing targets and returns err, or why it could not write.
func (w *waiting) finish(err error) error {
	for _, r := range w.missing {
		if r.Verdict == 0 {
			continue
		}
		if writeErr := w.write(r); writeErr != nil {
			return writeErr
		}
	}
	return err
}

// unknown reports whether there is a missing target of which no round brought a result.
func (w *waiting) unknown() bool {
	for _, r := range w.missing {
		if r.Verdict == 0 {
			return true
		}
	}
	return false
}

// hopeless returns the place in w.missing of a target that cannot become reachable: a malformed
// one, or one that the service does not probe. It is negative if there is none.
func (w *waiting) hopeless() int {
	for i, r := range w.missing {
		if r.Reason == client.ReasonInvalidTarget || r.Reason == client.ReasonPolicyDenied {
			return i
		}
	}
	return -1
}

// passing reports whether a call that failed with err can succeed later: the service was not there,
// or it said when to ask again.
func passing(err error) bool {
	_, ok := retryDelay(err)
	return ok || status.Code(err) == codes.Unavailable
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
