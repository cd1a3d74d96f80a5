package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// What the zero fields of a Config mean.
const (
	// DefaultLookups bounds the lookups that run for all requests together.
	DefaultLookups = 256
	// DefaultLookupsPerRequest bounds those of one request.
	DefaultLookupsPerRequest = 16
	// DefaultKeep is how long an answer is used again.
	DefaultKeep = 5 * time.Second
	// DefaultKeepFailures is how long a failure is used again.
	DefaultKeepFailures = time.Second
)

// Config says how a Group works. The zero value works.
type Config struct {
	// Resolver looks the names up. nil means Default.
	Resolver Resolver
	// Lookups is how many names are looked up at once, for all requests together. 0 or less means
	// DefaultLookups. More wait, and the RPCs' deadlines do not. A name is up to two queries at a
	// time, A and AAAA; a query of the Go resolver has one socket open.
	Lookups int
	// LookupsPerRequest is how many names are looked up at once for one request; fewer, down to
	// one, the more of Lookups are taken. 0 or less means DefaultLookupsPerRequest.
	LookupsPerRequest int

	// Keep is how long an answer, with or without addresses, is used again for all requests.
	// 0 means DefaultKeep; less than 0 means not at all.
	Keep time.Duration
	// KeepFailures is the same for a lookup that failed. 0 means DefaultKeepFailures. Less than 0
	// means not at all, and then a family that gave no answer is not remembered either.
	KeepFailures time.Duration

	// Source returns the address from which this host would send to an address, as the func Source
	// does. nil means Source. It must be safe for concurrent use.
	Source func(to netip.Addr) (from netip.Addr, ok bool)
}

// Group bounds, shares and makes the lookups of all requests. Make one with NewGroup. It is safe
// for concurrent use.
type Group struct {
	resolver   Resolver
	source     func(netip.Addr) (netip.Addr, bool)
	perRequest int
	places     int // for lookups

	mu      sync.Mutex // protects what follows
	free    int        // places that nobody holds
	waiting []*place   // for a place to be free, oldest first
	known   cache
}

// NewGroup returns a Group for c.
func NewGroup(c Config) *Group {
	g := &Group{
		resolver:   c.Resolver,
		source:     c.Source,
		perRequest: c.LookupsPerRequest,
		places:     c.Lookups,
		known: cache{
			keep:         max(0, cmp.Or(c.Keep, DefaultKeep)),
			keepFailures: max(0, cmp.Or(c.KeepFailures, DefaultKeepFailures)),
			flights:      make(map[question]*flight),
		},
	}
	if g.resolver == nil {
		g.resolver = Default()
	}
	if g.source == nil {
		g.source = Source
	}
	if g.places <= 0 {
		g.places = DefaultLookups
	}
	if g.perRequest <= 0 {
		g.perRequest = DefaultLookupsPerRequest
	}
	g.free = g.places
	return g
}

// ask asks the resolver and makes an error of a panic: a resolver is code that others bring, and
// its panic would end the whole service.
func (g *Group) ask(ctx context.Context, q question) (addrs []netip.Addr, err error) {
	defer func() {
		if p := recover(); p != nil {
			addrs, err = nil, fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	return g.resolver.LookupNetIP(ctx, q.family.network(), q.name+".")
}

var errPanicked = errors.New("the resolver panicked")
