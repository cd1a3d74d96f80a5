package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// MaxAddrs is how many addresses of one family a name may have. It is more than fit into one answer
// of DNS, which has 64 KiB (RFC 1035 section 4.2.2). If a resolver gives more, as a file of hosts
// could, the lookup of the family counts as failed: the policy has to see every address.
const MaxAddrs = 8192

var (
	// ErrNotFound says that the name does not exist or has no address of the family.
	ErrNotFound = errors.New("name not found")
	// ErrLookupFailed says that nothing is known of the name: the resolver gave no answer, or one
	// that says it failed. The lookup may be worth another try later.
	ErrLookupFailed = errors.New("name lookup failed")
)

// State says what became of the lookup of one family.
type State uint8

const (
	// NotAsked is the zero value: the request was not about this family.
	NotAsked State = iota
	// Found says that the name has addresses of the family.
	Found
	// NotFound says that the name does not exist or has no address of the family.
	NotFound
	// Failed says that the resolver reported a failure: SERVFAIL, REFUSED or trouble of its own.
	Failed
	// NoAnswer says that the resolver did not answer in time.
	NoAnswer
)

// Known reports whether the resolver has answered about the addresses of the family.
func (s State) Known() bool { return s == Found || s == NotFound }

// Unknown reports whether the lookup was made and told nothing of the addresses of the family.
func (s State) Unknown() bool { return s == Failed || s == NoAnswer }

// Part is what became of one family of a name.
type Part struct {
	State State

	// NoSource says that this host has no address from which it could send to any of the addresses
	// that were found (of the first 16). It is set only if both families have addresses.
	NoSource bool

	// Err is nil for NotAsked and Found. Otherwise it wraps ErrNotFound or ErrLookupFailed. Its
	// text is for the operator: it may name the DNS servers.
	Err error
}

// Answer is what became of one lookup.
type Answer struct {
	// Name and Family are what was asked for; Name as it was given to Lookup.
	Name   string
	Family Family

	// Waiters are the ids of all calls of Lookup that share this answer, in their order; at least
	// one. The receiver owns them.
	Waiters []uint32

	// Addrs are all addresses that were found, the best first (RFC 6724: an address that this host
	// can send to before one that it cannot, then by precedence). Within a family they are in the
	// resolver's order. There are at most MaxAddrs of each family, no duplicates, no IPv4-mapped
	// ones, and none with a zone. The receiver must not change them. Addrs is nil with Err.
	Addrs []netip.Addr

	// IPv4 and IPv6 say what became of each family. They are zero if the context had ended.
	IPv4, IPv6 Part

	// Err is nil if there are addresses. Otherwise it wraps exactly one of ErrNotFound (each family
	// that was asked for is NotFound), ErrLookupFailed (one of them is Unknown) and, if the context
	// of the Request had ended, the context's error and cause.
	Err error
}

// errorOf returns the Err of an Answer without addresses.
func errorOf(v4, v6 Part) error {
	switch {
	case v4.State.Unknown() && v6.State.Unknown():
		return fmt.Errorf("%w: A: %v; AAAA: %v", ErrLookupFailed, v4.Err, v6.Err)
	case v4.State.Unknown(), v6.State == NotAsked:
		return v4.Err
	default:
		return v6.Err
	}
}

// endedError says that ctx, which has ended, cut a lookup short.
func endedError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("name lookup ended: %w", cause)
	}
	return fmt.Errorf("name lookup ended: %w: %w", err, cause)
}
