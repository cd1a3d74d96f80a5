package main

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// realService serves the engine and the real server on a unix socket until the test ends.
func realService(t *testing.T) string {
	t.Helper()
	engine, err := shaker.New(shaker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{
		Prober: server.FromEngine(engine), Name: "real", Labels: map[string]string{"zone": "b", "region": "a"},
		Version: "v1", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(append(s.Options(), grpc.WaitForHandlers(true))...)
	s.Register(g)
	socket := filepath.Join(t.TempDir(), "real")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := engine.Close(); err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	return "unix:" + socket
}

// A real target is waited for, by this machine and by a real service: it listens once the wait has
// said that it is refused.
func TestWaitForARealTarget(t *testing.T) {
	for name, args := range map[string][]string{"here": nil, "service": {"--server", realService(t)}} {
		for _, network := range []string{"127.0.0.1", "::1"} {
			t.Run(name+" "+network, func(t *testing.T) {
				first, err := net.Listen("tcp", net.JoinHostPort(network, "0"))
				if err != nil {
					t.Fatal(err)
				}
				target := first.Addr().String()
				first.Close()
				stderr, told := onNote("waiting for "+target+" (refused)", func() {
					later, err := net.Listen("tcp", target)
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { later.Close() })
				})
				var stdout bytes.Buffer
				all := append(append([]string{openPort(t), target, "-o", "csv"}, fast...), args...)
				code := run(t.Context(), all, noEnv, nil, &stdout, stderr)
				if code != exitReachable || strings.Count(stdout.String(), ",reachable,SYN-ACK,") != 2 {
					t.Errorf("code %d, %s%s", code, &stdout, told())
				}
			})
		}
	}
}

// The rules of targets are the service's: a malformed one, and one that it does not probe, end the
// wait.
func TestWaitForHopelessTargets(t *testing.T) {
	service := realService(t)
	for _, args := range [][]string{{"127.0.0.1"}, {"-6", "127.0.0.1:1"}, {"169.254.169.254:80"}, {"--server", service, "127.0.0.1"}} {
		o := shakeWith(t, nil, append(args, fast...)...)
		if o.code != exitUnreachable || !strings.Contains(o.stderr, "cannot become reachable") {
			t.Errorf("%v: %+v", args, o)
		}
	}
	for _, args := range [][]string{{"--attempts", "17"}, {"--server", service, "--attempts", "17"}} {
		o := shakeWith(t, nil, append(append(args, "127.0.0.1:1"), fast...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, "attempts") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}

// --rate is the engine's.
func TestRateHere(t *testing.T) {
	for rate, want := range map[string]string{"": "20000", "--rate=0": "no limit", "--rate=0.5": "0.5"} {
		o := shakeWith(t, nil, append([]string{"vantage"}, strings.Fields(rate)...)...)
		if o.code != exitReachable || !strings.Contains(o.stdout, "\nall callers: handshakes a second   "+want+"\n") {
			t.Errorf("%q: %+v", rate, o)
		}
	}
}

// The vantage of this machine, and of a service.
func TestVantageHere(t *testing.T) {
	service := realService(t)
	for name, args := range map[string][]string{"shake": {"vantage"}, "real": {"vantage", "--server", service}} {
		o := shakeWith(t, nil, args...)
		if o.code != exitReachable || o.stderr != "" || strings.Count(o.stdout, "\n") != 17 ||
			strings.Fields(o.stdout)[1] != name || !strings.Contains(o.stdout, "1ms to 1m\n") {
			t.Errorf("%+v", o)
		}
		o = shakeWith(t, nil, append(args, "-o", "json")...)
		if o.code != exitReachable || !strings.HasPrefix(o.stdout, `{"name":"`+name+`",`) || strings.Count(o.stdout, "\n") != 1 {
			t.Errorf("%+v", o)
		}
	}
}
