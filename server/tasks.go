package server

import (
	"net/netip"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// maxAddresses is how many addresses of a name are probed, in the resolver's order. All that there are, are judged.
const maxAddresses = 16

// address is one address of a target under way. Its handshakes fold into one finding, the heaviest
// (see class).
type address struct {
	addr   netip.AddrPort
	reason tcpshakerv1.Reason // the finding so far; unspecified before the first
	closed bool               // no handshake is under way and none follows: the finding stands

	begun uint8 // handshakes given to the engine
	ended uint8 // of them, those that gave their result
	sent  uint8 // of those, the ones whose SYN left
	whole uint8 // of those that ended, the ones that were not cut off
	quiet uint8 // of those that ended, the ones that met silence

	best    shaker.Result // what brought the finding; zero where no handshake did
	timeout time.Duration // of that handshake
}

// meet folds the result of one handshake in, whose timeout is given, and returns its class.
func (a *address) meet(r *shaker.Result, timeout time.Duration) class {
	a.ended++
	if r.Sent() {
		a.sent++
	}
	if r.Outcome != shaker.Canceled {
		a.whole++
	}
	reason := reasonOf(r)
	if heavier(reason, a.reason) {
		a.reason, a.best, a.timeout = reason, *r, timeout
	}
	brought := classOf(reason)
	if brought == classSilence {
		a.quiet++
	}
	return brought
}

// charged counts the handshakes that the caller pays for: those begun, without those that ended
// before a SYN was sent.
func (a *address) charged() int { return int(a.begun) - int(a.ended-a.sent) }

// waits reports whether an attempt with a is scheduled and not begun.
func (a *address) waits(o *options) bool {
	return !a.closed && int(a.begun) < o.attempts && (o.exhaustive || a.ended == a.begun)
}

// cut folds in that handshakes which were asked for are not begun, because the RPC's time is over.
func (a *address) cut() {
	if heavier(cutOff, a.reason) {
		a.reason, a.best, a.timeout = cutOff, shaker.Result{}, 0
	}
	a.closed = a.ended == a.begun
}

// task is a target under way, from being read until its last handshake ended. It is decided once: then its result has been
// written, and it only waits for the handshakes that it still has in the engine, so that they count as outstanding.
//
//	taken ──▶ looking up ──▶ probing ──▶ decided, probing ──▶ free
//	  └──────────┴──────────────┴────────────▲ with nothing in flight: free at once
type task struct {
	place uint32 // in its slab; for life

	index   uint64
	text    string
	options *options
	port    uint16

	view     *access.View // what its caller was allowed, and charged under
	charged  int          // handshakes charged to its caller, and not refunded
	looked   bool         // its name was looked up
	destined bool         // its addresses are charged with its attempts

	addresses []address   // empty until they are known, and allowed
	given     []handshake // what each handshake was given to the engine with; see handshakeAt
	rounds    int         // with exhaustive: attempts begun, each with all addresses
	inFlight  int         // handshakes begun and not ended
	decided   bool

	unknown finding // of a name: counts as one more address; see conclude. No reason: there is none
	note    string  // of a name: what detail says besides, unless the verdict is REACHABLE

	completed  uint32        // handshakes answered with a SYN-ACK
	attempted  uint32        // handshakes whose SYN left
	first      time.Duration // when the first SYN left, where attempted is not 0
	last       time.Duration // when the last handshake so far ended
	handshakes []*tcpshakerv1.Handshake

	// Room for the ordinary target, one address and one attempt, so that it needs no allocation of its own.
	oneAddress [1]address
	oneGiven   [1]handshake
}

// handshake is what a task remembers of a handshake that it has given to the engine.
type handshake struct {
	added   time.Duration // when, on the session's clock
	timeout time.Duration
}

// setAddresses says which addresses are to be probed; at least one, at most maxAddresses.
func (t *task) setAddresses(addrs []netip.Addr, port uint16) {
	t.addresses = t.oneAddress[:]
	if len(addrs) > 1 {
		t.addresses = make([]address, len(addrs))
	}
	for i, addr := range addrs {
		t.addresses[i].addr = netip.AddrPortFrom(addr, port)
	}
	t.given = t.oneGiven[:]
	if n := len(addrs) * t.options.attempts; n > 1 {
		t.given = make([]handshake, n)
	}
}

// handshakeAt is the place in given of a handshake, of which each address has at most options.attempts.
func (t *task) handshakeAt(address, attempt int) *handshake {
	return &t.given[address*t.options.attempts+attempt]
}

// account takes a result into the figures of the target. The engine's own clock readings are used, relative to when the
// probe was given to it, so that results which waited for a slow reader do not seem slow themselves.
func (t *task) account(r *shaker.Result, added time.Duration) {
	syn := added + r.Queued
	t.last = max(t.last, syn+r.Elapsed)
	if r.Sent() {
		if t.attempted == 0 || syn < t.first {
			t.first = syn
		}
		t.attempted++
	}
	if r.Outcome == shaker.Open {
		t.completed++
	}
	if t.options.evidence {
		t.handshakes = append(t.handshakes, newHandshake(r))
	}
}

// elapsed is the time from the first SYN to the decision; 0 where no SYN was sent.
func (t *task) elapsed() time.Duration {
	if t.attempted == 0 {
		return 0
	}
	return t.last - t.first
}

// probeID tells where a result belongs. The engine echoes it.
func probeID(place uint32, address, attempt int) uint64 {
	return uint64(place)<<16 | uint64(address)<<8 | uint64(attempt)
}

func splitProbeID(id uint64) (place uint32, address, attempt int) {
	return uint32(id >> 16), int(id >> 8 & 0xff), int(id & 0xff)
}

// slab keeps the tasks of one RPC at places that stay theirs, and hands places out again that were freed. Tasks are made
// in runs as long as the messages they come from, and never moved, so pointers to them hold.
type slab struct {
	tasks []*task
	free  []uint32
	used  int // tasks taken and not put back: what counts as outstanding
}

// slabRun is how many tasks are made at a time at most, some 100 KB.
const slabRun = 256

// reserve makes room for n tasks, or for some of them: take calls it again.
func (s *slab) reserve(n int) {
	run := make([]task, min(n, slabRun))
	for i := range run {
		run[i].place = uint32(len(s.tasks))
		s.tasks = append(s.tasks, &run[i])
		s.free = append(s.free, run[i].place)
	}
}

// take returns an empty task; expected is how many more will be asked for, this one included.
func (s *slab) take(expected int) *task {
	if len(s.free) == 0 {
		s.reserve(expected)
	}
	last := len(s.free) - 1
	t := s.tasks[s.free[last]]
	s.free = s.free[:last]
	s.used++
	return t
}

// put gives a task back, of which nothing may come any more. It drops all references, so that a stream does not hold on to
// what it has answered.
func (s *slab) put(t *task) {
	*t = task{place: t.place}
	s.free = append(s.free, t.place)
	s.used--
}
