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
	runnable turns[*share] // those with something to start
	turn     turn[*caller] // stands among the shard's callers as long as there are such shares
}

// callers are those of one shard that it owes answers to.
type callers struct {
	byName   map[string]*caller
	spare    []*caller
	runnable turns[*caller] // those with something to start
}

// join gives a share that begins to owe answers to its caller.
func (c *callers) join(s *share) {
	name := s.batch.caller
	of := c.byName[name]
	if of == nil {
		if n := len(c.spare); n > 0 {
			of, c.spare = c.spare[n-1], c.spare[:n-1]
		} else {
			of = new(caller)
		}
		of.name = name
		c.byName[name] = of
	}
	of.shares++
	s.caller = of
}

// leave takes a share from its caller that owes no answer any more, and forgets a caller of whom nothing is left.
func (c *callers) leave(s *share) {
	of := s.caller
	s.caller = nil
	if of.shares--; of.shares == 0 {
		delete(c.byName, of.name)
		*of = caller{}
		c.spare = append(c.spare, of)
	}
}

// enqueue puts a share that has got something to start where its turn will come, unless it has ended.
func (c *callers) enqueue(s *share) {
	if s.turn.stands() || s.ended != nil {
		return
	}
	s.caller.runnable.join(&s.turn, s)
	if !s.caller.turn.stands() {
		c.runnable.join(&s.caller.turn, s.caller)
	}
}

// dequeue takes out a share that has nothing to start any more, or may not.
func (c *callers) dequeue(s *share) {
	if !s.turn.stands() {
		return
	}
	s.caller.runnable.leave(&s.turn)
	if s.caller.runnable.first == nil {
		c.runnable.leave(&s.caller.turn)
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

// pick returns the share whose turn it is, of the caller whose turn it is; nil where nothing can be started now. Those that have their
// part of the places, of which so many are free, it passes over; each of them has something in flight, so they are fewer than there
// are places.
func (c *callers) pick(free int) *share {
	if free <= 0 || c.runnable.first == nil {
		return nil
	}
	for first := c.runnable.first; ; {
		of := c.runnable.first.who
		if within(callerShare, of.inFlight, free) {
			if s := of.pick(free); s != nil {
				return s
			}
		}
		if c.runnable.pass(); c.runnable.first == first {
			return nil
		}
	}
}

// pick returns the share whose turn it is; nil where all have their part.
func (of *caller) pick(free int) *share {
	for first := of.runnable.first; ; {
		s := of.runnable.first.who
		if within(batchShare, s.inFlight, free) {
			return s
		}
		if of.runnable.pass(); of.runnable.first == first {
			return nil
		}
	}
}

// took is called when a job was taken from the share that pick returned: its turn is over, and its caller's.
func (c *callers) took(s *share) {
	of := s.caller
	if s.startable() > 0 {
		of.runnable.pass()
	} else {
		c.dequeue(s) // and with its last share the caller
	}
	if of.turn.stands() {
		c.runnable.pass()
	}
}
