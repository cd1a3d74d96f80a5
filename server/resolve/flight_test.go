package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a resolver that answers per name and network. It counts what it is asked.
type scripted struct {
	script map[string]scriptedAnswer // by "network name."; others do not exist
	mu     sync.Mutex
	asked  map[string]int
}

type scriptedAnswer struct {
	addrs []netip.Addr
	err   error
	after time.Duration // the answer comes then, or ctx ends before
}

func (s *scripted) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	if s.asked == nil {
		s.asked = make(map[string]int)
	}
	s.asked[network+" "+host]++
	answer, ok := s.script[network+" "+host]
	s.mu.Unlock()
	if !ok {
		return nil, &net.DNSError{IsNotFound: true}
	}
	if answer.after > 0 {
		select {
		case <-time.After(answer.after):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answer.addrs, answer.err
}

func (s *scripted) count(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

// The answers of a name server that a scripted resolver gives.
var (
	isFound4 = scriptedAnswer{addrs: one}
	isFound6 = scriptedAnswer{addrs: addrs("2001:db8::1")}
	isEmpty  = scriptedAnswer{err: &net.DNSError{IsNotFound: true}}
	isFailed = scriptedAnswer{err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}
	isSilent = scriptedAnswer{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}, after: 10 * time.Second}
)

// lookupIn makes one lookup in a request of its own and returns how long it took.
func lookupIn(ctx context.Context, g *Group, name string, family Family) (Answer, time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	r := g.Request(ctx)
	r.Lookup(name, family, 1)
	return <-r.Answers(), time.Since(began)
}

// TestFamilies: each family keeps its outcome, and one that has its answer waits 300 ms for the
// other.
func TestFamilies(t *testing.T) {
	notFound, failed := ErrNotFound, ErrLookupFailed
	for _, tt := range []struct {
		a, aaaa scriptedAnswer
		v4, v6  State
		took    time.Duration
		err     error
	}{
		{isFound4, isFound6, Found, Found, 0, nil},
		{isFound4, isEmpty, Found, NotFound, 0, nil},
		{isFound4, isFailed, Found, Failed, 0, nil},
		{isFound4, isSilent, Found, NoAnswer, grace, nil},
		{isEmpty, isFound6, NotFound, Found, 0, nil},
		{isEmpty, isEmpty, NotFound, NotFound, 0, notFound},
		{isEmpty, isFailed, NotFound, Failed, 0, failed},
		{isEmpty, isSilent, NotFound, NoAnswer, patience, failed},
		{isEmpty, scriptedAnswer{addrs: isFound6.addrs, after: patience - 1}, NotFound, Found, patience - 1, nil},
		{isFailed, isFound6, Failed, Found, 0, nil},
		{isFailed, isEmpty, Failed, NotFound, 0, failed},
		{isFailed, isFailed, Failed, Failed, 0, failed},
		{isFailed, isSilent, Failed, NoAnswer, 10 * time.Second, failed},
		{isSilent, isFound6, NoAnswer, Found, grace, nil},
		{isSilent, isEmpty, NoAnswer, NotFound, patience, failed},
		{isSilent, isFailed, NoAnswer, Failed, 10 * time.Second, failed},
		{isSilent, isSilent, NoAnswer, NoAnswer, 10 * time.Second, failed},
		{isFound4, scriptedAnswer{addrs: isFound6.addrs, after: grace - 1}, Found, Found, grace - 1, nil},
		{scriptedAnswer{err: isFailed.err, after: time.Second}, isFound6, NoAnswer, Found, grace, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(Config{Resolver: &scripted{script: map[string]scriptedAnswer{
				"ip4 a.test.": tt.a, "ip6 a.test.": tt.aaaa,
			}}})
			got, took := lookupIn(t.Context(), g, "a.test", Any)
			if got.IPv4.State != tt.v4 || got.IPv6.State != tt.v6 || took != tt.took {
				t.Errorf("%+v: states %d and %d after %v", tt, got.IPv4.State, got.IPv6.State, took)
			}
			if !errors.Is(got.Err, tt.err) || (got.Addrs == nil) != (got.Err != nil) {
				t.Errorf("%+v: %+v", tt, got)
			}
			synctest.Wait()
			if g.free != DefaultLookups {
				t.Errorf("%+v: %d places are not free", tt, DefaultLookups-g.free)
			}
		})
	}
}

// TestOneFamily: a lookup of one family makes no query of the other.
func TestOneFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &scripted{script: map[string]scriptedAnswer{"ip4 a.test.": isFound4, "ip6 a.test.": isSilent}}
		got, took := lookupIn(t.Context(), newGroup(Config{Resolver: names}), "a.test", IPv4)
		if got.IPv4.State != Found || got.IPv6.State != NotAsked || took != 0 || names.count("ip6 a.test.") != 0 {
			t.Errorf("%+v after %v, asked %v", got, took, names.asked)
		}
	})
}

// TestSilenceIsRemembered: a family that gave no answer fails at once for 10 s, and is asked again
// then.
func TestSilenceIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &scripted{script: map[string]scriptedAnswer{"ip4 a.test.": isFound4, "ip6 a.test.": isSilent}}
		g := newGroup(Config{Resolver: names})
		for _, step := range []struct {
			wait   time.Duration
			family Family
			took   time.Duration
			asked  int
		}{
			{0, Any, grace, 1},
			{0, Any, 0, 1},
			{keepSilence - 1, Any, 0, 1}, // A is asked again, AAAA is not
			{1, Any, grace, 2},
			// 300 ms without an answer do not count if only AAAA is wanted. 10 s do.
			{0, IPv6, 10 * time.Second, 3},
			{0, IPv6, 0, 3},
			{0, Any, 0, 3},
			{keepSilence, IPv6, 10 * time.Second, 4},
		} {
			time.Sleep(step.wait)
			got, took := lookupIn(t.Context(), g, "a.test", step.family)
			if got.IPv6.State != NoAnswer || took != step.took || names.count("ip6 a.test.") != step.asked {
				t.Errorf("%+v: %+v after %v, %d queries", step, got, took, names.count("ip6 a.test."))
			}
		}
	})
}

// TestImpatientRequests: if requests leave before the resolver's own end, a name is remembered as
// silent only after 2 s without an answer, and only for requests that cannot wait longer than they
// did.
func TestImpatientRequests(t *testing.T) {
	for _, c := range []struct {
		left, next time.Duration
		remembered bool
	}{{patience - 1, patience - 1, false}, {patience, patience, true}, {patience, patience + 1, false}} {
		left := c.left
		synctest.Test(t, func(t *testing.T) {
			names := &scripted{script: map[string]scriptedAnswer{"ip4 a.test.": isSilent, "ip6 a.test.": isSilent}}
			g := newGroup(Config{Resolver: names})
			ctx, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			g.Request(ctx).Lookup("a.test", Any, 1)
			<-ctx.Done()
			synctest.Wait()
			next, end := context.WithTimeout(t.Context(), c.next)
			defer end()
			began := time.Now()
			r := g.Request(next)
			r.Lookup("a.test", IPv4, 1)
			select {
			case <-r.Answers():
			case <-next.Done():
			}
			if took := time.Since(began); c.remembered != (took == 0) {
				t.Errorf("left after %v: the next lookup took %v of %v", left, took, c.next)
			}
		})
	}
}

// TestOneLeaves: the end of one request ends no query that another one waits for. The end of the
// last one does, and then the name is asked anew.
func TestOneLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		g := newGroup(Config{Resolver: held})
		first, leave := context.WithCancel(t.Context())
		r1, r2 := g.Request(first), g.Request(t.Context())
		r1.Lookup("a.test", IPv4, 1) // starts the query
		l := <-held.begun
		r2.Lookup("a.test", IPv4, 2)
		synctest.Wait()
		leave()
		synctest.Wait()
		l.answer <- one
		if got := <-r2.Answers(); got.Err != nil || !slices.Equal(got.Addrs, one) {
			t.Errorf("the other request got %+v", got)
		}

		last, leave := context.WithCancel(t.Context())
		g.Request(last).Lookup("b.test", IPv4, 3)
		<-held.begun
		leave()
		synctest.Wait()
		if g.free != DefaultLookups || g.known.flights[question{"b.test", IPv4}] != nil {
			t.Errorf("%d places are free, under way %v", g.free, g.known.flights)
		}
		r2.Lookup("b.test", IPv4, 4)
		l = <-held.begun
		l.answer <- one
		if got := <-r2.Answers(); got.Err != nil {
			t.Errorf("asked anew: %+v", got)
		}
	})
}

// TestJoiningNeedsNoPlace: a request whose name is being looked up waits for that, though no place
// is free.
func TestJoiningNeedsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		g := newGroup(Config{Resolver: held, Lookups: 1})
		r1, r2 := g.Request(t.Context()), g.Request(t.Context())
		r1.Lookup("a.test", IPv4, 1)
		l := <-held.begun
		r2.Lookup("a.test", IPv4, 2)
		synctest.Wait()
		if len(g.waiting) != 0 {
			t.Errorf("%d wait for a place", len(g.waiting))
		}
		l.answer <- one
		<-r1.Answers()
		if got := <-r2.Answers(); got.Err != nil {
			t.Errorf("%+v", got)
		}
	})
}

// TestPlaceComesTooLate: a request that had to wait for a place uses the answer that came
// meanwhile.
func TestPlaceComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		g := newGroup(Config{Resolver: held, Lookups: 1})
		other, r1, r2 := g.Request(t.Context()), g.Request(t.Context()), g.Request(t.Context())
		other.Lookup("other.test", IPv4, 1)
		l := <-held.begun
		r1.Lookup("a.test", IPv4, 1)
		r2.Lookup("a.test", IPv4, 1)
		synctest.Wait() // both wait for a place
		l.answer <- one
		l = <-held.begun
		l.answer <- one
		for _, r := range []*Request{other, r1, r2} {
			if got := <-r.Answers(); !slices.Equal(got.Addrs, one) {
				t.Errorf("%+v", got)
			}
		}
	})
}

// TestDeadZone: 32 names of a zone whose servers are silent do not hold up the names of other
// zones, though they were asked for first.
func TestDeadZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &scripted{script: map[string]scriptedAnswer{
			"ip4 good.test.": isFound4, "ip4 fine.example.": isFound4,
		}}
		for i := range 32 {
			names.script[fmt.Sprintf("ip4 n%d.dead.test.", i)] = isSilent
			names.script[fmt.Sprintf("ip6 n%d.dead.test.", i)] = isSilent
		}
		r := newGroup(Config{Resolver: names}).Request(t.Context())
		began := time.Now()
		for i := range 32 {
			r.Lookup(fmt.Sprintf("n%d.dead.test", i), Any, uint32(i))
		}
		r.Lookup("good.test", Any, 100)
		r.Lookup("fine.example", Any, 101)
		for range 2 {
			if got := <-r.Answers(); got.Err != nil || time.Since(began) != 0 {
				t.Errorf("%+v after %v", got, time.Since(began))
			}
		}
		for range 32 {
			if got := <-r.Answers(); got.IPv4.State != NoAnswer {
				t.Errorf("%+v", got)
			}
		}
	})
}
