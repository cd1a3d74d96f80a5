package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// inRounds answers each call as byName, but late:N is reachable from round N on, and named errors
// decide the code of a round.
func inRounds(fails ...error) func(serverStream) error {
	var calls atomic.Int64
	return func(s serverStream) error {
		round := int(calls.Add(1))
		if round <= len(fails) && fails[round-1] != nil {
			return fails[round-1]
		}
		response := new(tcpshakerv1.StreamCheckResponse)
		for {
			request, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return s.Send(response)
			}
			if err != nil {
				return err
			}
			for _, target := range request.GetTargets() {
				r := resultOf(uint64(len(response.Results)), target)
				if host, n, _ := strings.Cut(target, ":"); host == "late" {
					r = resultOf(r.Index, "down:1")
					r.Detail = "no answer within 2s"
					if int(n[0]-'0') <= round {
						r = resultOf(r.Index, "up:1")
					}
					r.Target = target
				} else if host == "bad" {
					r.Reason = tcpshakerv1.Reason_REASON_INVALID_TARGET
				}
				response.Results = append(response.Results, r)
			}
		}
	}
}

// fast are the flags of a wait that a test does not wait for.
var fast = []string{"--wait", "30s", "--interval", "100ms"}

// The results come as the targets do, in each format as without --wait.
func TestWaitOutput(t *testing.T) {
	for format, want := range map[string]string{
		"table": `
TARGET  VERDICT       REASON              RTT        SILENCE   DONE   ADDRESS                DETAIL
up:1    reachable     SYN-ACK             -          proven    -      -
late:2  reachable     SYN-ACK             -          proven    -      -
late:3  reachable     SYN-ACK             -          proven    -      -
`,
		"csv": `
index,target,verdict,reason,address,rtt_seconds,elapsed_seconds,silence,completed,attempted,syn_retransmits,detail
2,up:1,reachable,SYN-ACK,,,,proven,0,0,0,
1,late:2,reachable,SYN-ACK,,,,proven,0,0,0,
0,late:3,reachable,SYN-ACK,,,,proven,0,0,0,
`,
		"json": `
{"index":"2","target":"up:1","verdict":"VERDICT_REACHABLE","reason":"REASON_SYN_ACK","address":"","silence":"SILENCE_PROVEN","detail":"","completed":0,"attempted":0,"handshakes":[],"syn_retransmits":0}
{"index":"1","target":"late:2","verdict":"VERDICT_REACHABLE","reason":"REASON_SYN_ACK","address":"","silence":"SILENCE_PROVEN","detail":"","completed":0,"attempted":0,"handshakes":[],"syn_retransmits":0}
{"index":"0","target":"late:3","verdict":"VERDICT_REACHABLE","reason":"REASON_SYN_ACK","address":"","silence":"SILENCE_PROVEN","detail":"","completed":0,"attempted":0,"handshakes":[],"syn_retransmits":0}
`,
	} {
		t.Run(format, func(t *testing.T) {
			args := append([]string{"--server", serve(t, inRounds()), "-o", format, "late:3", "late:2", "up:1"}, fast...)
			o := shakeWith(t, nil, args...)
			compare(t, o.stdout, want)
			notes := "shake: waiting for late:3 (timed out), late:2 (timed out)\nshake: waiting for late:3 (timed out)\n"
			if o.code != exitReachable || o.stderr != notes {
				t.Errorf("code %d, %s", o.code, o.stderr)
			}
		})
	}
}

// What is missing in the end is written with its last result, and named.
func TestWaitInVain(t *testing.T) {
	args := []string{"--server", serve(t, inRounds()), "--wait", "2s", "--interval", "1h", "down:1", "late:9", "up:1"}
	o := shakeWith(t, nil, args...)
	compare(t, o.stdout, `
TARGET  VERDICT       REASON              RTT        SILENCE   DONE   ADDRESS                DETAIL
up:1    reachable     SYN-ACK             -          proven    -      -
down:1  unreachable   timed out           -          -         -      -
late:9  unreachable   timed out           -          -         -      -                      no answer within 2s
`)
	compare(t, o.stderr, `
shake: waiting for down:1 (timed out), late:9 (timed out)
shake: not reachable within 2s: down:1 (timed out), late:9 (timed out)
`)
	if o.code != exitUnreachable {
		t.Errorf("code %d", o.code)
	}
	many := strings.Fields("down:1 down:2 lost:3 down:4 down:5 down:6 down:7")
	o = shakeWith(t, nil, append(args[:6:6], many...)...)
	if want := "lost:3 (no route), down:4 (timed out), down:5 (timed out) and 2 more\n"; !strings.HasSuffix(o.stderr, want) {
		t.Errorf("%s, want %s", o.stderr, want)
	}
}

// A target that cannot become reachable ends the wait at once.
func TestWaitForABadTarget(t *testing.T) {
	o := shakeWith(t, nil, append([]string{"--server", serve(t, inRounds()), "late:2", "bad:1"}, fast...)...)
	if o.code != exitUnreachable || o.stderr != "shake: bad:1 cannot become reachable, so the wait is over; "+
		"missing: late:2 (timed out), bad:1 (invalid target)\n" || strings.Count(o.stdout, "\n") != 3 {
		t.Errorf("%+v", o)
	}
}

// A list works as the arguments do.
func TestWaitForAList(t *testing.T) {
	const list = "late:2 # first\nup:1 late:3\n"
	path := file(t, "targets", []byte(list))
	for _, args := range [][]string{{"-"}, {"-f", "-"}, {"-f", path}} {
		o := shakeWith(t, strings.NewReader(list), append(append(args, "--server", serve(t, inRounds())), fast...)...)
		if o.code != exitReachable || strings.Join(firstColumn(o.stdout), " ") != "up:1 late:2 late:3" {
			t.Errorf("%v: %+v", args, o)
		}
	}
	for want, stdin := range map[string]io.Reader{
		"standard input: no targets":          strings.NewReader("# none\n"),
		"--wait takes at most 100000 targets": endless{},
	} {
		o := shakeWith(t, stdin, append([]string{"-", "--server", "localhost:1"}, fast...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, want) {
			t.Errorf("%+v, want %s", o, want)
		}
	}
}

// The time runs while a list is read, and Ctrl-C ends that too.
func TestWaitForTheEndOfAList(t *testing.T) {
	stdin, feed := io.Pipe()
	defer feed.Close()
	o := shakeWith(t, stdin, "--wait", "100ms", "-")
	if o.code != exitUsage || !strings.Contains(o.stderr, "standard input: no end within --wait 100ms") {
		t.Errorf("%+v", o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stdin2, feed2 := io.Pipe()
	defer feed2.Close()
	go func() {
		_, _ = io.WriteString(feed2, "up:1\n") // returns when it was read
		cancel()
	}()
	var out bytes.Buffer
	if code := run(ctx, append([]string{"-"}, fast...), noEnv, stdin2, &out, &out); code != exitInterrupted || out.Len() > 0 {
		t.Errorf("code %d, %s", code, &out)
	}
}

// What the service says of the call as a whole ends the wait at once, unless it passes.
func TestWaitAndFailedCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		fails []error
		code  int
		told  string
	}{
		"draining":       {[]error{nil, status.Error(codes.Unavailable, "draining"), status.Error(codes.Unavailable, "draining")}, exitReachable, "shake: waiting"},
		"token":          {[]error{status.Error(codes.Unauthenticated, "who?")}, exitFailed, "refuses the call: who? (UNAUTHENTICATED); missing: late:3 (no answer)\n"},
		"token, later":   {[]error{nil, status.Error(codes.Unauthenticated, "who?")}, exitFailed, "refuses the call: who? (UNAUTHENTICATED); missing: late:3 (timed out)\n"},
		"denied":         {[]error{status.Error(codes.PermissionDenied, "no")}, exitFailed, "(PERMISSION_DENIED)"},
		"option":         {[]error{status.Error(codes.InvalidArgument, "no")}, exitUsage, "(INVALID_ARGUMENT)"},
		"not a service":  {[]error{status.Error(codes.Unimplemented, "no")}, exitFailed, "(UNIMPLEMENTED)"},
		"never a chance": {[]error{status.Error(codes.ResourceExhausted, "too much")}, exitFailed, "(RESOURCE_EXHAUSTED)"},
	} {
		t.Run(name, func(t *testing.T) {
			o := shakeWith(t, nil, append([]string{"--server", serve(t, inRounds(tt.fails...)), "late:3"}, fast...)...)
			if o.code != tt.code || !strings.Contains(o.stderr, tt.told) {
				t.Errorf("%+v, want %d, %q", o, tt.code, tt.told)
			}
		})
	}
}

// onNote returns a writer for standard error that does something once a line holds a text, and what
// was written.
func onNote(text string, do func()) (io.Writer, func() string) {
	var mu sync.Mutex
	var all bytes.Buffer
	var once sync.Once
	return writeFunc(func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			all.Write(p)
			if strings.Contains(string(p), text) {
				once.Do(do)
			}
		}), func() string {
			mu.Lock()
			defer mu.Unlock()
			return all.String()
		}
}

type writeFunc func([]byte)

func (f writeFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// A service that is not there yet is waited for.
func TestWaitForTheServiceToStart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	stderr, told := onNote("waiting: ", func() {
		serveOn(t, "unix", socket, inRounds())
	})
	var stdout bytes.Buffer
	code := run(t.Context(), append([]string{"--server", "unix:" + socket, "late:2", "up:1"}, fast...), noEnv, nil, &stdout, stderr)
	if code != exitReachable || strings.Join(firstColumn(stdout.String()), " ") != "up:1 late:2" {
		t.Errorf("code %d, %s%s", code, &stdout, told())
	}
}

// A service that never comes is exit code 4, with the reason.
func TestWaitForNoService(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	o := shakeWith(t, nil, "--server", "unix:"+socket, "--wait", "2s", "--interval", "1h", "up:1")
	if o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, socket) ||
		!strings.HasSuffix(o.stderr, "(UNAVAILABLE); --wait 2s is over; missing: up:1 (no answer)\n") || strings.Count(o.stderr, "\n") != 2 {
		t.Errorf("%+v", o)
	}
}

// One that accepts and says nothing is given up with the wait.
func TestWaitForASilentService(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	o := shakeWith(t, nil, "--server", listener.Addr().String(), "--wait", "300ms", "up:1")
	want := "shake: cannot connect to " + listener.Addr().String() +
		" in time (DEADLINE_EXCEEDED); --wait 300ms is over; missing: up:1 (no answer)\n"
	if o.code != exitFailed || o.stdout != "" || o.stderr != want {
		t.Errorf("%+v", o)
	}
	hung := serve(t, func(s serverStream) error { <-s.Context().Done(); return s.Context().Err() })
	o = shakeWith(t, nil, "--server", hung, "--wait", "300ms", "up:1")
	if o.code != exitFailed || !strings.Contains(o.stderr, "did not answer in time: ") ||
		!strings.HasSuffix(o.stderr, "; --wait 300ms is over; missing: up:1 (no answer)\n") {
		t.Errorf("%+v", o)
	}
}

// Ctrl-C during a pause, and a reader who goes.
func TestWaitInterruptedAndBrokenPipe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stderr, told := onNote("waiting for down:1", cancel)
	var stdout bytes.Buffer
	args := []string{"--server", serve(t, inRounds()), "--wait", "1h", "--interval", "1h", "down:1"}
	begun := time.Now()
	if code := run(ctx, args, noEnv, nil, &stdout, stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("code %d after %v, %s%s", code, time.Since(begun), &stdout, told())
	}

	read, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	read.Close()
	var errs bytes.Buffer
	args[len(args)-1] = "up:1"
	if code := run(t.Context(), append(args, "down:1"), noEnv, nil, pipe, &errs); code != exitPipe || errs.Len() > 0 {
		t.Errorf("code %d, %s", code, &errs)
	}
}
