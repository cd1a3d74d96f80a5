package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// engineTask makes handshakes with an engine, in batches of 10,000. What goes before, as many but at most 5,000 to a shard, warms it up
// and opens its sockets, and does not count.
func engineTask(t task) (figures, error) {
	backlog, want := 4096, shaker.Open
	if t.Refused {
		backlog, want = -1, shaker.Refused
	}
	ports, err := openPorts(t.Family, goals, backlog)
	if err != nil {
		return nil, err
	}
	mode := shaker.Reuse
	if t.Mode == "fresh" {
		mode = shaker.Fresh
	}
	e, err := shaker.New(shaker.Config{Mode: mode, Shards: t.Shards, MaxInFlight: t.InFlight})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	probes := make([]shaker.Probe, 10_000)
	for i := range probes {
		probes[i] = shaker.Probe{ID: uint64(i), Addr: ports[i%goals].addr, Timeout: 5 * time.Second}
	}
	wrong := 0
	run := func(n int) error {
		batch := e.Open(context.Background())
		for ; n > 0; n -= len(probes) {
			if err := batch.Add(probes[:min(n, len(probes))]); err != nil {
				return err
			}
		}
		batch.Finish()
		for r := range batch.All() {
			if r.Outcome != want {
				wrong++
			}
		}
		return nil
	}
	if err := run(min(5_000*t.Shards, t.Count)); err != nil {
		return nil, err
	}
	before := used()
	if err := run(t.Count); err != nil {
		return nil, err
	}
	f := since(before, t.Count)
	s := e.Stats()
	f["longest_turn_ms"] = float64(s.LongestTurn) / 1e6
	f["broken"], f["unproven"] = float64(s.SilenceBroken), float64(s.SilenceUnproven)
	f["unsure"] = f["broken"] + f["unproven"]
	f["wrong"] = float64(wrong)
	if !t.Refused {
		f["noticed"] = float64(noticed(ports))
	}
	return f, nil
}

// engineLine is a line of a table for an engine; perShard is how many handshakes it has in flight on each.
func engineLine(name, against string, t task, perShard int) line {
	t.Role, t.InFlight = "engine", perShard*t.Shards
	return line{name: name, against: against, run: func(tb testing.TB) figures { return perform(tb, t, t.Shards+1) }}
}

var probeColumns = []column{
	{"CPU µs a probe", "cpu_us_per_probe", 2, false},
	{"probes/s", "probes_per_s", 0, false},
	{"allocations a probe", "allocs_per_probe", 3, true},
	{"noticed", "noticed", 0, true},
	{"not proven", "unsure", 0, true},
	{"GOMAXPROCS", "gomaxprocs", 0, true},
}

// engineContest is the engine, in all its ways, beside the C program. Each keeps 512 handshakes in flight on every thread or shard.
func engineContest(tb testing.TB, s size) *contest {
	const perThread = 512
	c := &contest{
		title:   "The engine beside a C program that makes the same system calls (testdata/halfopen.c)",
		columns: probeColumns,
		ratios: []ratio{
			{
				name: "CPU, engine reuse, 1 shard / C reuse", unit: "engine/C-reuse", key: "cpu_us_per_probe",
				of: "engine reuse ipv4 open 1", to: "C reuse ipv4 open 1", promise: atMost(1.25, 1.10),
			},
			{
				name: "CPU, engine reuse, 1 shard / C fresh", unit: "engine/C-fresh", key: "cpu_us_per_probe",
				of: "engine reuse ipv4 open 1", to: "C fresh ipv4 open 1", promise: atMost(0.80, 0.65),
			},
			{
				name: "probes/s, engine reuse, 2 shards / 1", unit: "2-shards/1", key: "probes_per_s",
				of: "engine reuse ipv4 open 2", to: "engine reuse ipv4 open 1", promise: atLeast(1.6, 1.9),
			},
			{
				name: "probes/s, C reuse, 2 threads / 1", unit: "C-2-threads/1", key: "probes_per_s",
				of: "C reuse ipv4 open 2", to: "C reuse ipv4 open 1",
			},
		},
		bounds: []bound{{
			name: "allocations a probe, engine reuse, 1 shard", unit: "allocs/probe", key: "allocs_per_probe",
			line: "engine reuse ipv4 open 1", promise: atMost(0.01, 0.01), // what a batch costs, spread over its probes
		}},
	}
	binary, why := compileC(tb)
	if binary == "" {
		c.without = why
	}
	for _, mode := range []string{"reuse", "fresh"} {
		for _, family := range []string{"ipv4", "ipv6"} {
			for _, answer := range []string{"open", "refused"} {
				for _, n := range []int{1, 2} {
					way := fmt.Sprintf("%s %s %s %d", mode, family, answer, n)
					t := task{Mode: mode, Family: family, Refused: answer == "refused", Shards: n, Count: s.probes}
					ours := engineLine("engine "+way, "C "+way, t, perThread)
					ours.group = family + answer
					c.lines = append(c.lines, ours)
					if binary != "" {
						theirs := cLine(binary, mode, family, answer, s.probes, perThread, n)
						theirs.group = ours.group
						c.lines = append(c.lines, theirs)
					}
				}
			}
		}
	}
	return c
}
