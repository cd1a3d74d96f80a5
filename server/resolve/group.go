package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Bounds that a Config without them means.
const (
	// DefaultLookups bounds the lookups that run for all requests together.
	DefaultLookups = 256
	// DefaultLookupsPerRequest bounds those of one request.
	DefaultLookupsPerRequest = 16
)

// Config says how a Group works. The zero value works.
type Config struct {
	// Resolver looks the names up. nil means Default.
	Resolver Resolver
	// Lookups is how many lookups run at once, for all requests together. 0 or less means DefaultLookups. More wait, and the
	// RPCs' deadlines do not. A lookup of the Go resolver has at most two sockets open.
	Lookups int
	// LookupsPerRequest is how many run at once for one request; fewer, down to one, the
	// more of Lookups are taken. 0 or less means DefaultLookupsPerRequest.
	LookupsPerRequest int
}

// Group bounds and makes the lookups of all requests. Make one with NewGroup. Safe for concurrent use.
type Group struct {
	resolver   Resolver
	perRequest int
	places     int // for lookups

	mu      sync.Mutex // protects what follows
	free    int        // lookups that may still begin
	waiting []*place   // for one of them, oldest first
}

// place is one worker's wait for its lookup to begin.
type place struct {
	request *Request
	granted chan struct{} // closed when it may
}

// NewGroup returns a Group for c.
func NewGroup(c Config) *Group {
	if c.Resolver == nil {
		c.Resolver = Default()
	}
	if c.Lookups <= 0 {
		c.Lookups = DefaultLookups
	}
	if c.LookupsPerRequest <= 0 {
		c.LookupsPerRequest = DefaultLookupsPerRequest
	}
	return &Group{resolver: c.Resolver, places: c.Lookups, free: c.Lookups, perRequest: c.LookupsPerRequest}
}

// lookup waits for a place, asks the resolver, and tidies its answer.
func (g *Group) lookup(r *Request, name string, family Family) ([]netip.Addr, error) {
	ctx := r.ctx
	if !g.enter(r) {
		return nil, endedError(ctx)
	}
	defer g.leave(r)
	addrs, err := g.ask(ctx, name, family)
	if err != nil {
		return nil, classify(ctx, err)
	}
	if len(addrs) > MaxAddrs {
		return nil, fmt.Errorf("%w: %d addresses, more than %d", ErrLookupFailed, len(addrs), MaxAddrs)
	}
	if addrs = tidy(addrs, family); addrs == nil {
		return nil, fmt.Errorf("%w: no address of the family", ErrNotFound)
	}
	return addrs, nil
}

// may reports whether r may have one more lookup running; g.mu must be held. The fewer places are free, the fewer one request
// may have, down to one: so that requests whose lookups hang, as with a dead name server, leave places to newcomers.
func (g *Group) may(r *Request) bool {
	all := g.places * g.places
	most := (g.perRequest*g.free*g.free + all - 1) / all
	return g.free > 0 && r.running < most
}

// enter waits until the request may have one more lookup running, false where its context ends first. Among those who wait, the
// first that may gets the place.
func (g *Group) enter(r *Request) bool {
	g.mu.Lock()
	if g.may(r) {
		g.admit(r)
		g.mu.Unlock()
		return true
	}
	p := &place{request: r, granted: make(chan struct{})}
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	select {
	case <-p.granted:
		return true
	case <-r.ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return false
	}
	g.release(r) // it was granted meanwhile
	return false
}

func (g *Group) leave(r *Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(r)
}

// admit takes a place for r; g.mu must be held.
func (g *Group) admit(r *Request) {
	g.free--
	r.running++
}

// release gives a place of r back, and grants it to who may have it; g.mu must be held. More than one can have become
// entitled, as r has one less.
func (g *Group) release(r *Request) {
	g.free++
	r.running--
	g.waiting = slices.DeleteFunc(g.waiting, func(p *place) bool {
		if !g.may(p.request) {
			return false
		}
		g.admit(p.request)
		close(p.granted)
		return true
	})
}

// ask asks the resolver and makes an error of a panic: a resolver is code that others bring, and a worker's panic would end
// the whole service.
func (g *Group) ask(ctx context.Context, name string, family Family) (addrs []netip.Addr, err error) {
	defer func() {
		if p := recover(); p != nil {
			addrs, err = nil, fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	return g.resolver.LookupNetIP(ctx, family.network(), name+".")
}

var errPanicked = errors.New("the resolver panicked")
