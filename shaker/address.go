package shaker

import "net/netip"

// addresses counts the probes in flight to each ip:port and keeps those waiting that would be too many.
//
// A connect(2) gets slow when most source ports toward its address are taken, 0.4 to 11 ms above half of them, and fails
// with EADDRNOTAVAIL at 1 to 2 ms a try when all are: enough of those in one turn would break the silence of every handshake
// in the shard. So at most limit are in flight to one, and after an EADDRNOTAVAIL nothing more starts there until one of them
// has ended.
type addresses struct {
	limit  int
	byAddr map[netip.AddrPort]*address
	spare  []*address
}

// address is one ip:port with a probe in flight or waiting.
type address struct {
	key         netip.AddrPort
	inFlight    int // probes in flight, and those on their way there from waiting
	full        bool
	first, last *waiter
}

// waiter is a job that waits for a place at its address. It is linked in the address's list, oldest first, and stands in
// share.parked at index.
type waiter struct {
	job        job
	share      *share
	address    *address
	prev, next *waiter
	index      int
}

func newAddresses(limit int) addresses {
	return addresses{limit: limit, byAddr: make(map[netip.AddrPort]*address)}
}

// claim takes a place at key. Without room it returns the address all the same, and false.
func (a *addresses) claim(key netip.AddrPort) (*address, bool) {
	to := a.byAddr[key]
	if to == nil {
		if n := len(a.spare); n > 0 {
			to, a.spare = a.spare[n-1], a.spare[:n-1]
		} else {
			to = new(address)
		}
		to.key = key
		a.byAddr[key] = to
	}
	if to.full || to.inFlight >= a.limit || to.first != nil {
		return to, false
	}
	to.inFlight++
	return to, true
}

// release gives a place back. It goes to the job that has waited longest, which is returned for its share to start; the
// place is kept for it.
func (a *addresses) release(to *address) *waiter {
	to.full = false
	if w := to.first; w != nil && to.inFlight <= a.limit {
		w.leave()
		return w
	}
	to.inFlight--
	a.forget(to)
	return nil
}

// exhausted notes that the kernel had no source port left toward an address, for the probe that held a place there, and
// takes the place back. It reports whether waiting helps: whether one of our own is in flight there and will end.
func (a *addresses) exhausted(to *address) bool {
	to.inFlight--
	to.full = to.inFlight > 0
	if !to.full {
		a.forget(to)
	}
	return to.full
}

// forget drops an address that nobody is in flight to or waits for.
func (a *addresses) forget(to *address) {
	if to.inFlight > 0 || to.first != nil {
		return
	}
	delete(a.byAddr, to.key)
	*to = address{}
	a.spare = append(a.spare, to)
}

// park makes a job wait at an address for a place.
func (to *address) park(j job, s *share) {
	w := &waiter{job: j, share: s, address: to, prev: to.last, index: len(s.parked)}
	if to.last != nil {
		to.last.next = w
	} else {
		to.first = w
	}
	to.last = w
	s.parked = append(s.parked, w)
}

// leave takes a waiter out of its address's list and its share's.
func (w *waiter) leave() {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		w.address.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		w.address.last = w.prev
	}
	w.prev, w.next = nil, nil

	parked := w.share.parked
	last := len(parked) - 1
	parked[w.index] = parked[last]
	parked[w.index].index = w.index
	parked[last] = nil
	w.share.parked = parked[:last]
}
