package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// manyTargets is how many targets the tests of restarts ask about.
const manyTargets = 200_000

func targetOf(index int) string {
	return fmt.Sprintf("10.%d.%d.%d:%d", index>>16&0xff, index>>8&0xff, index&0xff, 1+index%60_000)
}

// openProber finds every target open, a moment after it is asked.
type openProber struct{ probes atomic.Int64 }

func (p *openProber) Stats() shaker.Stats { return shaker.Stats{} }

func (p *openProber) OpenFor(ctx context.Context, _ string) server.Batch {
	b := &openBatch{prober: p, ready: make(chan struct{}, 1)}
	return b
}

type openBatch struct {
	prober *openProber
	ready  chan struct{}

	mu             sync.Mutex
	results, spare []shaker.Result
}

func (b *openBatch) Add(probes []shaker.Probe) error {
	b.prober.probes.Add(int64(len(probes)))
	asked := slices.Clone(probes)
	time.AfterFunc(2*time.Millisecond, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range asked {
			b.results = append(b.results, shaker.Result{
				ID: p.ID, Addr: p.Addr, Outcome: shaker.Open, Silence: shaker.Proven, RTT: time.Millisecond, Elapsed: time.Millisecond,
			})
		}
		select {
		case b.ready <- struct{}{}:
		default:
		}
	})
	return nil
}

func (b *openBatch) Finish() {}

func (b *openBatch) Ready() <-chan struct{} { return b.ready }

func (b *openBatch) Take() ([]shaker.Result, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.results
	b.results, b.spare = b.spare[:0], taken
	return taken, true
}

// instance is one run of the service, at an address of choice.
type instance struct {
	t       *testing.T
	prober  *openProber
	address string
	drain   func() // ends it in order, and waits
	kill    func() // closes its connections
}

func startInstance(t *testing.T, prober *openProber, address string, age time.Duration) *instance {
	t.Helper()
	s, err := server.New(server.Config{
		Prober: prober, Name: "test", StreamAge: age, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.Options()...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	end := func(how func()) func() {
		return func() {
			how()
			if err := <-served; err != nil {
				t.Errorf("serve: %v", err)
			}
		}
	}
	once := new(sync.Once)
	i := &instance{
		t: t, prober: prober, address: listener.Addr().String(),
		drain: func() { once.Do(end(func() { s.Drain(); g.GracefulStop() })) },
		kill:  func() { once.Do(end(g.Stop)) },
	}
	t.Cleanup(i.kill)
	return i
}

// TestShakeThroughRestarts: shake asks about 200,000 targets while the service is restarted twice, once in order and once by closing
// its connections. Each target has one line, and the exit code is 0.
func TestShakeThroughRestarts(t *testing.T) {
	prober := new(openProber)
	service := startInstance(t, prober, "127.0.0.1:0", -1)
	var file bytes.Buffer
	for i := range manyTargets {
		fmt.Fprintln(&file, targetOf(i))
	}
	path := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	var stdout, stderr bytes.Buffer
	lines := 0
	restarts := make(chan func(*instance), 2)
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		for end := range restarts {
			end(service)
			service = startInstance(t, prober, service.address, -1)
		}
	}()
	counted := writerAll(func(p []byte) (int, error) {
		switch lines += bytes.Count(p, []byte("\n")); lines {
		case manyTargets / 3:
			restarts <- func(i *instance) { i.drain() }
		case manyTargets * 2 / 3:
			restarts <- func(i *instance) { i.kill() }
		}
		return stdout.Write(p)
	})
	code := run(t.Context(), []string{"--server", service.address, "-f", path, "-o", "csv"}, noEnv, nil, counted, &stderr)
	close(restarts)
	<-restarted
	if code != exitReachable || stderr.Len() > 0 {
		t.Errorf("code %d, %.1000s", code, &stderr)
	}
	records, err := csv.NewReader(&stdout).ReadAll()
	if err != nil || len(records) != manyTargets+1 {
		t.Fatalf("%d lines, %v", len(records), err)
	}
	seen := make([]bool, manyTargets)
	for _, record := range records[1:] {
		index, err := strconv.Atoi(record[0])
		if err != nil || index >= manyTargets || seen[index] || record[1] != targetOf(index) {
			t.Fatalf("%q, %v", record, err)
		}
		seen[index] = true
	}
	t.Logf("%d probes of %d targets", prober.probes.Load(), manyTargets)
}

// writerAll is a writer that is a function.
type writerAll func([]byte) (int, error)

func (f writerAll) Write(p []byte) (int, error) { return f(p) }

// TestStreamsOfAnAge: 200,000 targets over streams that end every 50 ms, each answered once; and probed once, because a stream that is
// old answers all that it has read.
func TestStreamsOfAnAge(t *testing.T) {
	prober := new(openProber)
	service := startInstance(t, prober, "127.0.0.1:0", 50*time.Millisecond)
	var streams atomic.Int64
	c, err := client.New(service.address, client.WithDialOptions(grpc.WithStreamInterceptor(func(
		ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		streams.Add(1)
		return streamer(ctx, desc, cc, method, opts...)
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen := make([]bool, manyTargets)
	answered := 0
	for r, err := range c.Stream(t.Context(), func(yield func(string) bool) {
		for i := range manyTargets {
			if !yield(targetOf(i)) {
				return
			}
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[r.Index] || r.Target != targetOf(int(r.Index)) || r.Verdict != client.Reachable {
			t.Fatalf("%+v", r)
		}
		seen[r.Index] = true
		answered++
	}
	if answered != manyTargets || prober.probes.Load() != manyTargets {
		t.Errorf("%d answers, %d probes", answered, prober.probes.Load())
	}
	if streams.Load() < 3 {
		t.Errorf("%d streams", streams.Load())
	}
	t.Logf("%d streams", streams.Load())
}

// TestShakeAfterTheServiceHasGone: a service that never comes back ends the run within the patience, and what has no result is told.
func TestShakeAfterTheServiceHasGone(t *testing.T) {
	service := startInstance(t, new(openProber), "127.0.0.1:0", -1)
	stdin, feed := io.Pipe()
	var stdout, stderr bytes.Buffer
	began := time.Time{}
	gone := writerAll(func(p []byte) (int, error) {
		if stdout.Len() == 0 {
			service.kill()
			began = time.Now()
			go io.WriteString(feed, "10.0.0.2:1\n10.0.0.3:1\n")
		}
		return stdout.Write(p)
	})
	go io.WriteString(feed, "10.0.0.1:1\n")
	code := run(t.Context(), []string{"--server", service.address, "--connect-timeout", "2s", "-f", "-", "-o", "csv"}, noEnv, stdin, gone, &stderr)
	if took := time.Since(began); code != exitFailed || took < time.Second || took > time.Minute {
		t.Errorf("code %d after %v", code, took)
	}
	if !strings.HasSuffix(stderr.String(), "shake: 2 of the 3 targets that were read have no result: 10.0.0.2:1, 10.0.0.3:1\n") {
		t.Errorf("%s", &stderr)
	}
	feed.Close()
}
