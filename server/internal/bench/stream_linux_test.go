package bench

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// streamTask has the service stream targets through the SDK, 256 to a message, as fast as it goes or at a rate. What the service used it
// reads from its CPU clock. The first tenth, at most 10,000, warms up and does not count.
func streamTask(t task) (figures, error) {
	c, err := client.New(t.Address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	wrong, unsure := 0, 0
	run := func(targets iter.Seq[string]) error {
		for r, err := range c.Stream(context.Background(), targets) {
			if err != nil {
				return err
			}
			if r.Verdict != client.Reachable {
				wrong++
			}
			if r.Silence != client.SilenceProven {
				unsure++
			}
		}
		return nil
	}
	if err := run(paced(t.Targets, max(1, min(10_000, t.Count/10)), 0)); err != nil {
		return nil, err
	}
	server, err := cpuOf(t.PID)
	if err != nil {
		return nil, err
	}
	before := used()
	if err := run(paced(t.Targets, t.Count, t.Rate)); err != nil {
		return nil, err
	}
	f := since(before, t.Count)
	after, err := cpuOf(t.PID)
	if err != nil {
		return nil, err
	}
	return figures{
		"server_us":     float64(after-server) / 1e3 / float64(t.Count),
		"client_us":     f["cpu_us_per_probe"],
		"targets_per_s": f["probes_per_s"],
		"began":         float64(before.at.UnixMicro()),
		"ended":         float64(time.Now().UnixMicro()),
		"wrong":         float64(wrong),
		"unsure":        float64(unsure),
	}, nil
}

// paced yields n of the targets, over and over, at so many a second. It sleeps seldom, as a sleep is longer than it says.
func paced(targets []string, n int, rate float64) iter.Seq[string] {
	return func(yield func(string) bool) {
		began := time.Now()
		for i := range n {
			if rate > 0 && i%64 == 0 {
				time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * 1e9))))
			}
			if !yield(targets[i%len(targets)]) {
				return
			}
		}
	}
}

// serviceTargets opens what services are asked about. This process idles meanwhile. The second function returns how many handshakes were
// noticed since it was called last.
func serviceTargets(tb testing.TB) (targets []string, noticedNow func() float64) {
	tb.Helper()
	ports, err := openPorts("ipv4", goals, 4096)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closePorts(ports) })
	return addresses(ports), func() float64 { return float64(noticed(ports)) }
}

// streamContest is StreamCheck of a shakerd beside the engine alone, with as many shards, processors, and handshakes in flight; and of
// one where each target is judged and counted for its caller.
func streamContest(tb testing.TB, s size) *contest {
	const perShard = 512
	c := &contest{
		title: "StreamCheck end to end, 256 targets a message, beside the engine alone",
		columns: []column{
			{"server's CPU µs a target", "server_us", 2, false},
			{"client's", "client_us", 2, true},
			{"targets/s", "targets_per_s", 0, false},
			{"noticed", "noticed", 0, true},
			{"not proven", "unsure", 0, true},
			{"GOMAXPROCS", "gomaxprocs", 0, true},
		},
	}
	targets, noticedNow := serviceTargets(tb)
	for _, shards := range []int{1, 2} {
		alone := fmt.Sprintf("engine %d", shards)
		engine := engineLine(alone, "", task{Mode: "reuse", Family: "ipv4", Shards: shards, Count: s.targets}, perShard)
		c.lines = append(c.lines, line{name: alone, run: func(tb testing.TB) figures {
			f := engine.run(tb)
			return figures{
				"server_us": f["cpu_us_per_probe"], "targets_per_s": f["probes_per_s"], "gomaxprocs": f["gomaxprocs"],
				"noticed": f["noticed"], "unsure": f["unsure"],
			}
		}})
		d := startDaemon(tb, shards, perShard*shards)
		with := startShared(tb, shards, perShard*shards)
		for _, way := range []struct {
			name, unit string
			address    string
			pid        int
		}{
			{"TCP", "TCP", d.tcp, d.pid},
			{"unix", "unix", d.unix, d.pid},
			{"unix, callers and limits", "callers", with.unix, with.pid},
		} {
			name := fmt.Sprintf("shakerd %d, %s", shards, way.name)
			t := task{Role: "stream", Address: way.address, PID: way.pid, Targets: targets, Count: s.targets}
			c.lines = append(c.lines, line{name: name, against: alone, run: func(tb testing.TB) figures {
				f := perform(tb, t, 2)
				f["gomaxprocs"], f["noticed"] = processors(shards+1), noticedNow()
				return f
			}})
			c.ratios = append(c.ratios, ratio{
				name: fmt.Sprintf("server's CPU, shakerd with --shards %d over %s / engine", shards, way.name),
				unit: fmt.Sprintf("%s-%d/engine", way.unit, shards), key: "server_us", of: name, to: alone, promise: atMost(1.25, 1.10),
			})
		}
	}
	return c
}
