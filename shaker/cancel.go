package shaker

import (
	"slices"
	"sync"
)

// mostLooked bounds how many batches a cancel looks at, those that were opened last.
const mostLooked = 1024

// cancels reports the ends of contexts to the shards, one batch after another, in the order of the
// cancels.
//
// A context that ends starts a goroutine for each of its batches. If many end in a row, the scheduler
// runs the goroutine that was started last before all others, and the others in their order. So a
// goroutine that comes first, while other contexts have ended as well, waits for theirs. It holds
// nobody up, and no goroutine: the last of the others reports its batch.
type cancels struct {
	mu      sync.Mutex    // protects what follows, and the age and awaited of each batch
	open    turns[*Batch] // batches whose contexts can end, oldest first
	held    *Batch        // came first, and waits for others; nil: there is none
	awaited int           // for so many
	ended   []*Batch      // to be reported, in this order
	at      bool          // a goroutine is at that
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
	if b.age.stands() && c.forget(b) && !c.at {
		go c.tell()
	}
}

// report is called when the context of b has ended, and reports that, unless b was reported before
// or is over.
func (c *cancels) report(b *Batch) {
	c.mu.Lock()
	c.arrive(b)
	c.mu.Unlock()
	c.tell()
}

// tell reports what is to be reported, unless another goroutine is at that.
func (c *cancels) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at {
		return
	}
	c.at = true
	for len(c.ended) > 0 {
		now := c.ended
		c.ended = nil
		c.mu.Unlock()
		for _, b := range now {
			b.end()
		}
		c.mu.Lock()
	}
	c.at = false
}

// arrive adds to ended: b, unless it is to wait, and the batch that has waited for b and for no other.
func (c *cancels) arrive(b *Batch) {
	if !b.age.stands() {
		return
	}
	at := len(c.ended)
	first := c.held == nil
	c.forget(b)
	if first && c.await(b) {
		return
	}
	c.ended = slices.Insert(c.ended, at, b)
}

// forget takes b out. If a batch has waited for b and for no other, forget adds that one to ended, and
// reports true.
func (c *cancels) forget(b *Batch) bool {
	c.open.leave(&b.age)
	if !b.awaited {
		return false
	}
	b.awaited = false
	if c.awaited--; c.awaited > 0 {
		return false
	}
	c.ended = append(c.ended, c.held)
	c.held = nil
	return true
}

// await has b wait for those of the youngest batches whose contexts have ended too. It reports
// whether there are any.
func (c *cancels) await(b *Batch) bool {
	if c.open.first == nil {
		return false
	}
	at := c.open.first.prev
	for range mostLooked {
		if at.who.ctx.Err() != nil {
			at.who.awaited = true
			c.awaited++
		}
		if at == c.open.first {
			break
		}
		at = at.prev
	}
	if c.awaited > 0 {
		c.held = b
	}
	return c.awaited > 0
}
