package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// MaxAddrs is how many addresses a name may have: more than fit into one answer of DNS, which has 64 KiB (RFC 1035 section
// 4.2.2). A resolver that gives more, as a file of hosts could, is not believed, rather than some of them kept: whoever
// judges a name by its addresses has to see them all.
const MaxAddrs = 8192

var (
	// ErrNotFound says that the name does not exist or has no address of the family asked for.
	ErrNotFound = errors.New("name not found")
	// ErrLookupFailed says that nothing is known of the name: the resolver gave no answer, or one that says it failed. It
	// may be worth another try later.
	ErrLookupFailed = errors.New("name lookup failed")
)

// Answer is what became of one lookup.
type Answer struct {
	// Name and Family are what was asked for; Name as it was given to Lookup.
	Name   string
	Family Family

	// Waiters are the ids of all who asked, in that order; at least one. They are the receiver's.
	Waiters []uint32

	// Addrs are all of the name's addresses of the family: at least 1 and at most MaxAddrs, in the resolver's order, without
	// duplicates, none IPv4-mapped, none with a zone. nil with Err. They are the receiver's.
	Addrs []netip.Addr

	// Err is nil, or wraps exactly one of ErrNotFound, ErrLookupFailed and, where the context of the Request had ended,
	// the context's error and cause. Its text is for the operator: it may name the DNS servers.
	Err error
}

// tidy returns the addresses that an Answer may have, of those that a resolver gave.
//
// A zone is taken off and the address stays: dropped, it would escape a policy that denies a name for one of its addresses.
func tidy(addrs []netip.Addr, family Family) []netip.Addr {
	var kept []netip.Addr
	seen := make(map[netip.Addr]struct{}, len(addrs))
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if _, twice := seen[addr]; twice || !family.has(addr) {
			continue
		}
		seen[addr] = struct{}{}
		kept = append(kept, addr)
	}
	return kept
}

// classify makes the Err of an Answer from what a resolver returned. ctx is the Request's.
//
// The resolver's own error is quoted and not wrapped: net.DNSError of a server that was too slow is context.DeadlineExceeded
// to errors.Is, though no deadline of the request has passed.
func classify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return endedError(ctx)
	}
	class := ErrLookupFailed
	if isNotFound(err) {
		class = ErrNotFound
	}
	return fmt.Errorf("%w: %v", class, err)
}

func isNotFound(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	_, otherFamily := errors.AsType[*net.AddrError](err) // of a net.Resolver that found addresses and none of the family
	return otherFamily || errors.Is(err, ErrNotFound)
}

// endedError says that ctx, which has ended, cut a lookup short.
func endedError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("name lookup ended: %w", cause)
	}
	return fmt.Errorf("name lookup ended: %w: %w", err, cause)
}
