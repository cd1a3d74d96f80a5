package shaker

import (
	"slices"
	"sync"
)

// mostPassed bounds how many older batches a cancel looks at whose contexts have not ended.
const mostPassed = 16

// cancels reports the ends of contexts to the shards, one batch after another, in the order of the
// cancels.
//
// A context that ends starts a goroutine for each of its batches, and the scheduler runs these
// goroutines in another order: of sixty cancels in a row, it runs the last one first. So each
// goroutine reports older batches that were canceled as well before its own. Of contexts that end
// before any of their goroutines runs, the oldest batch therefore comes first.
type cancels struct {
	reporting sync.Mutex // held while ends are reported, so that one batch comes after another

	mu   sync.Mutex    // protects what follows, and the age of each batch
	open turns[*Batch] // batches whose contexts can end, oldest first
}

func (c *cancels) join(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open.join(&b.age, b)
}

// leave forgets a batch that is over. It does nothing if the batch was forgotten before.
func (c *cancels) leave(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.age.stands() {
		c.open.leave(&b.age)
	}
}

// report is called when the context of b has ended, and reports that, unless b was reported before
// or is over.
func (c *cancels) report(b *Batch) {
	c.reporting.Lock()
	defer c.reporting.Unlock()
	for _, ended := range c.take(b) {
		ended.end()
	}
}

// take takes out b, and before it older batches whose contexts have ended.
func (c *cancels) take(b *Batch) []*Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !b.age.stands() {
		return nil
	}
	taken := []*Batch{b}
	passed := 0
	for at := &b.age; at != c.open.first && passed < mostPassed; {
		if at = at.prev; at.who.ctx.Err() != nil {
			taken = append(taken, at.who)
		} else {
			passed++
		}
	}
	for _, b := range taken {
		c.open.leave(&b.age)
	}
	slices.Reverse(taken)
	return taken
}
