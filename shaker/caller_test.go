package shaker

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// sharesOf returns n shares of batches of one caller, each with so many jobs, that have joined.
func sharesOf(c *callers, caller string, n, jobs int) []*share {
	shares := make([]*share, n)
	for i := range shares {
		shares[i] = &share{batch: &Batch{caller: caller}, flying: none}
		c.join(shares[i])
		shares[i].add(make([]job, jobs))
		c.enqueue(shares[i])
	}
	return shares
}

// TestCallersTakeTurns: of three callers, one of whom has a hundred batches, each gets every third start; of the batches of one
// each gets every hundredth of those; and who comes later is served at once.
func TestCallersTakeTurns(t *testing.T) {
	c := callers{byName: make(map[string]*caller)}
	sharesOf(&c, "many", 100, 1000)
	sharesOf(&c, "two", 2, 1000)
	sharesOf(&c, "one", 1, 1000)
	start := func() *share {
		s := c.pick(1 << 20)
		s.next()
		c.took(s)
		return s
	}
	byCaller, byShare := map[string]int{}, map[*share]int{}
	for n := range 600 {
		s := start()
		byCaller[s.batch.caller]++
		byShare[s]++
		if most := n/3 + 1; byCaller[s.batch.caller] > most {
			t.Fatalf("after %d starts %d were of %q", n+1, byCaller[s.batch.caller], s.batch.caller)
		}
	}
	for s, n := range byShare {
		if want := map[string]int{"many": 2, "two": 100, "one": 200}[s.batch.caller]; n != want {
			t.Errorf("a batch of %q had %d starts, want %d", s.batch.caller, n, want)
		}
	}
	late := sharesOf(&c, "late", 1, 1)[0]
	for n := range 4 {
		if start() == late {
			break
		}
		if n == 3 {
			t.Error("a newcomer waits for more than one start of each of the others")
		}
	}
}

// TestPartsOfThePlaces: one batch leaves a ninth of the places free, all batches of one caller a seventeenth, and one place is kept
// for whoever has none.
func TestPartsOfThePlaces(t *testing.T) {
	for _, places := range []int{1, 2, 10, 1000} {
		c := callers{byName: make(map[string]*caller)}
		table := table{capacity: places}
		fill := func() (n int) {
			for s := c.pick(table.free()); s != nil; s = c.pick(table.free()) {
				s.next()
				c.took(s)
				table.fly(table.takeVacant(), s)
				n++
			}
			return n
		}
		sharesOf(&c, "greedy", 1, places)
		got := fill()
		if most := max(1, places-max(1, places/9)); got > most || got < most-1 {
			t.Errorf("of %d places one batch gets %d, want %d", places, got, most)
		}
		sharesOf(&c, "greedy", places, 1)
		got += fill()
		if most := max(1, places-max(1, places/17)); got > most || got < most-1 {
			t.Errorf("of %d places the batches of one caller get %d, want %d", places, got, most)
		}
		sharesOf(&c, "other", 1, 1)
		if n := fill(); places > 1 && n != 1 {
			t.Errorf("of %d places none is left for another caller", places)
		}
	}
}

// TestCallersAreForgotten plays any order of coming, starting, ending and going: whoever owes an answer is known, and of who owes
// nothing nothing is left, whether there are places or not.
func TestCallersAreForgotten(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := callers{byName: make(map[string]*caller)}
	shares := make([]*share, 20)
	for i := range shares {
		shares[i] = &share{batch: &Batch{caller: string(rune('a' + i%5))}, flying: none}
	}
	answer := func(s *share) {
		if s.owed--; s.owed == 0 {
			c.leave(s)
		}
	}
	for range 100_000 {
		s := shares[rng.IntN(len(shares))]
		switch rng.IntN(4) {
		case 0:
			if s.owed == 0 {
				c.join(s)
			}
			s.add(make([]job, 1+rng.IntN(3)))
			c.enqueue(s)
		case 1: // as end and drop do for a batch whose context has ended
			c.dequeue(s)
			for s.startable() > 0 {
				s.next()
				answer(s)
			}
		default:
			if s := c.pick(100); s != nil {
				s.next()
				c.took(s)
				answer(s)
			}
		}
		for _, s := range shares {
			known := c.byName[s.batch.caller]
			if s.owed > 0 && (known == nil || known != s.caller || !known.turn.stands()) || s.turn.stands() != (s.owed > 0) {
				t.Fatalf("%+v of %+v", s, known)
			}
		}
	}
	for s := c.pick(100); s != nil; s = c.pick(100) {
		s.next()
		c.took(s)
		answer(s)
	}
	if len(c.byName) != 0 || c.runnable.first != nil || len(c.spare) > 5 {
		t.Errorf("%d callers left, the next is %v; %d to be used again", len(c.byName), c.runnable.first, len(c.spare))
	}
}

// TestCanceledBatchesAreLetGo: while no place is free, batches without number come, wait and are canceled; who waits on has its turn when
// a place comes.
func TestCanceledBatchesAreLetGo(t *testing.T) {
	c := callers{byName: make(map[string]*caller)}
	staying := sharesOf(&c, "name", 2, 1)
	of := staying[0].caller
	for range 10_000 {
		s := sharesOf(&c, "name", 1, 1)[0]
		if c.pick(0) != nil {
			t.Fatal("started without a place")
		}
		s.ended = errors.New("canceled") // as end and drop do
		c.dequeue(s)
		s.next()
		s.owed--
		c.leave(s)
		first, second := of.runnable.first, of.runnable.first.next
		if of.shares != 2 || first.who != staying[0] || second.who != staying[1] || second.next != first {
			t.Fatalf("%d owe an answer; first %p, then %p", of.shares, first.who, second.who)
		}
	}
	for i, want := range staying {
		if s := c.pick(100); s != want {
			t.Fatalf("start %d is not of the one who has waited longest", i)
		}
		want.next()
		c.took(want)
	}
}
