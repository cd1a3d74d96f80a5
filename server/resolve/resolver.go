package resolve

import (
	"context"
	"net/netip"
)

// Resolver looks names up. *net.Resolver is one; after ctx was canceled it keeps its socket for up
// to 5 s, unless its Dial closes the connection, as that of Default does. A Resolver must be safe
// for concurrent use. It must return soon after ctx ended: until then the lookup keeps its place in
// the group.
type Resolver interface {
	// LookupNetIP returns the addresses of host. A Group asks for network "ip4" or "ip6", and
	// ignores addresses of the other family. host is an absolute name, with a final dot.
	//
	// The error of a name without such an address is a net.DNSError with IsNotFound, a
	// net.AddrError, or wraps ErrNotFound. A net.DNSError with IsTimeout says that no server
	// answered. Any other error says that the lookup failed.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Family says which addresses of a name are wanted.
type Family uint8

const (
	// Any is the zero value: both families.
	Any Family = iota
	// IPv4 addresses only.
	IPv4
	// IPv6 addresses only.
	IPv6
)

// network is IPv4 or IPv6 in the words of the net package.
func (f Family) network() string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip4"
}

func (f Family) has(addr netip.Addr) bool {
	if f == IPv6 {
		return addr.Is6()
	}
	return addr.Is4()
}
