package resolve

import (
	"context"
	"sync"
)

// Request makes the lookups of one RPC. Make one with Group.Request. Safe for concurrent use, though an RPC will mostly
// use it from its one loop.
type Request struct {
	ctx     context.Context
	group   *Group
	answers chan Answer

	mu      sync.Mutex
	open    map[question]*lookup // mu protects; asked for, and not yet answered by the resolver
	queue   []*lookup            // mu protects; those of open that no worker has taken, oldest first
	workers int                  // mu protects; goroutines in work
	running int                  // the group's mu protects; lookups that have a place
}

// question is what two who ask must have in common to share a lookup.
type question struct {
	name   string
	family Family
}

type lookup struct {
	question
	waiters []uint32 // the request's mu protects them until the lookup leaves open
}

// Request returns a Request that works until ctx ends, as it has to, sooner or later: that is what ends its goroutines where
// nobody receives its answers any more.
func (g *Group) Request(ctx context.Context) *Request {
	return &Request{ctx: ctx, group: g, answers: make(chan Answer), open: make(map[question]*lookup)}
}

// Lookup asks for the addresses of name, a name as target.Parse gives it, without a final dot. id comes back in the
// Answer; it need not be unique. Where a lookup of the same name and family is under way or waiting, id joins its
// waiters. Lookup never blocks. After ctx ended it does nothing.
func (r *Request) Lookup(name string, family Family, id uint32) {
	if r.ctx.Err() != nil {
		return
	}
	q := question{name, family}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.open[q]; l != nil {
		l.waiters = append(l.waiters, id)
		return
	}
	l := &lookup{question: q, waiters: []uint32{id}}
	r.open[q] = l
	r.queue = append(r.queue, l)
	if r.workers < r.group.perRequest {
		r.workers++
		go r.work()
	}
}

// Answers gives the answers in the order in which they are found. It is never closed. Receive until every id has come back
// or ctx has ended; after that an answer may still come, or not.
func (r *Request) Answers() <-chan Answer { return r.answers }

// work makes the lookups of the queue until it is empty or the context ends.
func (r *Request) work() {
	for {
		l := r.take()
		if l == nil {
			return
		}
		addrs, err := r.group.lookup(r, l.name, l.family)
		answer := Answer{Name: l.name, Family: l.family, Waiters: r.settle(l), Addrs: addrs, Err: err}
		select {
		case r.answers <- answer:
		case <-r.ctx.Done():
		}
	}
}

// take returns the oldest lookup that waits; nil where the calling worker is to end, which then is no longer counted.
func (r *Request) take() *lookup {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 || r.ctx.Err() != nil {
		r.workers--
		return nil
	}
	l := r.queue[0]
	r.queue[0] = nil // the array lives on; the lookup need not
	r.queue = r.queue[1:]
	return l
}

// settle returns all who asked for l, and lets nobody join any more.
func (r *Request) settle(l *lookup) []uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, l.question)
	return l.waiters
}
