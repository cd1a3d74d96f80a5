package shaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCancelsAreTakenInOrder: whichever goroutine runs first, older batches that were canceled come
// before its own, and each batch comes once. Batches that go on are left alone.
func TestCancelsAreTakenInOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var c cancels
		type open struct {
			*Batch
			end context.CancelFunc
		}
		var staying, canceled []open
		for range 60 {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b := open{&Batch{ctx: ctx}, cancel}
			c.join(b.Batch)
			if len(staying) < mostPassed-1 && rng.IntN(3) == 0 {
				staying = append(staying, b)
			} else {
				canceled = append(canceled, b)
			}
		}
		gone := canceled[rng.IntN(len(canceled))] // is over when its context ends
		c.leave(gone.Batch)
		c.leave(gone.Batch)
		var running, want, got []*Batch // goroutines, which start when they are made or later
		run := func() {
			for _, k := range rng.Perm(len(running)) {
				got = append(got, c.take(running[k])...)
			}
			running = nil
		}
		for _, b := range canceled {
			b.end()
			running = append(running, b.Batch)
			if b.Batch != gone.Batch {
				want = append(want, b.Batch)
			}
			if rng.IntN(10) == 0 {
				run()
			}
		}
		run()
		if !slices.Equal(got, want) {
			t.Fatal("taken in another order than canceled")
		}
		for _, b := range staying {
			if !b.age.stands() {
				t.Fatal("a batch was taken whose context has not ended")
			}
			c.leave(b.Batch)
		}
		if c.open.first != nil {
			t.Fatal("a batch is left")
		}
	}
}

// TestCancelsLookAtFew: a cancel does not look at all batches that go on.
func TestCancelsLookAtFew(t *testing.T) {
	var c cancels
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	open := func(ctx context.Context) *Batch {
		b := &Batch{ctx: ctx}
		c.join(b)
		return b
	}
	far := open(ended)
	for range mostPassed {
		open(context.Background())
	}
	near := open(ended)
	if got := c.take(near); !slices.Equal(got, []*Batch{near}) {
		t.Errorf("%d taken", len(got))
	}
	if got := c.take(far); !slices.Equal(got, []*Batch{far}) {
		t.Errorf("then %d taken", len(got))
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
