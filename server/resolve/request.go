package resolve

import (
	"context"
	"math"
	"sync"
	"time"
)

// Request makes the lookups of one RPC. Make one with Group.Request. It is safe for concurrent use,
// though an RPC will mostly use it from its one loop.
type Request struct {
	ctx     context.Context
	group   *Group
	answers chan Answer

	mu    sync.Mutex
	open  map[asked]*lookup // mu protects; asked for, and not yet answered by the resolver
	turns turns             // mu protects; those of open that have not begun, and what runs

	running int // the group's mu protects; places that the request has
}

// asked is what two calls of Lookup must have in common to share a lookup.
type asked struct {
	name   string
	family Family
}

type lookup struct {
	asked
	zone    *zone    // set while it waits for its turn, and while it runs
	waiters []uint32 // the request's mu protects them until the lookup leaves open
}

// Request returns a Request that works until ctx ends. ctx has to end sooner or later: that ends
// the Request's goroutines if nobody receives its answers any more.
func (g *Group) Request(ctx context.Context) *Request {
	return &Request{
		ctx: ctx, group: g,
		answers: make(chan Answer),
		open:    make(map[asked]*lookup),
		turns:   turns{slots: g.perRequest, zones: make(map[string]*zone)},
	}
}

// Lookup asks for the addresses of name, a name as target.Parse gives it, without a final dot. id
// comes back in the Answer; it need not be unique. If a lookup of the same name and family is under
// way or waiting in this Request, id joins its waiters. Lookup never blocks. After ctx ended it
// does nothing.
func (r *Request) Lookup(name string, family Family, id uint32) {
	if r.ctx.Err() != nil {
		return
	}
	q := asked{name, family}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.open[q]; l != nil {
		l.waiters = append(l.waiters, id)
		return
	}
	l := &lookup{asked: q, waiters: []uint32{id}}
	r.open[q] = l
	r.turns.push(l)
	r.begin()
}

// Answers gives the answers in the order in which they are found. It is never closed. Receive until
// every id has come back or ctx has ended; after that an answer may still come, or not.
func (r *Request) Answers() <-chan Answer { return r.answers }

// begin starts all lookups whose turn it is; r.mu must be held.
func (r *Request) begin() {
	for l := r.turns.pop(); l != nil; l = r.turns.pop() {
		go r.work(l)
	}
}

// work makes one lookup, delivers its answer, and starts what may begin after it.
func (r *Request) work(l *lookup) {
	answer := r.group.lookup(r, l.name, l.family)
	answer.Waiters = r.settle(l)
	select {
	case r.answers <- answer:
	case <-r.ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns.done(l)
	if r.ctx.Err() == nil {
		r.begin()
	}
}

// settle returns the ids of all calls that asked for l. No call can join any more.
func (r *Request) settle(l *lookup) []uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, l.asked)
	return l.waiters
}

// left is how long the request can wait.
func (r *Request) left() time.Duration {
	if deadline, ok := r.ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return math.MaxInt64
}
