package main

import (
	"net"
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

// TestDrainDelayOfTheProcess: at SIGTERM systemd is notified and health says NOT_SERVING, while new
// calls are served. A second signal does not wait for the rest of the delay.
func TestDrainDelayOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	address := "unix:" + filepath.Join(dir, "s")
	p, _ := spawn(t, []string{"NOTIFY_SOCKET=" + notified.LocalAddr().String()}, nil, "--listen", address, "--drain-delay", "5m")
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(got, err)
	}
	p.signal(t, syscall.SIGTERM)
	if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", got, err)
	}
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		if got := nextState(t, notified); got != want {
			t.Errorf("systemd is notified of %q, want %q", got, want)
		}
	}
	for range 2 { // each by a connection of its own
		got, err := dial(t, address).Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"not a target"}})
		if err != nil || len(got.Results) != 1 {
			t.Errorf("Check: %v, %v", got, err)
		}
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
}

func nextState(t *testing.T, socket *net.UnixConn) string {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var state [100]byte
	n, err := socket.Read(state[:])
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(state[:n]))
}

// TestDrainDelayEnds: the process ends in order once the delay, of the flag or the file, is over,
// and not before.
func TestDrainDelayEnds(t *testing.T) {
	for _, args := range [][]string{
		{"--drain-delay", "300ms", "--listen", "127.0.0.1:0"},
		{"--config", configFile(t, "listen: [{address: \"127.0.0.1:0\"}]\ndrain_delay: 300ms\n")},
	} {
		p, _ := spawn(t, nil, nil, args...)
		began := time.Now()
		p.signal(t, syscall.SIGTERM)
		if l := await(t, p.log, "shutting down"); !strings.Contains(l.Raw, `"drain_delay":"300ms"`) {
			t.Errorf("the log says %s", l.Raw)
		}
		await(t, p.log, "draining")
		if code := p.exit(t); code != exitOK {
			t.Errorf("exit %d, want %d", code, exitOK)
		}
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("%q: ended after %v", args, took)
		}
	}
}
