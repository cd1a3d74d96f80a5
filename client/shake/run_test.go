package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

func TestExitCodes(t *testing.T) {
	for targets, want := range map[string]int{
		"up:1":               exitReachable,
		"up:1 up:2":          exitReachable,
		"up:1 down:1":        exitUnreachable,
		"down:1":             exitUnreachable,
		"lost:1 down:1 up:1": exitUnreachable,
		"lost:1 up:1":        exitInconclusive,
		"lost:1":             exitInconclusive,
	} {
		o := shakeWith(t, nil, append(strings.Fields(targets), "--server", serve(t, byName))...)
		if o.code != want || o.stderr != "" {
			t.Errorf("shake %s: %+v, want %d", targets, o, want)
		}
	}
}

// What the service says of the call as a whole decides, whatever results came before.
func TestExitCodesOfFailedCalls(t *testing.T) {
	first := &tcpshakerv1.StreamCheckResponse{Results: []*tcpshakerv1.CheckResult{resultOf(0, "down:1")}}
	tests := map[string]struct {
		stream func(serverStream) error
		want   int
		told   string
	}{
		"refused option": {
			func(serverStream) error { return status.Error(codes.InvalidArgument, "attempts") }, exitUsage, "attempts",
		},
		"quota": {
			func(serverStream) error { return status.Error(codes.ResourceExhausted, "too much") }, exitFailed, "too much",
		},
		"broken off": {func(s serverStream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			return errors.Join(s.Send(first), status.Error(codes.Aborted, "enough"))
		}, exitFailed, "after 1 result"},
		"not a shaker": {func(s serverStream) error { return nil }, exitFailed, "broke its protocol: "},
		"words that a terminal obeys": {
			func(serverStream) error { return status.Error(codes.Internal, "\x1b[2J") }, exitFailed, `\x1b[2J`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := shakeWith(t, nil, "--server", serve(t, tt.stream), "down:1", "up:1")
			if o.code != tt.want || !strings.Contains(o.stderr, tt.told) {
				t.Errorf("%+v, want %d", o, tt.want)
			}
		})
	}
}

func TestServiceThatIsNotThere(t *testing.T) {
	address := filepath.Join(t.TempDir(), "socket")
	o := shakeWith(t, nil, "--server", "unix:"+address, "up:1")
	if o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, address) {
		t.Errorf("%+v", o)
	}
	if o := shakeWith(t, nil, "--server", "dns:///\x00", "up:1"); o.code != exitUsage {
		t.Errorf("%+v", o)
	}
}

// Without a file results are told in the order of the arguments, with one in the order in which they come.
func TestOrder(t *testing.T) {
	address := serve(t, backwards)
	args := []string{"up:1", "up:2", "down:3", "up:1"}
	o := shakeWith(t, nil, append(args, "--server", address)...)
	if got := firstColumn(o.stdout); !slices.Equal(got, args) {
		t.Errorf("arguments: %q", got)
	}
	o = shakeWith(t, strings.NewReader("up:1\nup:2\n"), "--server", address, "-f", "-", "up:0")
	if got := firstColumn(o.stdout); !slices.Equal(got, []string{"up:2", "up:1", "up:0"}) {
		t.Errorf("a file: %q", got)
	}
}

// Each line of a pipe is answered before the next one is there.
func TestStreaming(t *testing.T) {
	address := serve(t, byName)
	stdin, feed := io.Pipe()
	shown, stdout := io.Pipe()
	code := make(chan int)
	var stderr bytes.Buffer
	go func() {
		defer stdout.Close()
		code <- run(t.Context(), []string{"--server", address, "-f", "-", "-o", "csv"}, noEnv, stdin, stdout, &stderr)
	}()
	buf := make([]byte, 1024)
	for _, target := range []string{"up:1", "up:2", "up:3"} {
		if _, err := io.WriteString(feed, target+"\n"); err != nil {
			t.Fatal(err)
		}
		n, err := shown.Read(buf) // one Write is one result
		if err != nil || !strings.Contains(string(buf[:n]), target) {
			t.Fatalf("after %s: %q, %v", target, buf[:n], err)
		}
	}
	feed.Close()
	if got := <-code; got != exitReachable {
		t.Errorf("code %d, %s", got, &stderr)
	}
}

// Whoever reads the results may go: no word, and no more work.
func TestBrokenPipe(t *testing.T) {
	read, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	read.Close()
	ended := make(chan struct{})
	address := serve(t, func(s serverStream) error {
		defer close(ended)
		err := byName(s)
		<-s.Context().Done()
		return err
	})
	stdin, feed := io.Pipe() // never ends by itself
	go func() { _, _ = io.WriteString(feed, "up:1\n") }()
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"--server", address, "-f", "-"}, noEnv, stdin, stdout, &stderr)
	if code != exitPipe || stderr.Len() > 0 {
		t.Errorf("code %d, %q", code, &stderr)
	}
	<-ended
	feed.Close()
}

func TestStdoutThatFails(t *testing.T) {
	for _, args := range [][]string{{"--server", serve(t, byName), "up:1"}, {"--help"}} {
		var stderr bytes.Buffer
		code := run(t.Context(), args, noEnv, nil, failing{}, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%v: code %d, %q", args, code, &stderr)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Ctrl-C ends the run at once, though the file of targets is blocked.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdin, feed := io.Pipe()
	go func() { _, _ = io.WriteString(feed, "down:1\n") }()
	var stderr bytes.Buffer
	code := run(ctx, []string{"--server", serve(t, byName), "-f", "-"}, noEnv, stdin, cancelOn(cancel), &stderr)
	if code != exitInterrupted || stderr.Len() > 0 {
		t.Errorf("code %d, %q", code, &stderr)
	}
	feed.Close()
}

// --deadline ends a call that the service does not.
func TestDeadline(t *testing.T) {
	address := serve(t, func(s serverStream) error {
		<-s.Context().Done()
		return status.FromContextError(s.Context().Err()).Err()
	})
	o := shakeWith(t, nil, "--server", address, "--deadline", "50ms", "up:1")
	if o.code != exitFailed || !strings.Contains(o.stderr, "--deadline 50ms is over") {
		t.Errorf("%+v", o)
	}
}
