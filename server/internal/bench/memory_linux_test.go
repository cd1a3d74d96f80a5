package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// memory is what is in use at a moment, in bytes. What the kernel holds is that of the whole machine: anything else that goes on
// there is in it.
type memory struct{ heap, rss, tcp, slab float64 }

func readMemory() (memory, error) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	all := memory{heap: float64(m.HeapAlloc)}
	for _, from := range []struct {
		path, key string
		to        *float64
	}{{"/proc/self/status", "VmRSS", &all.rss}, {"/proc/meminfo", "Slab", &all.slab}} {
		text, err := os.ReadFile(from.path)
		if err != nil {
			return all, err
		}
		value, ok := keyed(string(text), from.key)
		if !ok {
			return all, fmt.Errorf("%s: no %s", from.path, from.key)
		}
		*from.to = value * 1024
	}
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return all, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "TCP:" {
			pages, err := strconv.ParseFloat(fields[len(fields)-1], 64) // "mem"
			if err != nil {
				return all, err
			}
			all.tcp = pages * float64(os.Getpagesize())
		}
	}
	return all, nil
}

// per returns what is more than before, for each of n.
func (m memory) per(before memory, n int) figures {
	return figures{
		"heap": (m.heap - before.heap) / float64(n),
		"rss":  (m.rss - before.rss) / float64(n),
		"tcp":  (m.tcp - before.tcp) / float64(n),
		"slab": (m.slab - before.slab) / float64(n),
	}
}

// flyingTask measures handshakes that nobody answers, Count at once, or as many as the limit of descriptors allows.
func flyingTask(t task) (figures, error) {
	ports, err := silentPorts(8)
	if err != nil {
		return nil, err
	}
	// More places than probes, as one batch never gets all of them.
	e, err := shaker.New(shaker.Config{
		Mode: shaker.Reuse, Shards: t.Shards, MaxInFlight: t.Count + t.Count/4,
		MaxInFlightPerAddress: shaker.MaxMaxInFlightPerAddress,
	})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	before, err := readMemory()
	if err != nil {
		return nil, err
	}
	probes := make([]shaker.Probe, t.Count)
	for i := range probes {
		probes[i] = shaker.Probe{ID: uint64(i), Addr: ports[i%len(ports)].addr, Timeout: time.Minute}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	batch, err := e.Submit(ctx, probes)
	if err != nil {
		return nil, err
	}
	probes = nil
	n := settled(e)
	if n < t.Count/2 {
		return nil, fmt.Errorf("%d of %d in flight: %v", n, t.Count, e.Stats().Done)
	}
	now, err := readMemory()
	if err != nil {
		return nil, err
	}
	runtime.KeepAlive(batch)
	f := now.per(before, n)
	f["count"], f["gomaxprocs"] = float64(n), float64(runtime.GOMAXPROCS(0))
	return f, nil
}

// settled returns how many probes are in flight once that changes no more.
func settled(e *shaker.Engine) (n int) {
	const settling = 300 * time.Millisecond
	began := time.Now()
	for since := began; time.Since(since) < settling; time.Sleep(10 * time.Millisecond) {
		if now := e.Stats().InFlight; now != n || n == 0 && time.Since(began) < 10*time.Second { // where there are none yet
			n, since = now, time.Now()
		}
	}
	return n
}

// enginesTask measures engines that have nothing to do.
func enginesTask(t task) (figures, error) {
	first, err := shaker.New(shaker.Config{Shards: t.Shards}) // brings in what all share
	if err != nil {
		return nil, err
	}
	defer first.Close()
	before, err := readMemory()
	if err != nil {
		return nil, err
	}
	for range t.Count {
		e, err := shaker.New(shaker.Config{Shards: t.Shards})
		if err != nil {
			return nil, err
		}
		defer e.Close()
	}
	now, err := readMemory()
	if err != nil {
		return nil, err
	}
	f := now.per(before, t.Count)
	f["count"], f["gomaxprocs"] = float64(t.Count), float64(runtime.GOMAXPROCS(0))
	return f, nil
}

// memoryContest is the bytes that one of several things takes.
func memoryContest(tb testing.TB, s size) *contest {
	const shards = 2
	return &contest{
		title: "Bytes for each; what the kernel has is that of the whole machine",
		columns: []column{
			{"Go heap", "heap", 0, true},
			{"RSS", "rss", 0, true},
			{"kernel: tcp_mem", "tcp", 0, true},
			{"kernel: slab", "slab", 0, true},
			{"measured with", "count", 0, false},
			{"GOMAXPROCS", "gomaxprocs", 0, false},
		},
		lines: []line{
			{name: "handshake in flight, nobody answers", run: func(tb testing.TB) figures {
				return perform(tb, task{Role: "flying", Shards: shards, Count: s.flying}, shards+1)
			}},
			{name: "idle engine, 2 shards", run: func(tb testing.TB) figures {
				return perform(tb, task{Role: "engines", Shards: shards, Count: s.engines}, shards+1)
			}},
			{name: "idle StreamCheck at shakerd", run: func(tb testing.TB) figures { return idleStreams(tb, s.streams) }},
		},
		bounds: []bound{
			{name: "Go heap for a handshake in flight", unit: "heap-B/flying", key: "heap", line: "handshake in flight, nobody answers"},
			{name: "RSS for an idle StreamCheck", unit: "RSS-B/stream", key: "rss", line: "idle StreamCheck at shakerd"},
		},
	}
}
