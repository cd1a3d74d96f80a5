package main

import (
	"context"
	"errors"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client"
)

// Exit codes.
const (
	exitReachable    = 0   // all targets are reachable; or -h, --version, or a vantage that was printed
	exitUnreachable  = 1   // at least one is unreachable, or was not reachable until the end of --wait
	exitUsage        = 2   // wrong flags, no targets, a file that cannot be read
	exitInconclusive = 3   // none is unreachable, but at least one is inconclusive
	exitFailed       = 4   // the service could not be asked to the end, or results not be written
	exitInterrupted  = 130 // Ctrl-C: 128 and SIGINT, as shells have it
	exitPipe         = 141 // whoever read the results has gone: 128 and SIGPIPE
)

// usageError is an error of whoever wrote the command line, or a file that it names.
type usageError struct{ error }

// missingError is the end of a wait that left targets missing.
type missingError struct{ error }

// tally counts verdicts.
type tally struct{ all, unreachable, inconclusive int }

func (t *tally) add(v client.Verdict) {
	t.all++
	switch v {
	case client.Unreachable:
		t.unreachable++
	case client.Inconclusive:
		t.inconclusive++
	}
}

// exitCode returns the code of a run that got to its end.
func (t *tally) exitCode() int {
	switch {
	case t.unreachable > 0:
		return exitUnreachable
	case t.inconclusive > 0:
		return exitInconclusive
	default:
		return exitReachable
	}
}

// exitCodeOf returns the code of a run that err ended; ctx is the run's, without its --deadline.
func exitCodeOf(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	_, missing := errors.AsType[missingError](err)
	switch {
	case usage, status.Code(err) == codes.InvalidArgument: // an option that the service does not take
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE):
		return exitPipe
	case missing:
		return exitUnreachable
	default:
		return exitFailed
	}
}
