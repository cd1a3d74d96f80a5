package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/CarterTsai/tcp-shaker/client"
)

// run is the command without its process, and returns the exit code. When ctx ends it returns at once, even where stdin is
// blocked: a goroutine that reads it stays behind until it gets something.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseArgs(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return write(stdout, stderr, usage)
	case err == nil && o.version:
		return write(stdout, stderr, versionLine())
	}

	var seen tally
	if err == nil {
		err = shake(ctx, o, &seen, stdin, stdout, stderr)
	}
	if err == nil {
		return seen.exitCode()
	}
	code := exitCodeOf(ctx, err)
	if code != exitInterrupted && code != exitPipe { // who did that knows
		fmt.Fprintf(stderr, "shake: %s\n", printable(err.Error()))
	}
	if code == exitUsage {
		fmt.Fprintln(stderr, "shake -h tells the flags")
	}
	return code
}

// write prints what is asked for in place of results.
func write(stdout, stderr io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil {
		fmt.Fprintf(stderr, "shake: %v\n", err)
		return exitFailed
	}
	return exitReachable
}

// shake asks for all targets and writes the results.
func shake(ctx context.Context, o *options, seen *tally, stdin io.Reader, stdout, stderr io.Writer) error {
	from, err := openSource(o.targets, o.file, stdin)
	if err != nil {
		return usageError{err}
	}
	defer from.close()

	service, err := dial(o, stderr)
	if err != nil {
		return err
	}
	defer service.close()

	if o.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.deadline)
		defer cancel()
	}
	results := service.client.Stream(ctx, from.all, o.check()...)
	if o.file == "" {
		results = inOrder(results)
	}
	out := newWriter(stdout, o)
	for result, err := range results {
		if err != nil {
			return brokenOff(service, seen.all, err)
		}
		seen.add(result.Verdict)
		if err := out.write(result); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	switch {
	case from.err != nil:
		return usageError{from.err}
	case seen.all == 0:
		return usageError{fmt.Errorf("%s: no targets", o.file)}
	default:
		return nil
	}
}

// brokenOff says what a failed call means to the user; n results came before.
func brokenOff(s *service, n int, err error) error {
	err = withHint(err)
	if e, ok := errors.AsType[*client.Error](err); ok {
		if delay, ok := e.RetryDelay(); ok {
			err = fmt.Errorf("%w (may be asked again in %v)", err, delay)
		}
	}
	if n == 0 {
		return fmt.Errorf("asking %s: %w", s.name, err)
	}
	return fmt.Errorf("asking %s: broken off after %d results: %w", s.name, n, err)
}

// versionLine is what --version prints.
func versionLine() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return fmt.Sprintf("shake %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
