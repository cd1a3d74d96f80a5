package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
	// LookupsPerRequest is how many run at once for one request. 0 or less means DefaultLookupsPerRequest.
	LookupsPerRequest int
}

// Group bounds and makes the lookups of all requests. Make one with NewGroup. Safe for concurrent use.
type Group struct {
	resolver   Resolver
	places     chan struct{} // one token per running lookup
	perRequest int
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
	return &Group{resolver: c.Resolver, places: make(chan struct{}, c.Lookups), perRequest: c.LookupsPerRequest}
}

// lookup waits for a place, asks the resolver, and tidies its answer. Senders on a channel are served in their order, so
// requests get places in the order in which they come to need them.
func (g *Group) lookup(ctx context.Context, name string, family Family) ([]netip.Addr, error) {
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return nil, endedError(ctx)
	}
	addrs, err := g.ask(ctx, name, family)
	if err != nil {
		return nil, classify(ctx, err)
	}
	if addrs = tidy(addrs, family); addrs == nil {
		return nil, fmt.Errorf("%w: no address of the family", ErrNotFound)
	}
	return addrs, nil
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
