package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client"
)

const (
	// maxWaited is how many targets a wait takes. All are kept in memory, and asked about in each
	// round.
	maxWaited = 100_000
	// maxNamed is how many targets a message for a person names.
	maxNamed = 5
)

// waitFor is the command with --wait: it writes the result of each target when it is reachable, and
// in the end those of the others.
func waitFor(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) error {
	end := time.Now().Add(o.wait)
	targets, err := waited(ctx, o, end, stdin)
	if err != nil {
		return err
	}
	service, err := dial(o, stderr)
	if err != nil {
		return err
	}
	defer service.close()

	out := newWriter(stdout, o)
	noted := ""
	w := newWaiting(targets, o.interval, end)
	w.ask = askAgain(service, o.check())
	w.write = func(r client.Result) error {
		if err := out.write(r); err != nil {
			return fmt.Errorf("results: %w", err)
		}
		return nil
	}
	w.note = func(missing []client.Result, err error) {
		text := "waiting for " + listed(missing)
		if err != nil {
			text = "waiting: " + explain(service, 0, err).Error()
		}
		if text != noted {
			noted = text
			fmt.Fprintf(stderr, "shake: %s\n", printable(text)) // a note that cannot be written is not worth an end
		}
	}
	return w.outcome(o, service, w.run(ctx))
}

// outcome says what it means that run returned err.
func (w *waiting) outcome(o *options, s *service, err error) error {
	_, call := errors.AsType[*client.Error](err)
	switch {
	case call && status.Code(err) == codes.InvalidArgument: // the command line is to blame
		return explain(s, 0, err)
	case call && (passing(err) || status.Code(err) == codes.DeadlineExceeded):
		return fmt.Errorf("%w; --wait %s is over; missing: %s", explain(s, 0, err), short(o.wait), listed(w.missing))
	case call:
		return fmt.Errorf("%w; missing: %s", explain(s, 0, err), listed(w.missing))
	case err != nil || len(w.missing) == 0:
		return err
	}
	if at := w.hopeless(); at >= 0 {
		return missingError{fmt.Errorf("%s cannot become reachable, so the wait is over; missing: %s",
			w.missing[at].Target, listed(w.missing))}
	}
	return missingError{fmt.Errorf("not reachable within %s: %s", short(o.wait), listed(w.missing))}
}

// askAgain returns what asks about targets over a new connection if the last call found no service.
func askAgain(s *service, opts []client.CheckOption) func(context.Context, []string) iter.Seq2[client.Result, error] {
	absent := false
	return func(ctx context.Context, targets []string) iter.Seq2[client.Result, error] {
		return func(yield func(client.Result, error) bool) {
			if absent {
				if err := s.reopen(); err != nil {
					yield(client.Result{}, err)
					return
				}
			}
			absent = false
			for result, err := range s.client.Stream(ctx, slices.Values(targets), opts...) {
				absent = status.Code(err) == codes.Unavailable
				if !yield(result, err) {
					return
				}
			}
		}
	}
}

// waited reads all targets until end.
func waited(ctx context.Context, o *options, end time.Time, stdin io.Reader) ([]string, error) {
	from, err := openSource(o.targets, o.file, stdin)
	if err != nil {
		return nil, usageError{err}
	}
	defer from.close()
	timed, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	targets, err := from.read(timed, maxWaited)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, usageError{fmt.Errorf("%s: no end within --wait %s", from.name, short(o.wait))}
	case errors.Is(err, errTooMany):
		return nil, usageError{fmt.Errorf("--wait takes at most %d targets", maxWaited)}
	case err != nil:
		return nil, usageError{err}
	case len(targets) == 0:
		return nil, usageError{fmt.Errorf("%s: no targets", from.name)}
	default:
		return targets, nil
	}
}

// listed returns the first of some targets with the reasons of their results, and how many others
// there are.
func listed(missing []client.Result) string {
	var parts []string
	for _, r := range missing[:min(len(missing), maxNamed)] {
		why := "no answer"
		if r.Verdict != 0 {
			why = r.Reason.String()
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", r.Target, why))
	}
	text := strings.Join(parts, ", ")
	if more := len(missing) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
