package shaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// canceling is a batch of a test of cancels, and what ends its context.
type canceling struct {
	*Batch
	end context.CancelFunc
}

func openIn(t *testing.T, c *cancels) canceling {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b := canceling{&Batch{ctx: ctx}, cancel}
	c.join(b.Batch)
	return b
}

// arriveAll has goroutines arrive, and returns the batches in the order of their reports.
func arriveAll(c *cancels, running []*Batch) (reported []*Batch) {
	for _, b := range running {
		c.arrive(b)
	}
	reported, c.ended = c.ended, nil
	return reported
}

// TestTheLastGoroutineRunsFirst: of cancels in a row, the scheduler runs the goroutine of the last first.
// The batches are reported in the order of the cancels, whatever order they were opened in, and
// however many others are open.
func TestTheLastGoroutineRunsFirst(t *testing.T) {
	var c cancels
	for _, n := range []int{1, 2, 3, 60} {
		var want []*Batch
		for _, k := range rand.Perm(n + 30) {
			if b := openIn(t, &c); k < n {
				want = append(want, b.Batch)
			}
		}
		rand.Shuffle(n, func(i, j int) { want[i], want[j] = want[j], want[i] })
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for _, b := range want {
			b.ctx = ended
		}
		running := append([]*Batch{want[n-1]}, want[:n-1]...)
		if got := arriveAll(&c, running); !slices.Equal(got, want) {
			t.Errorf("%d cancels are reported in another order", n)
		}
		if c.held != nil || c.awaited != 0 {
			t.Errorf("after %d cancels: %d awaited", n, c.awaited)
		}
	}
}

// TestEachCancelIsReportedOnce: whichever goroutines run first, and whichever batches are over before
// that, each of the others is reported once, and none waits for ever. Batches that go on are left alone.
func TestEachCancelIsReportedOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var c cancels
		var staying, canceled []canceling
		for range 60 {
			if b := openIn(t, &c); rng.IntN(3) == 0 {
				staying = append(staying, b)
			} else {
				canceled = append(canceled, b)
			}
		}
		var running, got []*Batch // goroutines, which start when they are made or later
		reports := make(map[*Batch]int)
		gone := make(map[*Batch]bool)
		run := func() {
			rng.Shuffle(len(running), func(i, j int) { running[i], running[j] = running[j], running[i] })
			for _, b := range running {
				if rng.IntN(10) == 0 && b.age.stands() { // is over before its goroutine runs
					gone[b] = true
					c.forget(b)
				}
				got = append(got, arriveAll(&c, []*Batch{b, b})...)
			}
			running = nil
		}
		for _, b := range canceled {
			b.end()
			running = append(running, b.Batch)
			if rng.IntN(10) == 0 {
				run()
			}
		}
		run()
		for _, b := range got {
			reports[b]++
		}
		for i, b := range canceled {
			if want := map[bool]int{false: 1, true: 0}[gone[b.Batch]]; reports[b.Batch] != want {
				t.Fatalf("cancel %d is reported %d times, want %d", i, reports[b.Batch], want)
			}
		}
		for _, b := range staying {
			if !b.age.stands() || reports[b.Batch] != 0 {
				t.Fatal("a batch was taken whose context has not ended")
			}
		}
		if c.held != nil || c.awaited != 0 {
			t.Fatalf("%d awaited in the end", c.awaited)
		}
	}
}

// TestCancelsLookAtFew: a cancel does not look at all batches.
func TestCancelsLookAtFew(t *testing.T) {
	var c cancels
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var all []*Batch
	for range 3 * mostLooked {
		b := &Batch{ctx: ended}
		c.join(b)
		all = append(all, b)
	}
	if got := arriveAll(&c, all[:1]); len(got) != 0 || c.awaited != mostLooked {
		t.Errorf("%d reported, %d awaited", len(got), c.awaited)
	}
	if got := arriveAll(&c, all[1:]); len(got) != len(all) || c.awaited != 0 {
		t.Errorf("then %d reported, %d awaited", len(got), c.awaited)
	}
}

// TestSpareSharesAreSmall: a share that was used for much does not keep its room for the next
// batch.
func TestSpareSharesAreSmall(t *testing.T) {
	s := &share{batch: new(Batch), ended: errors.New("canceled"), flying: none}
	for _, n := range []int{2, mostSpareRoom, mostSpareRoom + 1} {
		for range n {
			s.chunks.push(nil)
			s.handed.push(nil)
		}
		for range n {
			s.chunks.pop()
			s.handed.pop()
		}
		s.parked = make([]*waiter, n)[:0]
		s.reset()
		want := n
		if n > mostSpareRoom {
			want = 0
		}
		if cap(s.parked) != want || len(s.chunks.ring) < want || len(s.handed.ring) < want || want == 0 && len(s.chunks.ring)+len(s.handed.ring) > 0 {
			t.Errorf("used for %d: room for %d, %d and %d", n, cap(s.parked), len(s.chunks.ring), len(s.handed.ring))
		}
		if s.batch != nil || s.ended != nil {
			t.Error("the batch is kept")
		}
	}
}
