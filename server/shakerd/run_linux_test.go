package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// begin runs the command in this process and waits until it serves. end ends it, and returns its exit code.
func begin(t *testing.T, args ...string) (start line, log <-chan line, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"--log-format", "json"}, args...), io.Discard, w)
		w.Close()
	}()
	lines := logOf(r)
	ended := false
	end = func() int {
		if ended {
			return -1
		}
		ended = true
		cancel()
		got := <-code
		for l := range lines { // to its end, so that its reader ends too
			t.Log(l.Raw)
		}
		return got
	}
	t.Cleanup(func() { end() })
	return await(t, lines, "serving"), lines, end
}

func TestServes(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	start, _, end := begin(t, "--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", "localhost:0",
		"--listen", "unix:"+socket, "--name", "here", "--label", "region=eu", "--rate", "1000", "--shards", "1", "--max-in-flight", "100", "--insecure")
	addresses := start.addresses(t)
	if len(addresses) != 4 || addresses[3] != "unix:"+socket {
		t.Fatalf("listens on %q", addresses)
	}
	for _, address := range addresses {
		if strings.HasSuffix(address, ":0") {
			t.Errorf("%s is not the real address", address)
		}
		got, err := dial(t, address).GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got.Name != "here" || got.Labels["region"] != "eu" || got.Version != version() {
			t.Errorf("%s: vantage %v", address, got)
		}
		if got.Limits.HandshakesPerSecond != 1000 || got.Limits.InFlight != 100 {
			t.Errorf("%s: limits %v", address, got.Limits)
		}
	}

	// Not shared, in spite of --insecure: this machine's own users may probe its own ports.
	got, err := dial(t, addresses[0]).Check(t.Context(), &tcpshakerv1.CheckRequest{
		Targets: []string{addresses[0], addresses[1], strings.Replace(addresses[2], "127.0.0.1", "localhost", 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.Results {
		if r.Verdict != tcpshakerv1.Verdict_VERDICT_REACHABLE {
			t.Errorf("%v", r)
		}
	}
	if code := end(); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is still there")
	}
}

// TestShared: with --insecure and an address that others can reach, loopback is denied, and the log warns.
func TestShared(t *testing.T) {
	start, lines, end := begin(t, "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0", "--insecure")
	await(t, lines, "open to other machines")
	address := start.addresses(t)[0]
	got, err := dial(t, address).Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Results[0].Reason != tcpshakerv1.Reason_REASON_POLICY_DENIED {
		t.Errorf("%v", got.Results[0])
	}
	if code := end(); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--listen", l.Addr().String()}, &stdout, &stderr)
	if code != exitFailure {
		t.Errorf("exit %d, want %d", code, exitFailure)
	}
	if !strings.Contains(stderr.String(), "--listen "+l.Addr().String()) || !strings.Contains(stderr.String(), "in use") {
		t.Errorf("stderr: %s", &stderr)
	}
}

// TestWarnings: what an operator should know of the engine is said at the start.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		stats shaker.Stats
		asked int
		each  int
		warns string // empty: nothing
	}{
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 10}, 10, 0, ""},
		{shaker.Stats{Mode: shaker.Fresh, ModeDetail: "an old kernel", MaxInFlight: fewProbes}, 0, 0, "an old kernel"},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 9, MaxInFlightDetail: "9: so", InFlightBound: shaker.InFlightBound{
			Asked: 10, Descriptors: 9, Memory: 11,
		}}, 10, 0, `--max-in-flight is more than RLIMIT_NOFILE leaves" asked=10 in_force=9 why="9: so"`},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 8, InFlightBound: shaker.InFlightBound{
			Asked: 10, Descriptors: 9, Memory: 8,
		}}, 10, 0, "--max-in-flight is more than half of tcp_mem's pressure threshold"},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 9, InFlightBound: shaker.InFlightBound{
			Asked: 65536, Descriptors: 11, Memory: 9,
		}}, 0, 0, ""},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 9, InFlightBound: shaker.InFlightBound{
			Asked: 10, Descriptors: 9, Memory: 11,
		}}, 10, 0, `do="raise RLIMIT_NOFILE to 1674 (ulimit -n 1674, or LimitNOFILE=1674 in the systemd unit)"`},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 999, MaxInFlightDetail: "999: so", InFlightBound: shaker.InFlightBound{
			Asked: 65536, Descriptors: 999, Memory: 2000,
		}}, 0, 0, `msg="RLIMIT_NOFILE leaves few handshakes in flight" in_force=999 why="999: so" ` +
			`do="raise RLIMIT_NOFILE to 67200 (ulimit -n 67200, or LimitNOFILE=67200 in the systemd unit)"`},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 1000, InFlightBound: shaker.InFlightBound{
			Asked: 65536, Descriptors: 1000, Memory: 2000,
		}}, 0, 0, ""},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: 5, InFlightBound: shaker.InFlightBound{
			Asked: 5, Descriptors: 900, Memory: 2000,
		}}, 5, 0, ""},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: fewProbes, MaxInFlightPerTarget: 50}, 0, 50, ""},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: fewProbes, MaxInFlightPerTarget: 4}, 0, 2, "less than one for each shard\" asked=2 in_force=4"},
		{shaker.Stats{Mode: shaker.Reuse, MaxInFlight: fewProbes, MaxInFlightPerTarget: 50}, 0, 51, "half the range of local ports\" asked=51 in_force=50"},
	} {
		var log bytes.Buffer
		o := &settings{options: &options{maxInFlight: tt.asked, maxPerAddress: tt.each}}
		logStart(t.Context(), newLogger(o.options, o.logLevel, &log), o, nil, nil, nil, tt.stats)
		_, warning, _ := strings.Cut(log.String(), "level=WARN")
		if (warning != "") != (tt.warns != "") || !strings.Contains(warning, tt.warns) {
			t.Errorf("%+v: %s", tt.stats, &log)
		}
	}
}

func TestLogger(t *testing.T) {
	for _, tt := range []struct {
		o    options
		want string
	}{
		{options{}, "level=WARN msg=x\n"},
		{options{logJSON: true}, `"level":"WARN","msg":"x"}` + "\n"},
		{options{logLevel: slog.LevelError}, ""},
	} {
		var log bytes.Buffer
		newLogger(&tt.o, tt.o.logLevel, &log).Warn("x")
		if !strings.HasSuffix(log.String(), tt.want) || (tt.want == "") != (log.Len() == 0) {
			t.Errorf("%s: %q, want %q at its end", fmt.Sprint(tt.o), &log, tt.want)
		}
	}
}
