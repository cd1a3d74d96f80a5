package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
)

// ask makes one lookup with f as the resolver, in a bubble: no time passes while anything works.
func ask(t *testing.T, family Family, f resolverFunc) (answer Answer) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		answer, _ = lookupIn(t.Context(), newGroup(Config{Resolver: f}), "a.example", family)
	})
	return answer
}

func TestAddresses(t *testing.T) {
	many := make([]netip.Addr, 0, 1000)
	for i := range 1000 {
		many = append(many, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	tests := []struct {
		name   string
		family Family
		in     []netip.Addr
		want   []netip.Addr
	}{
		{"order", Any, addrs("2001:db8::2", "192.0.2.1", "2001:db8::1"), addrs("2001:db8::2", "2001:db8::1", "192.0.2.1")},
		{"mapped", Any, addrs("::ffff:192.0.2.1", "192.0.2.1"), addrs("192.0.2.1")},
		{"mapped is IPv4", IPv4, addrs("::ffff:192.0.2.1"), addrs("192.0.2.1")},
		{"mapped is not IPv6", IPv6, addrs("::ffff:192.0.2.1", "2001:db8::1"), addrs("2001:db8::1")},
		{"duplicates", Any, addrs("192.0.2.1", "192.0.2.2", "192.0.2.1"), addrs("192.0.2.1", "192.0.2.2")},
		{"zone", Any, addrs("fe80::1%eth0", "fe80::1%eth1"), addrs("fe80::1")},
		{"family", IPv4, addrs("2001:db8::1", "192.0.2.1"), addrs("192.0.2.1")},
		{"no address at all", Any, []netip.Addr{{}}, nil},
		{"none", Any, nil, nil},
		{"none of the family", IPv6, addrs("192.0.2.1"), nil},
		{"a thousand", Any, many, many},
		{"a thousand of the family", IPv4, append(addrs("::1", "::2", "::3"), many...), many},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, tt.family, func(context.Context, string, string) ([]netip.Addr, error) {
				return tt.in, nil
			})
			if !slices.Equal(got.Addrs, tt.want) {
				t.Errorf("%v, want %v", got.Addrs, tt.want)
			}
			if errors.Is(got.Err, ErrNotFound) != (tt.want == nil) {
				t.Errorf("error %v beside %v", got.Err, got.Addrs)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"no such host", &net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true}, ErrNotFound},
		{"wrapped", fmt.Errorf("cache: %w", &net.DNSError{IsNotFound: true}), ErrNotFound},
		{"other family", &net.AddrError{Err: "no suitable address found", Addr: "a.example."}, ErrNotFound},
		{"server trouble", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, ErrLookupFailed},
		{"something else", errors.New("?"), ErrLookupFailed},
		{
			// What net.Resolver returns when its own patience ends: the request's has not.
			"slow server",
			&net.DNSError{Err: "i/o timeout", IsTimeout: true, UnwrapErr: context.DeadlineExceeded},
			ErrLookupFailed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, Any, func(context.Context, string, string) ([]netip.Addr, error) {
				return one, tt.err
			})
			if got.Addrs != nil {
				t.Errorf("addresses %v beside %v", got.Addrs, got.Err)
			}
			for _, class := range []error{ErrNotFound, ErrLookupFailed, context.DeadlineExceeded, context.Canceled} {
				if errors.Is(got.Err, class) != (class == tt.want) {
					t.Errorf("%v is %v: %t", got.Err, class, class != tt.want)
				}
			}
		})
	}
}

// TestErrorOfTheContext: an answer that the end of the context cut short says so, and why, whether
// the lookup runs or waits for a place. The group is asked itself: a Request may drop such an
// answer.
func TestErrorOfTheContext(t *testing.T) {
	draining := errors.New("draining")
	for _, tt := range []struct {
		cause error
		want  []error
	}{
		{nil, []error{context.Canceled}},
		{draining, []error{context.Canceled, draining}},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		canceled := func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			cancel(tt.cause)
			<-ctx.Done()
			return nil, &net.DNSError{Err: "operation was canceled", UnwrapErr: ctx.Err()}
		}
		group := newGroup(Config{Lookups: 1, Resolver: resolverFunc(canceled)})
		running := group.lookup(group.Request(ctx), "a", Any).Err
		group.enter(group.Request(t.Context())) // full, so that the next one waits
		waiting := group.lookup(group.Request(ctx), "a", Any).Err
		for _, err := range []error{running, waiting} {
			for _, want := range tt.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			if errors.Is(err, ErrLookupFailed) || errors.Is(err, ErrNotFound) {
				t.Errorf("%v is a failure of the lookup", err)
			}
		}
	}
}

// TestPanic: a resolver that panics costs its own lookup, and gives its place back.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newGroup(Config{Lookups: 1, Resolver: resolverFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if host == "bad." {
				panic("oops")
			}
			return one, nil
		})}).Request(t.Context())
		r.Lookup("bad", Any, 1)
		if got := <-r.Answers(); !errors.Is(got.Err, ErrLookupFailed) || got.Addrs != nil {
			t.Errorf("after a panic: %+v", got)
		}
		r.Lookup("good", Any, 2)
		if got := <-r.Answers(); got.Err != nil {
			t.Errorf("the lookup after it: %+v", got)
		}
	})
}

// TestTooManyAddresses: an answer holds all addresses of a family, or none.
func TestTooManyAddresses(t *testing.T) {
	for n, fails := range map[int]bool{MaxAddrs: false, MaxAddrs + 1: true} {
		got := ask(t, IPv4, func(context.Context, string, string) ([]netip.Addr, error) {
			all := make([]netip.Addr, n)
			for i := range all {
				all[i] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
			}
			return all, nil
		})
		if errors.Is(got.Err, ErrLookupFailed) != fails || fails != (len(got.Addrs) != n) {
			t.Errorf("%d addresses: %d kept, error %v", n, len(got.Addrs), got.Err)
		}
	}
}
