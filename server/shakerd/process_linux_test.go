package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// process is the command as a process of its own: this test binary, run again.
type process struct {
	*exec.Cmd
	log <-chan line
}

// spawn starts the command under wrapper, which may be empty, and waits until it serves.
func spawn(t *testing.T, env, wrapper []string, args ...string) (process, line) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(append(wrapper, binary, "--log-format", "json"), args...)
	p := process{Cmd: exec.Command(argv[0], argv[1:]...)}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOMAXPROCS=") {
			p.Env = append(p.Env, e)
		}
	}
	p.Env = append(append(p.Env, asCommand+"=1"), env...)
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.log = logOf(stderr)
	t.Cleanup(func() {
		_ = p.Process.Kill() // it has ended, unless the test failed
		for l := range p.log {
			t.Log(l.Raw)
		}
		_ = p.Wait()
	})
	return p, await(t, p.log, "serving")
}

// exit waits for the process to end, and returns its exit code; -1 if a signal killed it.
func (p process) exit(t *testing.T) int {
	t.Helper()
	for l := range p.log { // Wait closes the pipe: read it to its end first
		t.Log(l.Raw)
	}
	_ = p.Wait() // an exit code other than 0 is its error
	return p.ProcessState.ExitCode()
}

func (p process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// openStream returns a StreamCheck that has been answered once and is still open.
func openStream(t *testing.T, address string) tcpshakerv1.ShakerService_StreamCheckClient {
	t.Helper()
	stream, err := dial(t, address).StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"not a target"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// TestSignalDrains: the first signal ends the service in order, streams being told UNAVAILABLE once the grace period is
// over.
func TestSignalDrains(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			p, _ := spawn(t, nil, nil, "--listen", "unix:"+socket, "--grace", "10ms")
			stream := openStream(t, "unix:"+socket)
			p.signal(t, s)
			if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("the stream ended with %v, want %v", err, codes.Unavailable)
			}
			await(t, p.log, "shutting down")
			await(t, p.log, "stopped")
			if code := p.exit(t); code != exitOK {
				t.Errorf("exit %d, want %d", code, exitOK)
			}
			if _, err := os.Lstat(socket); err == nil {
				t.Error("the socket is still there")
			}
		})
	}
}

// TestSecondSignal: it does not wait for the grace period, which is an hour here.
func TestSecondSignal(t *testing.T) {
	p, start := spawn(t, nil, nil, "--listen", "127.0.0.1:0", "--grace", "1h")
	openStream(t, start.addresses(t)[0])
	p.signal(t, syscall.SIGTERM)
	await(t, p.log, "shutting down")
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
}

// TestProcessors: a shard for each processor that Go would use, with a spare one for RPCs, unless the environment says
// how many.
func TestProcessors(t *testing.T) {
	for _, tt := range []struct {
		env    []string
		shards int
	}{
		{nil, runtime.GOMAXPROCS(0)},
		{[]string{"GOMAXPROCS=4"}, 3},
	} {
		if tt.env == nil && os.Getenv("GOMAXPROCS") != "" {
			t.Log("GOMAXPROCS is set for this test, so what Go would choose is not known here")
			continue
		}
		p, start := spawn(t, tt.env, nil, "--listen", "127.0.0.1:0")
		if start.Shards != tt.shards {
			t.Errorf("%q: %d shards, want %d", tt.env, start.Shards, tt.shards)
		}
		p.signal(t, syscall.SIGTERM)
		if code := p.exit(t); code != exitOK {
			t.Errorf("exit %d, want %d", code, exitOK)
		}
	}
}

// TestConnectionsLeaveDescriptors: with few descriptors fewer connections are held, so that they do not take the probes'.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	p, _ := spawn(t, nil, []string{"/bin/sh", "-c", `ulimit -n 256 && exec "$0" "$@"`}, "--listen", "unix:"+socket)
	most := budgetOf(256, false).connections
	for i := range most + 1 {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1)) // of the server's first frame, or nothing
		if (err == nil) != (i < most) {
			t.Fatalf("connection %d of at most %d: %v", i+1, most, err)
		}
	}
	p.signal(t, syscall.SIGTERM)
}

// TestFewDescriptors: the log warns of them, and what it says to do helps.
func TestFewDescriptors(t *testing.T) {
	limited := func(files string) (start, after line) {
		p, start := spawn(t, nil, []string{"/bin/sh", "-c", `ulimit -n ` + files + ` && exec "$0" "$@"`}, "--listen", "127.0.0.1:0",
			"--max-in-flight", "1500")
		p.signal(t, syscall.SIGTERM)
		after = <-p.log // the line behind the start, which is a warning or "shutting down"
		if code := p.exit(t); code != exitOK {
			t.Errorf("exit %d, want %d", code, exitOK)
		}
		return start, after
	}
	start, warning := limited("100")
	if warning.Level != "WARN" || start.MaxInFlight >= fewProbes {
		t.Fatalf("%d in flight, and then %s", start.MaxInFlight, warning.Raw)
	}
	_, after, ok := strings.Cut(warning.Raw, "ulimit -n ")
	if !ok {
		t.Fatalf("it does not say what to do: %s", warning.Raw)
	}
	files, _, _ := strings.Cut(after, ",")
	if start, warning := limited(files); start.MaxInFlight != 1500 || warning.Level == "WARN" {
		t.Errorf("with %s files %d in flight, want 1500; and then %s", files, start.MaxInFlight, warning.Raw)
	}
}

// TestSoftLimit: the bound of probes in flight follows the hard limit of RLIMIT_NOFILE, whatever the soft one was.
func TestSoftLimit(t *testing.T) {
	p, start := spawn(t, nil, []string{"/bin/sh", "-c", `ulimit -S -n 256 && ulimit -H -n 2048 && exec "$0" "$@"`},
		"--listen", "127.0.0.1:0")
	if want := 2048 - budgetOf(2048, false).reserved; start.MaxInFlight != want || start.Rate != defaultRate {
		t.Errorf("%d in flight at %v a second, want %d at %v", start.MaxInFlight, start.Rate, want, defaultRate)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}
