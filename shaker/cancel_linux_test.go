package shaker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCanceledInOrder: sixty batches wait and are canceled in any order, each cancel known before the
// next, or in a row. They are over in the order of their cancels. One processor runs the cancels in a
// row: with two, neighbours may change places.
func TestCanceledInOrder(t *testing.T) {
	for _, shards := range []int{1, 2} {
		for _, inARow := range []bool{false, true} {
			if inARow && raced { // goroutines run in random order there
				continue
			}
			t.Run(fmt.Sprintf("shards=%d/in_a_row=%t", shards, inARow), func(t *testing.T) {
				everywhere(t, func(t *testing.T, mode Mode, f family) { canceledInOrder(t, mode, f, shards, inARow) })
			})
		}
	}
}

func canceledInOrder(t *testing.T, mode Mode, f family, shards int, inARow bool) {
	const batches, each = 60, 1500
	mute := silent(t, f.loopback(0))
	e := newEngine(t, Config{Mode: mode, Shards: shards})
	var all [batches]*Batch
	ends := map[*Batch]context.CancelFunc{}
	live, end := context.WithCancel(context.Background())
	defer end()
	for i := range all {
		e.Open(live) // one that goes on
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		b, err := e.Submit(ctx, probesOf(each, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
		if err != nil {
			t.Fatal(err)
		}
		all[i], ends[b] = b, cancel
	}
	eventually(t, "all have come", func() bool {
		s := e.Stats()
		return s.Queued+s.InFlight == batches*each
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(batches, func(i, j int) { all[i], all[j] = all[j], all[i] })
	if inARow {
		processors := runtime.GOMAXPROCS(1)
		for _, b := range all {
			ends[b]()
		}
		eventually(t, "all cancels are reported", func() bool {
			for _, b := range all {
				b.mu.Lock()
				reported := b.ended != nil
				b.mu.Unlock()
				if !reported {
					return false
				}
			}
			return true
		})
		runtime.GOMAXPROCS(processors)
	} else {
		for _, b := range all {
			ends[b]()
			b.cancel() // whether or not the goroutine of the context has run
		}
	}
	owed := func(b *Batch) int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.open
	}
	seen := 0 // how often some were over and others not
	for over, late := 0, time.Now().Add(patience); over < batches; {
		over = 0
		first := batches                    // of those that are over
		for i := batches - 1; i >= 0; i-- { // backwards, for what is over stays so
			switch n := owed(all[i]); {
			case n > 0 && over > 0:
				t.Fatalf("cancel %d is answered, and %d answers to cancel %d are owed", first, n, i)
			case n == 0:
				first = i
				over++
			}
		}
		if over > 0 && over < batches {
			seen++
		}
		if time.Now().After(late) {
			t.Fatalf("%d of %d are over", over, batches)
		}
	}
	if seen == 0 {
		t.Error("all were over at once: this proves nothing")
	}
	for _, b := range all {
		for r := range b.All() {
			if r.Outcome != Canceled || !errors.Is(r.Err, context.Canceled) {
				t.Fatal(r.String())
			}
		}
	}
}

// wakes counts how often each loop of an engine is woken.
func wakes(e *Engine) []*atomic.Int64 {
	counts := make([]*atomic.Int64, len(e.shards))
	for k, s := range e.shards {
		n, wake := new(atomic.Int64), s.inbox.wake
		counts[k] = n
		s.inbox.mu.Lock()
		s.inbox.wake = func() {
			n.Add(1)
			wake()
		}
		s.inbox.mu.Unlock()
	}
	return counts
}

// TestCancelWakesWhoHoldsProbes: the end of a context wakes the loops that hold probes of the
// batch, and no others: not those that never had one, and not those that have answered theirs.
func TestCancelWakesWhoHoldsProbes(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const shards = 8
		mute, closed := silent(t, f.loopback(0)), bound(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: shards})
		asleep := func() bool {
			for _, s := range e.shards {
				s.inbox.mu.Lock()
				ok := s.inbox.asleep
				s.inbox.mu.Unlock()
				if !ok {
					return false
				}
			}
			return true
		}
		count := wakes(e)
		for _, answered := range []int{0, shards} {
			for holding := range 4 {
				ctx, cancel := context.WithCancel(patient(t))
				b := e.Open(ctx)
				add := func(p Probe) (shard int) {
					if err := b.Add([]Probe{p}); err != nil {
						t.Fatal(err)
					}
					return int(e.turn.Load() % shards)
				}
				read := func(n int) {
					for n > 0 {
						results, _ := b.Next()
						n -= len(results)
					}
				}
				for range answered {
					add(Probe{Addr: closed.Addr, Timeout: patience})
				}
				read(answered)
				var holds [shards]bool
				for range holding {
					holds[add(Probe{Addr: mute, Timeout: time.Hour})] = true
				}
				eventually(t, "the silent ones are in flight", func() bool { return e.Stats().InFlight == holding })
				eventually(t, "all loops sleep", asleep)
				var before [shards]int64
				for k := range before {
					before[k] = count[k].Load()
				}
				b.detach()
				cancel()
				b.cancel() // in this goroutine, so that it has ended when the wakes are counted
				for k := range before {
					woken := count[k].Load() - before[k]
					if woken > 1 || woken == 1 && !holds[k] {
						t.Errorf("%d answered, %d held: shard %d was woken %d times; it holds a probe: %t", answered, holding, k, woken, holds[k])
					}
				}
				read(holding)
				add(Probe{Addr: mute, Timeout: time.Hour}) // comes too late
				b.Finish()
				for r := range b.All() {
					if r.Outcome != Canceled {
						t.Error(r.String())
					}
				}
				eventually(t, "the sockets are closed", func() bool { return e.Stats().InFlight == 0 })
			}
		}
	})
}

// TestIdleShardsCostNothing: opening and finishing a batch, and making one probe, allocate the same
// at any number of shards.
func TestIdleShardsCostNothing(t *testing.T) {
	const runs = 200
	open := listen(t, families[0].loopback(0)).Addr
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			cost := func(shards int) (empty, one float64, size uint64) {
				e := newEngine(t, Config{Mode: mode, Shards: shards, MaxInFlight: 64})
				ctx := patient(t)
				without := func() { e.OpenFor(ctx, "caller").Finish() }
				with := func() {
					b := e.OpenFor(ctx, "caller")
					if err := b.Add([]Probe{{Addr: open, Timeout: patience}}); err != nil {
						t.Fatal(err)
					}
					b.Finish()
					drain(b)
				}
				for range 4 * shards { // each loop makes what it keeps
					with()
				}
				empty, one = testing.AllocsPerRun(runs, without), testing.AllocsPerRun(runs, with)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range runs {
					without()
				}
				runtime.ReadMemStats(&after)
				return empty, one, (after.TotalAlloc - before.TotalAlloc) / runs
			}
			empty, one, size := cost(1)
			t.Logf("1 shard: an empty batch makes %v allocations, %d bytes; one with a probe %v", empty, size, one)
			for _, shards := range []int{2, 64} {
				e, o, s := cost(shards)
				t.Logf("%d shards: %v, %d; %v", shards, e, s, o)
				const wake = 2 // under the race detector a wake-up allocates, and one loop alone hardly sleeps
				if e != empty || o > one+wake || s > size+1000 {
					t.Errorf("%d shards: an empty batch makes %v allocations, %d bytes; one with a probe %v", shards, e, s, o)
				}
			}
		})
	}
}

// TestCancelMeetsAdd: probes that come while their context ends are answered, at whatever moment.
func TestCancelMeetsAdd(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			mute := silent(t, families[0].loopback(0))
			e := newEngine(t, Config{Mode: mode, Shards: 3})
			for range 60 {
				ctx, cancel := context.WithCancel(context.Background())
				b := e.Open(ctx)
				added := 0
				var adder sync.WaitGroup
				begun := make(chan struct{})
				adder.Go(func() {
					for k := 0; k < 20; k++ {
						probes := probesOf(1+40*(k%2), func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} })
						for i := range probes {
							probes[i].ID += uint64(added)
						}
						if err := b.Add(probes); err != nil {
							t.Error(err)
							break
						}
						if added += len(probes); k == 0 {
							close(begun)
						}
					}
					b.Finish()
				})
				<-begun
				cancel()
				adder.Wait()
				for _, r := range collect(t, b, added) {
					if r.Outcome != Canceled {
						t.Fatal(r.String())
					}
				}
			}
			eventually(t, "nothing is left", func() bool {
				s := e.Stats()
				return s.InFlight+s.Queued == 0
			})
			e.Close()
			clean(t, e)
		})
	}
}
