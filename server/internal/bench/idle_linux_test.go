package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// idleStreams opens streams at a service, has each answer once, and returns what they take while they are open.
func idleStreams(tb testing.TB, n int) figures {
	tb.Helper()
	const shards, perConnection = 2, 50
	d := startDaemon(tb, shards, 1024)
	targets, _ := serviceTargets(tb)
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	// The first connection and stream bring in what all share.
	var conn *grpc.ClientConn
	before := 0.0
	for i := range n + 1 {
		if i <= 1 || i%perConnection == 0 {
			var err error
			conn, err = grpc.NewClient(d.tcp, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				tb.Fatal(err)
			}
			defer conn.Close()
		}
		stream, err := tcpshakerv1.NewShakerServiceClient(conn).StreamCheck(ctx)
		if err == nil {
			err = stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets[:1]})
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			tb.Fatal(err)
		}
		if i == 0 {
			before = d.rss(tb)
		}
	}
	return figures{
		"rss":   (d.rss(tb) - before) * (1 << 20) / float64(n),
		"count": float64(n), "gomaxprocs": processors(shards + 1),
	}
}

// flatContest is the memory of a service while a long stream goes on.
func flatContest(tb testing.TB, s size) *contest {
	const shards = 2
	targets, noticedNow := serviceTargets(tb)
	points := []int{10, 25, 50, 75, 100}
	c := &contest{
		title:   fmt.Sprintf("shakerd's memory while it streams %d targets: RSS in MiB", s.flat),
		columns: []column{{"at the start", "rss_0", 1, false}},
		once:    true,
		bounds: []bound{{
			name: "RSS at the end / after a quarter", unit: "RSS-end/quarter", key: "growth", line: "StreamCheck", promise: atMost(1.2, 1.1),
		}},
	}
	for _, p := range points {
		c.columns = append(c.columns, column{fmt.Sprintf("%d %%", p), fmt.Sprintf("rss_%d", p), 1, false})
	}
	c.columns = append(c.columns,
		column{"targets/s", "targets_per_s", 0, false}, column{"noticed", "noticed", 0, true},
		column{"not proven", "unsure", 0, true}, column{"GOMAXPROCS", "gomaxprocs", 0, false})
	c.lines = []line{{name: "StreamCheck", run: func(tb testing.TB) figures {
		d := startDaemon(tb, shards, 1024)
		seen := []float64{d.rss(tb)}
		done := make(chan figures, 1)
		go func() {
			defer close(done) // also where the run fails, which ends this goroutine alone
			done <- perform(tb, task{Role: "stream", Address: d.tcp, PID: d.pid, Targets: targets, Count: s.flat}, 2)
		}()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case f := <-done:
				seen = append(seen, d.rss(tb))
				if f == nil {
					tb.FailNow()
				}
				at := func(percent int) float64 { return seen[(len(seen)-1)*percent/100] }
				f["rss_0"], f["growth"] = seen[0], at(100)/at(25)
				f["noticed"], f["gomaxprocs"] = noticedNow(), processors(shards+1)
				for _, p := range points {
					f[fmt.Sprintf("rss_%d", p)] = at(p)
				}
				return f
			case <-tick.C:
				seen = append(seen, d.rss(tb))
			}
		}
	}}}
	return c
}

// idleContest is a service that nobody calls.
func idleContest(tb testing.TB, s size) *contest {
	const shards = 2
	d := startDaemon(tb, shards, 8192)
	return &contest{
		title: fmt.Sprintf("shakerd without a caller, for %s", s.idle),
		once:  true,
		columns: []column{
			{"CPU ms a second", "cpu_ms", 3, true},
			{"wake-ups a second", "wakes", 1, true},
			{"RSS MiB", "rss", 1, false},
			{"GOMAXPROCS", "gomaxprocs", 0, false},
		},
		lines: []line{{name: "idle", run: func(tb testing.TB) figures {
			cpu, wakes := d.activity(tb)
			began := time.Now()
			time.Sleep(s.idle)
			cpuAfter, wakesAfter := d.activity(tb)
			took := time.Since(began).Seconds()
			return figures{
				"cpu_ms":     float64(cpuAfter-cpu) / 1e6 / took,
				"wakes":      (wakesAfter - wakes) / took,
				"rss":        d.rss(tb),
				"gomaxprocs": processors(shards + 1),
			}
		}}},
		bounds: []bound{
			{name: "RSS MiB of an idle shakerd", unit: "idle-RSS-MiB", key: "rss", line: "idle", worst: true, promise: atMost(25, 25)},
			{name: "CPU ms a second of an idle shakerd", unit: "idle-CPU-ms/s", key: "cpu_ms", line: "idle"},
		},
	}
}

// activity is how much CPU a daemon has used, and how often its threads went to sleep of their own will, and so were woken.
func (d daemon) activity(tb testing.TB) (cpu time.Duration, wakes float64) {
	tb.Helper()
	cpu, err := cpuOf(d.pid)
	if err != nil {
		tb.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(d.pid) + "/task/*/status")
	if err != nil {
		tb.Fatal(err)
	}
	for _, thread := range threads {
		wakes += status(tb, thread, "voluntary_ctxt_switches")
	}
	return cpu, wakes
}
