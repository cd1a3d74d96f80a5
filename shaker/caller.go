package shaker

// caller is one of those who share the engine, and what one shard has to do for them. It belongs to the shard's loop.
//
// Loops serve callers in turn, and the batches of each caller in turn: whoever has a million probes waiting, in as many batches as
// they like, gets one started, and then whoever has one. Where probes wait for a place at one address, callers have their turns
// as well, see address.
type caller struct {
	name     string
	shares   int           // those that owe an answer
	inFlight int           // probes of all of them
	runnable queue[*share] // those with something to start, in turn, and some that had
	queued   bool          // stands in the shard's queue of callers with something to start
}

// callers are those of one shard that it has, or lately had, something to do for.
type callers struct {
	byName   map[string]*caller
	runnable queue[*caller] // those with something to start, in turn, and some that had
}

// join gives a share that begins to owe answers to its caller.
func (c *callers) join(s *share) {
	name := s.batch.caller
	of := c.byName[name]
	if of == nil {
		of = &caller{name: name}
		c.byName[name] = of
	}
	of.shares++
	s.caller = of
}

// leave takes a share from its caller that owes no answer any more.
func (c *callers) leave(s *share) {
	s.caller.shares--
	s.caller.tidy()
	c.forget(s.caller)
}

// staleShares is how many shares with nothing to start may stand in a caller's queue, beside as many as owe an answer.
const staleShares = 16

// tidy takes them out where they are many. Otherwise their turns come only as places become free: where that takes as long as silence
// does, each batch that comes, waits and is canceled would be held there.
func (of *caller) tidy() {
	if of.runnable.len() <= 2*of.shares+staleShares {
		return
	}
	for range of.runnable.len() {
		if s := of.runnable.pop(); s.ended == nil && s.startable() > 0 {
			of.runnable.push(s)
		} else {
			s.runnable = false
		}
	}
}

// forget drops a caller of whom nothing is left. One that stands in the queue is kept until it comes to the front, as stale shares may
// still stand in its own.
func (c *callers) forget(of *caller) {
	if of.shares == 0 && !of.queued {
		delete(c.byName, of.name)
	}
}

// enqueue puts a share with something to start where its turn will come.
func (c *callers) enqueue(s *share) {
	if !s.runnable {
		s.runnable = true
		s.caller.runnable.push(s)
	}
	if !s.caller.queued {
		s.caller.queued = true
		c.runnable.push(s.caller)
	}
}

// What may be in flight, as a multiple of the places that are free. However much one batch wants, it leaves a ninth of the places
// to others, and however many batches one caller has, they leave a seventeenth to other callers; two such callers leave a
// thirty-third. The last place is kept for a caller that has none: so of two or more places no single caller holds all,
// but many together can, and then a newcomer waits for the first of their probes to end.
const (
	batchShare  = 8
	callerShare = 16
)

// within reports whether one more may be in flight where there are so many, and so many places are free, at least one.
func within(share, inFlight, free int) bool {
	return inFlight == 0 || inFlight < share*free && free > 1
}

// pick brings the share whose turn it is to the front of its caller's queue, and that caller to the front of theirs; nil where
// nothing can be started now, or where it has passed over as many stale shares as it may. Those that have their part of the places,
// of which so many are free, it passes over as well; each of them has something in flight, so they are fewer than there are places.
func (c *callers) pick(free int, stale *int) *share {
	if free <= 0 {
		return nil
	}
	for n := c.runnable.len(); n > 0 && *stale > 0; n-- {
		of := *c.runnable.front()
		if within(callerShare, of.inFlight, free) {
			if s := of.pick(free, stale); s != nil {
				return s
			}
		}
		c.runnable.pop()
		if of.queued = of.runnable.len() > 0; of.queued {
			c.runnable.push(of)
		} else {
			c.forget(of)
		}
	}
	return nil
}

func (of *caller) pick(free int, stale *int) *share {
	for n := of.runnable.len(); n > 0 && *stale > 0; n-- {
		s := *of.runnable.front()
		switch {
		case s.ended != nil || s.startable() == 0:
			s.runnable = false
			of.runnable.pop()
			*stale--
		case within(batchShare, s.inFlight, free):
			return s
		default:
			of.runnable.push(of.runnable.pop())
		}
	}
	return nil
}

// took is called when a job was taken from the share that pick returned: its turn is over, and its caller's.
func (c *callers) took(s *share) {
	of := s.caller
	of.runnable.pop()
	if s.runnable = s.startable() > 0; s.runnable {
		of.runnable.push(s)
	}
	c.runnable.pop()
	if of.queued = of.runnable.len() > 0; of.queued {
		c.runnable.push(of)
	}
}
