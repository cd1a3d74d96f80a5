package shaker

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkProbe makes b.N handshakes with 64 loopback listeners (or closed ports), in batches of 10,000. ns/op is the wall
// time per probe; cpu-ns/probe is what the process and the kernel in its name spent, both ends of each handshake included,
// which is the figure to compare. It is for profiles; comparisons with others are made by package server/internal/bench.
func BenchmarkProbe(b *testing.B) {
	for _, mode := range []Mode{Reuse, Fresh} {
		for _, shards := range []int{1, 2} {
			for _, family := range families {
				for _, open := range []bool{true, false} {
					name := fmt.Sprintf("mode=%s/shards=%d/family=%s/open=%t", mode, shards, family.name, open)
					b.Run(name, func(b *testing.B) { benchmarkProbe(b, mode, shards, family, open) })
				}
			}
		}
	}
}

func benchmarkProbe(b *testing.B, mode Mode, shards int, family family, open bool) {
	const listeners, inFlight, batchSize = 64, 512, 10_000
	targets := make([]netip.AddrPort, listeners)
	for i := range targets {
		if open {
			targets[i] = listen(b, family.loopback(i%8)).Addr
		} else {
			targets[i] = netip.AddrPortFrom(family.loopback(i%8), uint16(i+2))
		}
	}
	e := newEngine(b, Config{Mode: mode, Shards: shards, MaxInFlight: inFlight * shards})
	probes := make([]Probe, batchSize)
	for i := range probes {
		probes[i] = Probe{ID: uint64(i), Addr: targets[i%listeners], Timeout: time.Second}
	}
	want := Open
	if !open {
		want = Refused
	}
	run := func(n int) {
		batch := e.Open(context.Background())
		for ; n > 0; n -= batchSize {
			if err := batch.Add(probes[:min(n, batchSize)]); err != nil {
				b.Fatal(err)
			}
		}
		batch.Finish()
		for r := range batch.All() {
			if r.Outcome != want {
				b.Fatal(r.String())
			}
		}
	}
	run(batchSize)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	run(b.N)
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/probe")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "probes/s")
	s := e.Stats()
	b.ReportMetric(float64(s.LongestTurn)/1e6, "longest-turn-ms")
	if s.SilenceBroken > 0 {
		b.Errorf("%d silences broken, %d unproven; longest turn %s", s.SilenceBroken, s.SilenceUnproven, s.LongestTurn)
	}
}

// cpuTime is what this process has used so far, in user and kernel mode.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOneProbe makes b.N batches of one handshake each, one after another, as a caller with a
// single target does. Shards beyond the one that makes the handshake are idle, and should cost
// nothing.
func BenchmarkOneProbe(b *testing.B) {
	for _, shards := range []int{1, 2, 16, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			e := newEngine(b, Config{Shards: shards, MaxInFlight: 64})
			probes := []Probe{{Addr: listen(b, families[0].loopback(0)).Addr, Timeout: patience}}
			ctx := b.Context() // one that can end, so that each batch waits for that
			b.ReportAllocs()
			for b.Loop() {
				batch := e.OpenFor(ctx, "caller")
				if err := batch.Add(probes); err != nil {
					b.Fatal(err)
				}
				batch.Finish()
				if results, _ := batch.Next(); len(results) != 1 || results[0].Outcome != Open {
					b.Fatal(results)
				}
				batch.Take()
			}
		})
	}
}

// BenchmarkOpenFinish opens and finishes batches without a probe.
func BenchmarkOpenFinish(b *testing.B) {
	for _, shards := range []int{1, 2, 16, 64} {
		b.Run(fmt.Sprintf("shards=%d", shards), func(b *testing.B) {
			e := newEngine(b, Config{Shards: shards, MaxInFlight: 64})
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				e.OpenFor(ctx, "caller").Finish()
			}
		})
	}
}
