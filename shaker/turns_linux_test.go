package shaker

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"
)

// TestCallersInTurn: the engine starts 1,000 probes a second. One caller has a hundred thousand waiting, in a hundred batches; another,
// with one at a time, waits for one start of theirs, and not for one of each batch, which would take 100 ms.
func TestCallersInTurn(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open := listen(t, f.loopback(0)).Addr
		e := newEngine(t, Config{Mode: mode, Shards: 1, Rate: 1000})
		ctx, cancel := context.WithCancel(patient(t))
		var greedy []*Batch
		for range 100 {
			b := e.OpenFor(ctx, "greedy")
			if err := b.Add(probesOf(1000, func(int) Probe { return Probe{Addr: open, Timeout: patience} })); err != nil {
				t.Fatal(err)
			}
			b.Finish()
			greedy = append(greedy, b)
		}
		eventually(t, "the greedy one has begun", func() bool { return e.Stats().Started > 10 })
		var waits []time.Duration
		for range 21 {
			waits = append(waits, ask(t, e, "modest", Probe{Addr: open, Timeout: patience}).Queued)
		}
		slices.Sort(waits)
		t.Logf("waited %v, %v, %v (least, median, most)", waits[0], waits[10], waits[20])
		if waits[10] > 20*time.Millisecond {
			t.Errorf("a caller with one probe waits %v behind one with a hundred thousand", waits[10])
		}
		cancel()
		for _, b := range greedy {
			drain(b)
		}
	})
}

// TestCallersInTurnAtOneAddress: five probes may be in flight to an address that does not answer. One caller has 600
// waiting for it; another, with one, waits for the next place and not for all of them.
func TestCallersInTurnAtOneAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		mute := silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(10)}})
		ctx, cancel := context.WithCancel(patient(t))
		greedy := e.OpenFor(ctx, "greedy")
		if err := greedy.Add(probesOf(600, func(int) Probe { return Probe{Addr: mute, Timeout: 20 * time.Millisecond} })); err != nil {
			t.Fatal(err)
		}
		greedy.Finish()
		eventually(t, "the greedy one has begun", func() bool { return e.Stats().Started > 10 })
		for range 5 {
			if r := ask(t, e, "modest", Probe{Addr: mute, Timeout: time.Millisecond}); r.Outcome != TimedOut || r.Queued > time.Second {
				t.Errorf("%s after waiting %v", &r, r.Queued)
			}
		}
		cancel()
		drain(greedy)
	})
}

// TestCanceledBatchesAreForgotten: while others hold every place, batches come, wait and are canceled. They are not kept until a place
// is free, but for those of the last message that a loop has read.
func TestCanceledBatchesAreForgotten(t *testing.T) {
	mute := silent(t, families[0].loopback(0))
	e := newEngine(t, Config{Shards: 1, MaxInFlight: 2})
	for _, name := range []string{"one", "another"} {
		b := e.OpenFor(patient(t), name)
		if err := b.Add([]Probe{{Addr: mute, Timeout: patience}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every place is held", func() bool { return e.Stats().InFlight == 2 })
	var gone [100]weak.Pointer[Batch]
	for i := range gone {
		ctx, cancel := context.WithCancel(patient(t))
		b := e.OpenFor(ctx, "late")
		if err := b.Add([]Probe{{Addr: mute}}); err != nil {
			t.Fatal(err)
		}
		b.Finish()
		cancel()
		drain(b)
		gone[i] = weak.Make(b)
	}
	kept := 0
	runtime.GC()
	for _, b := range gone {
		if b.Value() != nil {
			kept++
		}
	}
	if kept > len(gone)/10 {
		t.Errorf("%d of %d batches that are over are still there", kept, len(gone))
	}
}

// ask makes one probe for a caller.
func ask(t *testing.T, e *Engine, caller string, p Probe) Result {
	t.Helper()
	b := e.OpenFor(patient(t), caller)
	if err := b.Add([]Probe{p}); err != nil {
		t.Fatal(err)
	}
	b.Finish()
	results, ok := b.Next()
	if !ok || len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	r := results[0]
	b.Take()
	return r
}

// TestFinishedBatchesSayNothing: of a batch that is over no loop hears that its context ends.
func TestFinishedBatchesSayNothing(t *testing.T) {
	open := listen(t, families[0].loopback(0)).Addr
	e := newEngine(t, Config{Shards: 1})
	for _, finishLast := range []bool{false, true} {
		ctx, cancel := context.WithCancel(patient(t))
		b := e.Open(ctx)
		if err := b.Add([]Probe{{Addr: open, Timeout: patience}}); err != nil {
			t.Fatal(err)
		}
		if !finishLast {
			b.Finish()
		}
		if results, _ := b.Next(); len(results) != 1 {
			t.Fatalf("%d results", len(results))
		}
		if finishLast {
			b.Finish()
		}
		b.Take()
		if b.detach() {
			t.Errorf("finish last %t: the end of the context would still have been told", finishLast)
		}
		cancel()
	}
}
