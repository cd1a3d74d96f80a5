package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/metrics"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// scrape returns what /metrics at address says.
func scrape(t *testing.T, address string) string {
	t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
	response, err := client.Get("http://shakerd/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", response.Status, err, body)
	}
	return string(body)
}

// wantLines checks that each line is among those of text.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, "\n"+l+"\n") {
			name, _, _ := strings.Cut(l, " ")
			got := "nothing"
			if _, after, ok := strings.Cut(text, "\n"+name+" "); ok {
				got, _, _ = strings.Cut(after, "\n")
			}
			t.Errorf("want %q, %s says %s", l, name, got)
		}
	}
}

// TestScrape: over TCP and over a unix socket, while a stream runs.
func TestScrape(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "m")} {
		start, _, end := begin(t, "--listen", "127.0.0.1:0", "--metrics-listen", at, "--rate", "0", "--max-in-flight", "99", "--grace", "1ms")
		if strings.HasSuffix(start.Metrics, ":0") || !strings.HasPrefix(start.Metrics, strings.TrimSuffix(at, ":0")) {
			t.Fatalf("metrics on %q, asked for %q", start.Metrics, at)
		}
		address := start.addresses(t)[0]
		stream := openStream(t, address)
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{address, address}}); err != nil {
			t.Fatal(err)
		}
		for results := 0; results < 2; {
			response, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			results += len(response.Results)
		}
		const method = `{grpc_method="StreamCheck",grpc_service="tcpshaker.v1.ShakerService",grpc_type="bidi_stream"}`
		text := scrape(t, start.Metrics)
		for !strings.Contains(text, "\ntcpshaker_results_total{outcome=\"open\"} 2\n") && t.Context().Err() == nil {
			text = scrape(t, start.Metrics) // the engine's counters lag behind its results
		}
		wantLines(t, text,
			`tcpshaker_build_info{version="`+version()+`"} 1`, "tcpshaker_max_in_flight 99", "tcpshaker_max_handshakes_per_second 0",
			`tcpshaker_results_total{outcome="open"} 2`, "tcpshaker_rtt_seconds_count 2",
			"grpc_server_started_total"+method+" 1", "grpc_server_msg_received_total"+method+" 2",
			`grpc_server_started_total{grpc_method="Check",grpc_service="grpc.health.v1.Health",grpc_type="unary"} 0`)
		for _, name := range []string{"go_goroutines ", "process_open_fds "} {
			if !strings.Contains(text, "\n"+name) {
				t.Errorf("no %s", name)
			}
		}
		if code := end(); code != exitOK {
			t.Errorf("exit %d, want %d", code, exitOK)
		}
		if path, ok := strings.CutPrefix(at, "unix:"); ok {
			if _, err := os.Lstat(path); err == nil {
				t.Error("the socket is still there")
			}
		}
	}
}

// TestMetricsAreForThisMachine: an address that others can reach is refused before anything is served, --insecure or not.
func TestMetricsAreForThisMachine(t *testing.T) {
	for _, at := range []string{":9090", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"} {
		for _, insecure := range []string{"--insecure=false", "--insecure"} {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"--listen", "127.0.0.1:0", insecure, "--metrics-listen", at}, &stdout, &stderr)
			if code != exitUsage {
				t.Errorf("%s %s: exit %d, want %d", insecure, at, code, exitUsage)
			}
			for _, text := range []string{"--metrics-listen " + at + ":", "loopback", "unix socket", "until callers can be authenticated"} {
				if !strings.Contains(stderr.String(), text) {
					t.Errorf("%s %s: stderr does not say %q: %s", insecure, at, text, &stderr)
				}
			}
			if strings.Contains(stderr.String(), "serving") {
				t.Errorf("%s %s: it began to serve: %s", insecure, at, &stderr)
			}
		}
	}
}

// TestMetricsHaveAPlaceOfTheirOwn: where the service itself is to listen there, that is said, and not that somebody does.
func TestMetricsHaveAPlaceOfTheirOwn(t *testing.T) {
	socket := "unix:" + filepath.Join(t.TempDir(), "s")
	for _, tt := range []struct {
		listen, metrics string
		clash           bool
	}{
		{"127.0.0.1:7", "127.0.0.1:7", true},
		{"127.0.0.1:7", "[::ffff:127.0.0.1]:7", true},
		{":7", "127.0.0.1:7", true},
		{"0.0.0.0:7", "127.0.0.1:7", true},
		{"0.0.0.0:7", "[::1]:7", false}, // all IPv4 addresses, and no other
		{"[::]:7", "127.0.0.1:7", true},
		{"[::]:7", "[::1]:7", true},
		{socket, socket, true},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"127.0.0.1:7", "127.0.0.1:8", false},
		{"127.0.0.1:7", "127.0.0.2:7", false},
		{"127.0.0.1:7", "[::1]:7", false},
		{"127.0.0.1:7", socket, false},
		{socket, "127.0.0.1:7", false},
	} {
		o, err := parseFlags([]string{"--listen", tt.listen, "--metrics-listen", tt.metrics})
		if err != nil {
			t.Fatal(err)
		}
		taken, err := endpointsOf(t.Context(), o.listen, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = metricsEndpoint(t.Context(), o.metricsListen, nil, taken)
		if _, usage := errors.AsType[usageError](err); usage != tt.clash || usage && !strings.Contains(err.Error(), "--listen "+tt.listen) {
			t.Errorf("--listen %s --metrics-listen %s: %v", tt.listen, tt.metrics, err)
		}
	}
}

// TestMetricsPortInUse: said with the flag's name, and nothing of what was listened on is left.
func TestMetricsPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--metrics-listen", l.Addr().String()}, &stdout, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "--metrics-listen "+l.Addr().String()) {
		t.Errorf("exit %d: %s", code, &stderr)
	}
	socket := filepath.Join(t.TempDir(), "m")
	code = run(t.Context(), []string{"--listen", l.Addr().String(), "--metrics-listen", "unix:" + socket}, &stdout, &stderr)
	if _, err := os.Lstat(socket); code != exitFailure || err == nil {
		t.Errorf("exit %d, and the socket of metrics is left: %v", code, err)
	}
}

// TestScrapeDuringDrain: while the service waits for its last calls, its metrics can still be had.
func TestScrapeDuringDrain(t *testing.T) {
	p, start := spawn(t, nil, nil, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--grace", "1h")
	stream := openStream(t, start.addresses(t)[0])
	p.signal(t, syscall.SIGTERM)
	await(t, p.log, "shutting down")
	if text := scrape(t, start.Metrics); !strings.Contains(text, "\ntcpshaker_in_flight 0\n") {
		t.Errorf("no metrics: %s", text)
	}
	if err := stream.CloseSend(); err != nil { // the last call: the service can end
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
	if conn, err := net.Dial("tcp", start.Metrics); err == nil {
		conn.Close()
		t.Error("/metrics outlives the service")
	}
}

// TestHostileScrapers: however many there are, slow ones or such as never stop, the service holds no more of their connections than
// is said, and serves its callers.
func TestHostileScrapers(t *testing.T) {
	p, start := spawn(t, nil, nil, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	client := dial(t, start.addresses(t)[0])
	if _, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{}); err != nil {
		t.Fatal(err)
	}
	before := openFDs(t, p.Process.Pid)
	for i := range 300 {
		conn, err := net.Dial("tcp", start.Metrics) // the kernel completes it, whoever accepts
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		switch i % 3 {
		case 0:
			fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n")
		case 1:
			fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 16<<10))
		}
	}
	for range 50 {
		got, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: start.addresses(t)})
		if err != nil || got.Results[0].Verdict != tcpshakerv1.Verdict_VERDICT_REACHABLE {
			t.Fatalf("%v, %v", got, err)
		}
		if now := openFDs(t, p.Process.Pid); now > before+metrics.MaxConnections+16 { // the engine's sockets as well
			t.Fatalf("%d descriptors, %d before", now, before)
		}
	}
	late, tick := time.NewTimer(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer late.Stop()
	defer tick.Stop()
	for { // until there is a place again
		response, err := http.Get("http://" + start.Metrics + "/metrics")
		if err == nil {
			response.Body.Close()
			break
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("nobody can scrape any more: %v", err)
		}
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}

func openFDs(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestMetricsFailureEndsTheService: as a listener's of its own does; and its error is told.
func TestMetricsFailureEndsTheService(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scrapes{metrics.New("v1", func() shaker.Stats { return shaker.Stats{} }), l}
	ended := errors.New("ended")
	err = s.run(t.Context(), slog.New(slog.DiscardHandler), func(ctx context.Context) error {
		l.Close()
		<-ctx.Done()
		return ended
	})
	if !errors.Is(err, ended) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
