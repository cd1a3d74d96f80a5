package resolve

import (
	"container/list"
	"context"
	"fmt"
	"strings"
	"time"
)

// patience is how long a query must have been without an answer, when the last request that waited
// for it leaves, for the name and family to be remembered as silent.
const patience = 2 * time.Second

// question is what a query asks. Its family is IPv4 or IPv6.
type question struct {
	name   string
	family Family
}

// flight is one query for all requests that ask the same: under way, or finished and remembered.
//
// Package singleflight does not do this: there, one request's context would end the query of all,
// and a request could not leave.
type flight struct {
	question
	began time.Time

	done    chan struct{} // closed when the flight is finished
	outcome outcome       // set before done is closed
	ended   time.Time     // set before done is closed

	// The group's mu protects what follows.
	finished bool
	waiters  int                // requests that wait; of no meaning once finished
	cancel   context.CancelFunc // ends the query
	hasty    bool               // only lookups of both families take it: it was given up after grace
	waited   time.Duration      // how long a silence was waited for that has not ended by itself; 0: it has
	until    time.Time          // when it is forgotten, once finished
	element  *list.Element      // of cache.order, once finished
}

// isDone reports whether f is finished.
func (f *flight) isDone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// join returns the flight for q that is under way or remembered, and joins it; nil if there is
// none. g.mu must be held. Only a lookup of both families takes a hasty failure. A request that can
// wait longer than others have waited in vain asks anew.
func (g *Group) join(q question, both bool, left time.Duration) *flight {
	f := g.known.get(q)
	if f == nil || f.hasty && !both || !f.hasty && f.waited > 0 && left > f.waited {
		return nil
	}
	f.waiters++
	return f
}

// start begins a query under a place, which it holds until the resolver returns; g.mu must be held.
func (g *Group) start(q question, p *place) *flight {
	q.name = strings.Clone(q.name) // which outlives the message that it came with
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{question: q, began: time.Now(), done: make(chan struct{}), waiters: 1, cancel: cancel}
	f.outcome = outcome{state: Failed, err: fmt.Errorf("%w: the resolver did not return", ErrLookupFailed)}
	g.known.put(f)
	p.users++
	go g.fly(ctx, f, p)
	return f
}

// fly makes the query of f.
func (g *Group) fly(ctx context.Context, f *flight, p *place) {
	defer func() {
		f.cancel()
		f.ended = time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		close(f.done)
		g.known.finish(f)
		g.release(p)
	}()
	addrs, err := g.ask(ctx, f.question)
	f.outcome = outcomeOf(addrs, err, f.family)
}

// leave takes one request from a flight; g.mu must be held. If it was the last one and the query is
// under way, the query ends. late says that the request has the other family's answer and waited
// for grace.
func (g *Group) leave(f *flight, late bool) {
	f.waiters--
	if f.finished || f.waiters > 0 {
		return
	}
	f.cancel()
	g.known.drop(f)
	waited := time.Since(f.began)
	if silent := waited >= patience; late || silent {
		g.known.silence(f.question, !silent, waited)
	}
}
