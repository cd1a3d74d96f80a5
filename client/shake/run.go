package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
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
	switch {
	case err != nil:
	case o.vantage:
		err = printVantage(ctx, o, stdout, stderr)
	case o.wait > 0:
		err = waitFor(ctx, o, stdin, stdout, stderr)
	default:
		err = shake(ctx, o, &seen, stdin, stdout, stderr)
	}
	if err == nil {
		return seen.exitCode()
	}
	code := exitCodeOf(ctx, err)
	if code != exitInterrupted && code != exitPipe { // who did that knows
		fmt.Fprintf(stderr, "shake: %s\n", printable(err.Error()))
	}
	if code == exitFailed && o.wait == 0 && !o.vantage {
		o.tellUnanswered(stderr, &seen, err)
	}
	if code == exitUsage {
		fmt.Fprintln(stderr, "shake -h explains the flags")
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

	ctx, cancel := o.bounded(ctx)
	defer cancel()
	results := service.client.Stream(ctx, from.all, o.check()...)
	if o.file == "" {
		results = inOrder(results)
	}
	out := newWriter(stdout, o)
	for result, err := range results {
		if err != nil {
			return brokenOff(o, service, seen.all, err)
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
		return usageError{fmt.Errorf("%s: no targets", from.name)}
	default:
		return nil
	}
}

// bounded returns ctx with --deadline, if there is one.
func (o *options) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.deadline > 0 {
		return context.WithTimeout(ctx, o.deadline)
	}
	return context.WithCancel(ctx)
}

// versionLine is what --version prints.
func versionLine() string {
	return fmt.Sprintf("shake %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version is that of the program, as the build has it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
