package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// patience bounds what must not hang. It is far more than a busy machine needs.
const patience = 2 * time.Minute

// unread is the command as a process whose standard error is a pipe that the test does not read.
type unread struct {
	*exec.Cmd
	t      *testing.T
	socket string
	stderr *os.File // the reading end
	ended  chan struct{}
}

// spawnUnread starts the command and waits until it answers.
func spawnUnread(t *testing.T, args ...string) *unread {
	t.Helper()
	p := startUnread(t, args...)
	conn := p.dial()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	return p
}

func startUnread(t *testing.T, args ...string) *unread {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	p := &unread{
		Cmd: exec.Command(binary, append([]string{"--listen", "unix:" + socket}, args...)...),
		t:   t, socket: socket, stderr: r, ended: make(chan struct{}),
	}
	p.Env = append(os.Environ(), asCommand+"=1")
	p.Stderr = w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close() // the process has the only writing end
	go func() {
		defer close(p.ended)
		_ = p.Wait() // an exit code other than 0 is its error
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // it has ended, unless the test failed
		<-p.ended
		r.Close()
	})
	return p
}

func (p *unread) dial() *grpc.ClientConn {
	p.t.Helper()
	conn, err := grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// asks makes 2,000 RPCs, half of them of each service. All must be answered.
func (p *unread) asks() {
	p.t.Helper()
	conn := p.dial()
	checks, health := tcpshakerv1.NewShakerServiceClient(conn), healthpb.NewHealthClient(conn)
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for i := range 1000 {
		if _, err := checks.Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{"not a target"}}); err != nil {
			p.t.Fatalf("Check %d: %v", i, err)
		}
		if _, err := health.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
			p.t.Fatalf("health check %d: %v", i, err)
		}
	}
}

// exit waits for the process to end, and returns its exit code; -1 if a signal killed it.
func (p *unread) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("the process goes on")
	}
	return p.ProcessState.ExitCode()
}

// TestNobodyReadsTheLog: RPCs are answered, SIGTERM ends the process in order, and what the pipe
// holds are whole lines in order.
func TestNobodyReadsTheLog(t *testing.T) {
	p := spawnUnread(t, "--metrics-listen", "127.0.0.1:0", "--log-format", "json")
	p.asks()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
	if _, err := os.Lstat(p.socket); err == nil {
		t.Error("the socket is still there: not the normal order")
	}
	text, err := io.ReadAll(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) < 4096 {
		t.Errorf("the pipe holds %d bytes: %q", len(text), text)
	}
	for l := range strings.Lines(string(text)) {
		if !json.Valid([]byte(l)) {
			t.Errorf("not a whole line: %q", l)
		}
	}
}

// TestSecondSignalWithoutReader: it ends a process whose log nobody reads within the time of
// flushing, not after the grace.
func TestSecondSignalWithoutReader(t *testing.T) {
	p := spawnUnread(t, "--grace", "1h")
	p.asks()
	openStream(t, "unix:"+p.socket)
	for {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-p.ended:
		case <-time.After(10 * time.Millisecond): // two at once may count as one
			continue
		}
		break
	}
	if code := p.exit(); code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
}

// TestLogReaderDies: a pipe without a reader costs lines of the log, and neither RPCs nor the
// process.
func TestLogReaderDies(t *testing.T) {
	p := spawnUnread(t)
	p.stderr.Close()
	p.asks()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit %d, want %d: %v", code, exitOK, p.ProcessState)
	}
}

// TestLogIsReadAgain: the reader of a log that was full learns how many lines it lacks, and
// /metrics says the same.
func TestLogIsReadAgain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "m")
	p := spawnUnread(t, "--metrics-listen", "unix:"+socket, "--log-format", "json", "--log-level", "debug")
	conn := p.dial()
	health := healthpb.NewHealthClient(conn)
	const dropped = "\ntcpshaker_log_lines_dropped_total "
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !strings.Contains(scrape(t, "unix:"+socket), dropped) || strings.Contains(scrape(t, "unix:"+socket), dropped+"0\n") {
		for range 1000 { // the metric is not there, or 0
			if _, err := health.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, after, _ := strings.Cut(scrape(t, "unix:"+socket), dropped)
	count, _, _ := strings.Cut(after, "\n")
	l := await(t, logOf(p.stderr), "log lines were dropped")
	if l.Level != "WARN" || !strings.Contains(l.Raw, `"dropped":`+count+`}`) {
		t.Errorf("%s, want WARN and %s", l.Raw, count)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}

// TestErrorWithoutReader: a command that cannot start, and cannot say so, ends all the same, with
// the code that says it.
func TestErrorWithoutReader(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--listen", l.Addr().String()}, exitFailure},
		{[]string{"--no-such-flag"}, exitUsage},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		fillPipe(t, w)
		binary, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, tt.args...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		cmd.Stderr = w
		_ = cmd.Run()
		w.Close()
		if got := cmd.ProcessState.ExitCode(); got != tt.code {
			t.Errorf("%q: exit %d, want %d: %v", tt.args, got, tt.code, cmd.ProcessState)
		}
	}
}

// TestSignalWithoutReader: one signal ends a command that has nothing to do but to write, also where
// nobody reads that.
func TestSignalWithoutReader(t *testing.T) {
	faulty, good := configFile(t, "nmae: x\n"), configFile(t, "listen: [{address: \"127.0.0.1:0\"}]\n")
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--config", faulty, "--check-config"}, exitUsage},
		{[]string{"--config", good, "--check-config"}, exitFailure},
		{[]string{"--version"}, exitFailure},
		{[]string{"-h"}, exitFailure},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		fillPipe(t, w)
		if err := w.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() { code <- run(ctx, tt.args, w, w) }()
		select {
		case got := <-code:
			t.Errorf("%q: exit %d before the signal", tt.args, got)
		case <-time.After(2 * flushTime):
		}
		end()
		select {
		case got := <-code:
			if got != tt.code {
				t.Errorf("%q: exit %d, want %d", tt.args, got, tt.code)
			}
		case <-time.After(patience / 4):
			t.Errorf("%q: goes on", tt.args)
		}
		w.Close() // ends a Write that is under way
	}
}

// fillPipe writes to w until it takes no byte more.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	for _, size := range []int{4096, 1} {
		for {
			if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, size)); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}
