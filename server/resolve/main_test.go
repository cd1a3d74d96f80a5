package resolve

import (
	"context"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolverFunc is a Resolver of one function.
type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// newGroup returns a Group for c on a host that can send to every address, unless c says otherwise.
func newGroup(c Config) *Group {
	if c.Source == nil {
		c.Source = func(netip.Addr) (netip.Addr, bool) { return netip.Addr{}, true }
	}
	return NewGroup(c)
}

// heldResolver tells of each lookup that begins, and holds it until the test answers it or its
// context ends.
type heldResolver struct {
	begun chan *heldLookup
}

type heldLookup struct {
	network, host string
	answer        chan []netip.Addr // nil: no such name
}

func newHeldResolver() *heldResolver { return &heldResolver{begun: make(chan *heldLookup)} }

func (r *heldResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	l := &heldLookup{network, host, make(chan []netip.Addr)}
	select {
	case r.begun <- l:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case addrs := <-l.answer:
		if addrs == nil {
			return nil, ErrNotFound
		}
		return addrs, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

var one = addrs("192.0.2.1")
