package resolve

import (
	"container/list"
	"fmt"
	"time"
)

const (
	// keepSilence is how long a name and family are remembered that gave no answer.
	keepSilence = 10 * time.Second

	// maxWeight bounds what is remembered: some 15,000 answers, or fewer with many addresses. A
	// unit is an address of 24 bytes.
	maxWeight = 1 << 18
	// baseWeight is the weight of a flight without its addresses: some 350 bytes, the name
	// included.
	baseWeight = 16
)

// cache holds the flights that are under way, and those that are finished and remembered. The
// group's mu protects it. Those under way are as many as places allow.
type cache struct {
	keep, keepFailures time.Duration // 0: not at all

	flights map[question]*flight
	order   list.List // of those that are finished, the one remembered first at the front
	weight  int       // of those that are finished
}

// get returns the flight for q. It is nil without one, and after its time.
func (c *cache) get(q question) *flight {
	f := c.flights[q]
	if f == nil {
		return nil
	}
	if f.finished && !time.Now().Before(f.until) {
		c.drop(f)
		return nil
	}
	return f
}

// put takes in a flight that begins, in the place of one that is remembered.
func (c *cache) put(f *flight) {
	if old := c.flights[f.question]; old != nil {
		c.drop(old)
	}
	c.flights[f.question] = f
}

// drop forgets f.
func (c *cache) drop(f *flight) {
	if c.flights[f.question] != f {
		return
	}
	delete(c.flights, f.question)
	if f.element != nil {
		c.order.Remove(f.element)
		c.weight -= f.weight()
	}
}

// finish remembers f, whose outcome is there, or forgets it. It does nothing if f was dropped.
func (c *cache) finish(f *flight) {
	f.finished = true
	if c.flights[f.question] != f {
		return
	}
	keep := c.keepFor(f.outcome.state)
	if keep == 0 {
		c.drop(f)
		return
	}
	f.until = time.Now().Add(keep)
	f.element = c.order.PushBack(f)
	c.weight += f.weight()
	for c.weight > maxWeight {
		c.drop(c.order.Front().Value.(*flight))
	}
}

// silence remembers that q got no answer, for as long as some request has waited.
func (c *cache) silence(q question, hasty bool, waited time.Duration) {
	f := &flight{question: q, done: make(chan struct{}), hasty: hasty, waited: waited, ended: time.Now()}
	f.outcome = outcome{state: NoAnswer, err: fmt.Errorf("%w: no answer in time", ErrLookupFailed)}
	close(f.done)
	c.put(f)
	c.finish(f)
}

func (c *cache) keepFor(s State) time.Duration {
	switch {
	case s.Known():
		return c.keep
	case s == NoAnswer && c.keepFailures > 0:
		return keepSilence
	default:
		return c.keepFailures
	}
}

func (f *flight) weight() int { return baseWeight + cap(f.outcome.addrs) }
