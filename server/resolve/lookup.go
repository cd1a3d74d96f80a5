package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// grace is how long the addresses of one family wait for the answer about the other. An answer
// without addresses waits for patience: there is nothing to use yet.
const grace = 300 * time.Millisecond

// half is one family of a lookup.
type half struct {
	question
	flight *flight // nil before it is found or started, and for a family that is not asked for
	late   bool    // it was given up after grace
}

// lookup looks a name up for a request: it takes what is known, joins what is under way, and makes
// the rest of the queries. It fills in all of the Answer but its Waiters.
func (g *Group) lookup(r *Request, name string, family Family) Answer {
	answer := Answer{Name: name, Family: family}
	var room [2]half
	halves := room[:0]
	for _, one := range [...]Family{IPv4, IPv6} {
		if family == Any || family == one {
			halves = append(halves, half{question: question{name, one}})
		}
	}
	defer g.leaveAll(halves)
	left := r.left()
	if !g.findAll(halves, left) && !g.startAll(r, halves, left) || !wait(r.ctx, halves) {
		answer.Err = endedError(r.ctx)
		return answer
	}
	g.fill(&answer, halves)
	return answer
}

// findAll looks for flights to join, and reports whether every half has one. left is how long the
// request can wait.
func (g *Group) findAll(halves []half, left time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.find(halves, left)
}

// find is findAll while g.mu is held.
func (g *Group) find(halves []half, left time.Duration) bool {
	all := true
	for i := range halves {
		h := &halves[i]
		if h.flight == nil {
			h.flight = g.join(h.question, len(halves) > 1, left)
		}
		all = all && h.flight != nil
	}
	return all
}

// startAll gets a place and starts the queries that nobody else has started by then. It returns
// false if the request's context ends first.
func (g *Group) startAll(r *Request, halves []half, left time.Duration) bool {
	p := g.enter(r)
	if p == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.find(halves, left)
	for i := range halves {
		if h := &halves[i]; h.flight == nil {
			h.flight = g.start(h.question, p)
		}
	}
	g.release(p) // the queries hold it on
	return true
}

// wait waits until every half is finished, or one has an answer and grace, or patience, is over for
// the other. It returns false if ctx ends first.
//
// Grace runs from the moment at which one family had its answer and the other was asked. So time
// spent in waiting for a place is not taken for silence.
func wait(ctx context.Context, halves []half) bool {
	first, second := &halves[0], &halves[len(halves)-1]
	select {
	case <-first.flight.done:
	case <-second.flight.done:
		first, second = second, first
	case <-ctx.Done():
		return false
	}
	var over <-chan time.Time // never, if the first one brought no answer to use
	if first.flight.outcome.state.Known() {
		from := first.flight.ended
		if second.flight.began.After(from) {
			from = second.flight.began
		}
		most := grace
		if first.flight.outcome.state == NotFound {
			most = patience
		}
		timer := time.NewTimer(time.Until(from.Add(most)))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-second.flight.done:
	case <-over:
		second.late = !second.flight.isDone()
	case <-ctx.Done():
		return false
	}
	return true
}

// leaveAll leaves the flights of halves.
func (g *Group) leaveAll(halves []half) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range halves {
		if f := halves[i].flight; f != nil {
			g.leave(f, halves[i].late)
		}
	}
}

// fill says in answer what the halves came to.
func (g *Group) fill(answer *Answer, halves []half) {
	var v4, v6 []netip.Addr
	for i := range halves {
		result := halves[i].result()
		part := Part{State: result.state, Err: result.err}
		if halves[i].family == IPv4 {
			answer.IPv4, v4 = part, result.addrs
		} else {
			answer.IPv6, v6 = part, result.addrs
		}
	}
	switch {
	case len(v4) > 0 && len(v6) > 0:
		answer.Addrs, answer.IPv4.NoSource, answer.IPv6.NoSource = g.union(v4, v6)
	case len(v4) > 0:
		answer.Addrs = v4
	case len(v6) > 0:
		answer.Addrs = v6
	default:
		answer.Err = errorOf(answer.IPv4, answer.IPv6)
	}
}

// result returns the outcome of h, which was waited for.
func (h *half) result() outcome {
	if h.late {
		return outcome{
			state: NoAnswer,
			err:   fmt.Errorf("%w: no answer in time after the other family's", ErrLookupFailed),
		}
	}
	return h.flight.outcome
}
