package main

import (
	"context"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asCommand in the environment makes the test binary the command itself.
const asCommand = "SHAKERD_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// run runs the command in this process, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return newCommand(stdout, stderr).run(ctx, args)
}

func TestEndBySignal(t *testing.T) {
	signals := make(chan os.Signal)
	exited := make(chan int)
	ctx := endBySignal(context.Background(), signals, func(code int) { exited <- code })
	if ctx.Err() != nil {
		t.Fatal("ended before any signal")
	}
	signals <- os.Interrupt
	<-ctx.Done()
	select {
	case code := <-exited:
		t.Fatalf("exit %d after one signal", code)
	case signals <- os.Interrupt:
	}
	if code := <-exited; code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
}
