package shaker

// none is the index of no slot.
const none int32 = -1

// slotState says what a slot is at. A probe is queued, in flight, or done: it has a slot only while it is in flight.
//
//	vacant ─▶ flying ─▶ idle ─▶ flying …     the target answered, and the socket lives on
//	            ├─▶ vacant                   its socket was closed
//	            └─▶ doomed ─▶ vacant         its probe is over, its socket is still to be closed
type slotState uint8

const (
	vacant slotState = iota // no socket
	idle                    // a disconnected socket that may be used again, in the pool of its family
	flying                  // a socket with a probe in flight
	doomed                  // a socket that only waits to be closed
)

// slot is a place for one socket.
type slot struct {
	fd         int32
	generation uint32 // rises when the slot's socket is replaced; part of the token in its epoll registration
	state      slotState
	v6         bool
	reused     bool // the socket has had a probe before the last one that took it
	deaf       bool // the socket has the least hop count that lets no segment in
	usesLeft   uint16
	drops      uint32 // segments that the socket's TCP had dropped when it was last left

	// In flight only:
	next, prev int32 // in the share's list
	share      *share
	address    *address
	job        job
	started    int64
}

// table is the slots of one shard. It never has more than capacity, and grows to it as needed; it knows nothing of system
// calls. Its invariant: every slot is in exactly one of vacant, pools[0], pools[1], doomed and flight, or is one of those that settling counts, as its state says.
type table struct {
	capacity int
	slots    []slot
	vacant   []int32
	pools    [2][]int32 // idle slots: IPv4, IPv6
	doomed   []int32    // those that may be closed now
	settling int        // how many must wait for that
	inFlight int
}

func pool(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// free is how many more probes may be in flight.
func (t *table) free() int { return t.capacity - t.inFlight - t.dying() }

// dying is how many sockets are still to be closed.
func (t *table) dying() int { return len(t.doomed) + t.settling }

func (t *table) pooled() int { return len(t.pools[0]) + len(t.pools[1]) }

// takeIdle takes a slot with a socket of the family out of the pool, the one that pick, any number, falls on. Sockets are
// picked at random because the initial sequence number of a reused one follows from the one before. None where there is none.
func (t *table) takeIdle(v6 bool, pick uint32) int32 {
	p := &t.pools[pool(v6)]
	n := len(*p)
	if n == 0 {
		return none
	}
	k := int(uint64(pick) * uint64(n) >> 32)
	i := (*p)[k]
	(*p)[k] = (*p)[n-1]
	*p = (*p)[:n-1]
	return i
}

// takeVacant takes a slot without a socket. None where every slot has one; then, if there is room, one is idle.
func (t *table) takeVacant() int32 {
	if n := len(t.vacant); n > 0 {
		i := t.vacant[n-1]
		t.vacant = t.vacant[:n-1]
		return i
	}
	if len(t.slots) < t.capacity {
		t.slots = append(t.slots, slot{fd: -1})
		return int32(len(t.slots) - 1)
	}
	return none
}

// fly notes that a slot that was taken has a probe in flight, and links it to its share.
func (t *table) fly(i int32, s *share) {
	x := &t.slots[i]
	x.state, x.share = flying, s
	x.prev, x.next = none, s.flying
	if s.flying != none {
		t.slots[s.flying].prev = i
	}
	s.flying = i
	s.inFlight++
	s.caller.inFlight++
	t.inFlight++
}

// land is the contrary of fly. The slot must then be vacated, kept or doomed.
func (t *table) land(i int32) {
	x := &t.slots[i]
	if x.prev != none {
		t.slots[x.prev].next = x.next
	} else {
		x.share.flying = x.next
	}
	if x.next != none {
		t.slots[x.next].prev = x.prev
	}
	x.share.inFlight--
	x.share.caller.inFlight--
	x.share = nil
	t.inFlight--
}

// doom puts a slot aside whose socket is to be closed when it has settled. It keeps its place at its address.
func (t *table) doom(i int32) {
	t.slots[i].state = doomed
	t.settling++
}

// settled lets the socket of a slot that was doomed be closed.
func (t *table) settled(i int32) {
	t.settling--
	t.doomed = append(t.doomed, i)
}

// vacate gives back a slot whose socket was closed. Events of that socket that are still to be read are stale from now on.
func (t *table) vacate(i int32) {
	x := &t.slots[i]
	x.fd, x.state, x.address = -1, vacant, nil
	x.generation++
	t.vacant = append(t.vacant, i)
}

// keep puts a slot with its socket into the pool.
func (t *table) keep(i int32) {
	x := &t.slots[i]
	x.state, x.address = idle, nil
	p := pool(x.v6)
	t.pools[p] = append(t.pools[p], i)
}
