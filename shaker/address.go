package shaker

import "net/netip"

// addresses counts the probes in flight to each ip:port and keeps those waiting that would be too many.
//
// At most limit are in flight to one, for two reasons. Our own load must not fill the queue of a
// listener, which would drop SYNs. And a connect(2) gets slow when most source ports toward its
// address are taken, 0.4 to 11 ms above half of them, and fails with EADDRNOTAVAIL at 1 to 2 ms a
// try when all are: enough of those in one turn would break the silence of every handshake in the
// shard. After an EADDRNOTAVAIL nothing more starts there until one of them has ended.
type addresses struct {
	limit        int
	byAddr       map[netip.AddrPort]*address
	spare        spares[address]
	spareWaiters spares[waiter]
	spareLines   spares[line]
}

// address is one ip:port. Its invariant: where somebody waits, somebody holds a place, whose release ends the waiting.
// Callers are served in turn there too, and each caller's jobs in the order in which they came. One who was handed a place and whose
// batch may start no more for now keeps it, so a caller who hammers an address can make others wait there for one of its probes to
// end, and only there.
type address struct {
	among    *addresses
	key      netip.AddrPort
	inFlight int // probes in flight, and those on their way there from waiting
	full     bool
	waiting  int // in all lines

	lines turns[*line]
	of    map[*caller]*line
}

// line is those jobs of one caller that wait for a place at one address, oldest first; it is there as long as there are some.
type line struct {
	caller      *caller
	first, last *waiter
	turn        turn[*line]
}

// waiter is a job that waits for a place at its address. It is linked in its line, and stands in share.parked at index.
type waiter struct {
	job        job
	share      *share
	address    *address
	line       *line
	prev, next *waiter
	index      int
}

// free makes w another job's, once it has left its line and its share.
func (w *waiter) free() {
	a := w.address.among
	*w = waiter{}
	a.spareWaiters.keep(w)
}

func newAddresses(limit int) addresses {
	return addresses{limit: limit, byAddr: make(map[netip.AddrPort]*address)}
}

// claim takes a place at key. Without room it returns the address all the same, and false.
func (a *addresses) claim(key netip.AddrPort) (*address, bool) {
	to := a.byAddr[key]
	if to == nil {
		to = a.spare.take()
		to.among, to.key = a, key
		a.byAddr[key] = to
	}
	if to.full || to.inFlight >= a.limit || to.waiting > 0 {
		return to, false
	}
	to.inFlight++
	return to, true
}

// release gives a place back. It goes to the job whose turn it is, which is returned for its share to start; the place is
// kept for it. Where the address has room for more than it holds, because an EADDRNOTAVAIL had taken places away, and gave one
// back without another, a second job gets a place as well.
func (a *addresses) release(to *address) (next [2]*waiter) {
	full := to.full
	to.full = false
	switch {
	case to.waiting == 0:
		to.inFlight--
		a.forget(to)
	case full || to.inFlight >= a.limit:
		next[0] = to.hand()
	default:
		next[0] = to.hand()
		if to.waiting > 0 {
			to.inFlight++
			next[1] = to.hand()
		}
	}
	return next
}

// hand takes out the job whose turn it is, the oldest of the next caller; there must be one.
func (to *address) hand() *waiter {
	w := to.lines.first.who.first
	to.lines.pass()
	w.leave()
	return w
}

// exhausted notes that the kernel had no source port left toward an address, for the probe that holds a place there. It reports
// whether waiting helps: whether somebody else holds a place there too, and will give it back. Then the probe's place is
// taken from it. If not, nothing has changed, and the place has to be released as after any failure.
func (a *addresses) exhausted(to *address) bool {
	if to.inFlight == 1 {
		return false
	}
	to.inFlight--
	to.full = true
	return true
}

// forget drops an address that nobody is in flight to or waits for.
func (a *addresses) forget(to *address) {
	if to.inFlight > 0 || to.waiting > 0 {
		return
	}
	delete(a.byAddr, to.key)
	*to = address{of: to.of} // the map is empty
	a.spare.keep(to)
}

// park makes a job wait at an address for a place.
func (to *address) park(j job, s *share) {
	l := to.lineOf(s.caller)
	w := to.among.spareWaiters.take()
	*w = waiter{job: j, share: s, address: to, line: l, prev: l.last, index: len(s.parked)}
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	to.waiting++
	s.parked = append(s.parked, w)
}

// lineOf returns the line of a caller. A new one has its turn after all that are there.
func (to *address) lineOf(c *caller) *line {
	l := to.of[c]
	if l != nil {
		return l
	}
	l = to.among.spareLines.take()
	l.caller = c
	if to.of == nil {
		to.of = make(map[*caller]*line)
	}
	to.of[c] = l
	to.lines.join(&l.turn, l)
	return l
}

// leave takes a waiter out of its line and its share's list.
func (w *waiter) leave() {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		w.line.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		w.line.last = w.prev
	}
	w.prev, w.next = nil, nil
	w.address.waiting--
	if w.line.first == nil {
		w.address.lines.leave(&w.line.turn)
		delete(w.address.of, w.line.caller)
		*w.line = line{}
		w.address.among.spareLines.keep(w.line)
		w.line = nil
	}

	parked := w.share.parked
	last := len(parked) - 1
	parked[w.index] = parked[last]
	parked[w.index].index = w.index
	parked[last] = nil
	w.share.parked = parked[:last]
}
