package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0 // asked to end, and ended in order; or -h, or --version
	exitFailure = 1 // could not serve, or was ended by a second signal before it was done
	exitUsage   = 2 // flags that cannot be, or must not be
)

func main() {
	spareProcessor()
	signals := make(chan os.Signal, 2) // of two signals that come at once, both count
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// Nobody's SIGHUP ends the process, however early; startReloads takes those that mean something.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	// By default Go lets SIGPIPE end a process that writes to a standard stream which nobody reads.
	signal.Ignore(syscall.SIGPIPE)
	c := newCommand(os.Stdout, os.Stderr)
	logGRPC(c.log)
	ctx := endBySignal(context.Background(), signals, func(code int) {
		c.end(ended, nil)
		os.Exit(code)
	})
	os.Exit(c.run(ctx, os.Args[1:]))
}

// spareProcessor gives the scheduler one processor more than there are cores. The engine runs one loop per core; without a
// spare one an RPC waits tens of milliseconds for a loop to make room. What the environment says of GOMAXPROCS stands.
func spareProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // what Go chose knows the CPU limit of a container
	}
}

// endBySignal returns a context that the first of signals ends, and calls exit on the second: who asks twice does not
// want to wait for the grace period.
func endBySignal(parent context.Context, signals <-chan os.Signal, exit func(code int)) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		<-signals
		cancel()
		<-signals
		exit(exitFailure)
	}()
	return ctx
}
