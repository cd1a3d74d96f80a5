package server

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// startEngine serves a real engine.
func startEngine(t *testing.T, c Config) tcpshakerv1.ShakerServiceClient {
	t.Helper()
	engine, err := shaker.New(shaker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Prober = FromEngine(engine)
	client, _ := start(t, c)
	return client
}

// closed is an address of loopback on which nothing listens. (Of a port that was given away and closed again, another test may come
// to listen.)
const closed = "127.0.0.1:1"

// TestWithTheEngine is the whole way on loopback: IPv4, IPv6 and by name, an open port and a closed one; and nobody behind
// the open ports learns of it.
func TestWithTheEngine(t *testing.T) {
	open4, open6 := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0")
	port := netip.MustParseAddrPort(open4.Addr().String()).Port()
	resolver := &fakeResolver{names: map[string][]string{"here.test.": {"127.0.0.1"}}}
	client := startEngine(t, Config{Resolver: resolver})

	for _, test := range []struct {
		target, address string
		want            tcpshakerv1.Reason
	}{
		{open4.Addr().String(), open4.Addr().String(), synAck},
		{open6.Addr().String(), open6.Addr().String(), synAck},
		{fmt.Sprintf("here.test:%d", port), open4.Addr().String(), synAck},
		{closed, closed, rst},
	} {
		got := check(t.Context(), t, client, test.target, &tcpshakerv1.CheckOptions{Evidence: true})
		if got.Reason != test.want || got.Address != test.address || got.Attempted != 1 ||
			got.Elapsed.AsDuration() <= 0 || len(got.Handshakes) != 1 {
			t.Errorf("%s: %v", test.target, got)
		}
		if test.want != synAck {
			continue
		}
		if got.Rtt.AsDuration() <= 0 || got.Silence != tcpshakerv1.Silence_SILENCE_PROVEN || got.Completed != 1 {
			t.Errorf("%s: %v", test.target, got)
		}
		if h := got.Handshakes[0]; h.Source == "" || h.TcpOptions == nil || h.Outcome != tcpshakerv1.Outcome_OUTCOME_OPEN {
			t.Errorf("%s: %v", test.target, h)
		}
	}

	vantage, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
	if err != nil || vantage.EngineMode == tcpshakerv1.EngineMode_ENGINE_MODE_UNSPECIFIED || vantage.Limits.InFlight == 0 ||
		vantage.Limits.InFlightDetail == "" {
		t.Errorf("vantage %v, %v", vantage, err)
	}

	// Loopback connects in order: had a probe been noticed, this connection would not be the first that is accepted.
	mine, err := net.Dial("tcp4", open4.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	first, err := open4.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != mine.LocalAddr().String() {
		t.Errorf("the listener noticed %v", first.RemoteAddr())
	}
}

// TestStreamWithTheEngine: thousands of targets on one stream, open and closed ones in turn, each answered once and truly.
func TestStreamWithTheEngine(t *testing.T) {
	opened := listen(t, "tcp4", "127.0.0.1:0").Addr().String()
	client := startEngine(t, Config{})
	var messages []*tcpshakerv1.StreamCheckRequest
	for range 40 {
		m := &tcpshakerv1.StreamCheckRequest{}
		for range 50 {
			m.Targets = append(m.Targets, opened, closed)
		}
		messages = append(messages, m)
	}
	seen := make(map[uint64]bool)
	for _, r := range streamAll(t, client, messages...) {
		want := map[bool]tcpshakerv1.Reason{true: synAck, false: rst}[r.Target == opened]
		if r.Reason != want || seen[r.Index] {
			t.Fatalf("got %v, want %v", r, want)
		}
		seen[r.Index] = true
	}
	if len(seen) != 40*100 {
		t.Errorf("%d answers, want %d", len(seen), 40*100)
	}
}

// TestOwnTroubleIsInconclusive: where this process has no file descriptor left, the answer about an open port is that it is not
// known, and when it has some again, that it is reachable.
func TestOwnTroubleIsInconclusive(t *testing.T) {
	open := listen(t, "tcp4", "127.0.0.1:0").Addr().String()
	client := startEngine(t, Config{})
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3 // every new descriptor is above it
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	got := check(t.Context(), t, client, open, nil)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != inconclusive || got.Reason != ours || got.Detail != "no free file descriptor (EMFILE)" {
		t.Errorf("without descriptors: %v", got)
	}
	if got := check(t.Context(), t, client, open, nil); got.Verdict != reachable {
		t.Errorf("with descriptors again: %v", got)
	}
}
