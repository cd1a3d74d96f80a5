package resolve

import (
	"context"
	"net/netip"
)

// Resolver looks names up. *net.Resolver is one. It must be safe for concurrent use, and return soon after ctx ended: until
// then the lookup keeps its place in the group.
type Resolver interface {
	// LookupNetIP returns the addresses of host. network is "ip", "ip4" or "ip6"; host is an absolute name, with a final
	// dot.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Family says which addresses of a name are wanted.
type Family uint8

const (
	// Any is the zero value: both families, in the resolver's order.
	Any Family = iota
	// IPv4 addresses only.
	IPv4
	// IPv6 addresses only.
	IPv6
)

// network is the family in the words of the net package.
func (f Family) network() string {
	switch f {
	case IPv4:
		return "ip4"
	case IPv6:
		return "ip6"
	default:
		return "ip"
	}
}

func (f Family) has(addr netip.Addr) bool {
	switch f {
	case IPv4:
		return addr.Is4()
	case IPv6:
		return addr.Is6()
	default:
		return addr.IsValid()
	}
}
