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

// address is one ip:port. Its invariant: where somebody waits, somebody holds a place, whose release ends the waiting.
// Those who wait are served first come, first served, whatever batch they are of; one who was handed a place and whose batch
// may start no more for now keeps it, so a batch that hammers an address can make others wait there, and only there.
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

// release gives a place back. It goes to the job that has waited longest, which is returned for its share to start; the place is
// kept for it. Where the address has room for more than it holds, because an EADDRNOTAVAIL had taken places away, and gave one
// back without another, a second job gets a place as well.
func (a *addresses) release(to *address) (next [2]*waiter) {
	full := to.full
	to.full = false
	switch {
	case to.first == nil:
		to.inFlight--
		a.forget(to)
	case full || to.inFlight >= a.limit:
		next[0] = to.hand()
	default:
		next[0] = to.hand()
		if to.first != nil {
			to.inFlight++
			next[1] = to.hand()
		}
	}
	return next
}

// hand takes out the job that has waited longest; there must be one.
func (to *address) hand() *waiter {
	w := to.first
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
