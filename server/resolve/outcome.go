package resolve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// outcome is the result of one query: one name, one family. It does not change.
type outcome struct {
	state State        // never NotAsked
	addrs []netip.Addr // with Found: at least 1, at most MaxAddrs
	err   error        // as in Part
}

// outcomeOf reads what a resolver returned.
//
// The resolver's own error is quoted and not wrapped. The net.DNSError of a server that was too
// slow is context.DeadlineExceeded to errors.Is, though no deadline of a request has passed.
func outcomeOf(addrs []netip.Addr, err error, family Family) outcome {
	switch {
	case err != nil:
		return failure(err)
	case len(addrs) > MaxAddrs:
		return outcome{
			state: Failed,
			err:   fmt.Errorf("%w: %d addresses, more than %d", ErrLookupFailed, len(addrs), MaxAddrs),
		}
	}
	if addrs = tidy(addrs, family); addrs == nil {
		return outcome{state: NotFound, err: fmt.Errorf("%w: no address of the family", ErrNotFound)}
	}
	return outcome{state: Found, addrs: addrs}
}

// failure classifies the error of a resolver.
//
// Go's resolver reports NXDOMAIN and an empty answer alike, with IsNotFound. It reports SERVFAIL,
// REFUSED, a lame referral and an unreadable answer without IsNotFound, and silence with IsTimeout.
func failure(err error) outcome {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, otherFamily := errors.AsType[*net.AddrError](err) // net.Resolver found only the other family
	switch {
	case isDNS && dns.IsNotFound, otherFamily, !isDNS && errors.Is(err, ErrNotFound):
		return outcome{state: NotFound, err: fmt.Errorf("%w: %v", ErrNotFound, err)}
	case isDNS && dns.IsTimeout:
		return outcome{state: NoAnswer, err: fmt.Errorf("%w: %v", ErrLookupFailed, err)}
	default:
		return outcome{state: Failed, err: fmt.Errorf("%w: %v", ErrLookupFailed, err)}
	}
}

// tidy returns the addresses of the family among those that a resolver gave. It is nil without any.
//
// A zone is taken off and the address stays: without the address, a name could escape a policy that
// denies it for that address.
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
