package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// checkTask has so many callers ask for one target at a time, each again as soon as it has its answer, over one connection.
func checkTask(t task) (figures, error) {
	c, err := client.New(t.Address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := func(each int) ([]time.Duration, error) {
		var mu sync.Mutex
		var all []time.Duration
		var failed error
		var callers sync.WaitGroup
		for caller := range t.AtOnce {
			callers.Go(func() {
				took := make([]time.Duration, 0, each)
				for i := range each {
					began := time.Now()
					r, err := c.Check(ctx, t.Targets[(caller+i)%len(t.Targets)])
					took = append(took, time.Since(began))
					if err == nil && r.Verdict != client.Reachable {
						err = fmt.Errorf("%s: %v", r.Target, r.Reason)
					}
					if err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
						return
					}
				}
				mu.Lock()
				all = append(all, took...)
				mu.Unlock()
			})
		}
		callers.Wait()
		return all, failed
	}
	each := max(1, t.Count/t.AtOnce)
	if _, err := run(max(1, each/10)); err != nil {
		return nil, err
	}
	server, err := cpuOf(t.PID)
	if err != nil {
		return nil, err
	}
	before := used()
	took, err := run(each)
	if err != nil {
		return nil, err
	}
	f := since(before, len(took))
	after, err := cpuOf(t.PID)
	if err != nil {
		return nil, err
	}
	all := figures{
		"server_us":  float64(after-server) / 1e3 / float64(len(took)),
		"client_us":  f["cpu_us_per_probe"],
		"checks":     float64(len(took)),
		"checks_per": f["probes_per_s"],
	}
	all.latency("check", took)
	return all, nil
}

// latency adds the quantiles of some durations, in ms.
func (f figures) latency(name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(share float64) float64 { return float64(took[int(share*float64(len(took)-1))]) / 1e6 }
	f[name+"_p50"], f[name+"_p99"], f[name+"_max"] = at(0.50), at(0.99), at(1)
}

// checkContest is the unary RPC of one target, at several numbers of callers.
func checkContest(tb testing.TB, s size) *contest {
	const shards = 2
	c := &contest{
		title: "Check of one target, over loopback TCP",
		columns: []column{
			{"server's CPU µs a Check", "server_us", 1, false},
			{"client's", "client_us", 1, false},
			{"Checks/s", "checks_per", 0, false},
			{"p50 ms", "check_p50", 2, false},
			{"p99 ms", "check_p99", 2, false},
			{"noticed", "noticed", 0, true},
			{"GOMAXPROCS", "gomaxprocs", 0, false},
		},
	}
	targets, noticedNow := serviceTargets(tb)
	d := startDaemon(tb, shards, 1024)
	for _, callers := range []int{1, 16, 128} {
		t := task{Role: "check", Address: d.tcp, PID: d.pid, Targets: targets, AtOnce: callers, Count: s.checks}
		name := fmt.Sprintf("%d at once", callers)
		c.lines = append(c.lines, line{name: name, run: func(tb testing.TB) figures {
			f := perform(tb, t, 2)
			f["gomaxprocs"], f["noticed"] = processors(shards+1), noticedNow()
			return f
		}})
		for _, metric := range []struct{ word, key string }{{"server's CPU µs", "server_us"}, {"p99 ms", "check_p99"}} {
			c.bounds = append(c.bounds, bound{
				name: name + ", " + metric.word, unit: fmt.Sprintf("%s/%d", metric.key, callers), key: metric.key, line: name,
			})
		}
	}
	return c
}
