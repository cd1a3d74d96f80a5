package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestLookupIsShared: a call that asks for a name that is being looked up gets that lookup's
// answer. Another family is another lookup, and the same name asked for later is one that is
// remembered.
func TestLookupIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		r := newGroup(Config{Resolver: held}).Request(t.Context())
		r.Lookup("a.example", IPv4, 1)
		first := <-held.begun
		r.Lookup("a.example", IPv4, 2)
		r.Lookup("a.example", IPv6, 3)
		r.Lookup("a.example", IPv4, 2) // an id may come twice

		second := <-held.begun
		if first.network != "ip4" || second.network != "ip6" || first.host != "a.example." || second.host != "a.example." {
			t.Errorf("asked %+v and %+v", first, second)
		}
		first.answer <- one
		got := <-r.Answers()
		if got.Name != "a.example" || got.Family != IPv4 || got.Err != nil ||
			!slices.Equal(got.Waiters, []uint32{1, 2, 2}) || !slices.Equal(got.Addrs, one) {
			t.Errorf("first answer: %+v", got)
		}

		r.Lookup("a.example", IPv4, 4)
		if got := <-r.Answers(); !slices.Equal(got.Waiters, []uint32{4}) || !slices.Equal(got.Addrs, one) {
			t.Errorf("answer from memory: %+v", got)
		}
		r.Lookup("a.example", Any, 5)
		second.answer <- nil
		for range 2 {
			got := <-r.Answers()
			want := map[Family][]uint32{Any: {5}, IPv6: {3}}[got.Family]
			if !slices.Equal(got.Waiters, want) || (got.Err != nil) != (got.Family == IPv6) {
				t.Errorf("answer: %+v", got)
			}
		}
		synctest.Wait()
		if len(r.open) != 0 || len(r.turns.ring) != 0 || len(r.turns.zones) != 0 || r.turns.running != 0 || r.running != 0 {
			t.Errorf("left behind: %v, %+v, %d places", r.open, r.turns, r.running)
		}
	})
}

// TestBoundPerRequest: no more lookups run than allowed, zones take turns, the names of a zone
// follow in the order in which they were asked for, and a call for one that waits joins it.
func TestBoundPerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		r := newGroup(Config{Resolver: held, LookupsPerRequest: 2}).Request(t.Context())
		for id, name := range []string{"a1.a", "a2.a", "b1.b", "b2.b", "c1.c", "a3.a"} {
			r.Lookup(name, IPv4, uint32(id))
		}
		r.Lookup("a3.a", IPv4, 55)
		running := map[string]*heldLookup{}
		for range 2 {
			l := <-held.begun
			running[l.host] = l
		}
		if !slices.Equal(slices.Sorted(maps.Keys(running)), []string{"a1.a.", "b1.b."}) {
			t.Fatalf("the first two: %v", running)
		}
		for _, next := range []string{"a2.a.", "c1.c.", "b2.b.", "a3.a."} {
			synctest.Wait()
			select {
			case l := <-held.begun:
				t.Fatalf("%s runs beside two others", l.host)
			default:
			}
			// Of the two that run, the one of the zone that is to have its turn ends.
			for host, l := range running {
				if host == "b1.b." && next != "b2.b." || host == "c1.c." {
					continue
				}
				delete(running, host)
				l.answer <- one
				<-r.Answers()
				break
			}
			l := <-held.begun
			if l.host != next {
				t.Fatalf("%s is next, want %s", l.host, next)
			}
			running[l.host] = l
		}
		running["a3.a."].answer <- one
		if got := <-r.Answers(); !slices.Equal(got.Waiters, []uint32{5, 55}) {
			t.Errorf("waiters of a3.a: %v", got.Waiters)
		}
		for host, l := range running {
			if host != "a3.a." {
				l.answer <- one
				<-r.Answers()
			}
		}
	})
}

// TestBoundOfGroup: the bound holds over all requests; a request whose reader is slow holds no
// place; a request that ends while it waits leaves the line.
func TestBoundOfGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		group := newGroup(Config{Resolver: held, Lookups: 1})
		slow := group.Request(t.Context())
		slow.Lookup("slow", IPv4, 1)
		first := <-held.begun

		leaving, leave := context.WithCancel(t.Context())
		group.Request(leaving).Lookup("leaving", IPv4, 1)
		synctest.Wait() // it stands in the line before the next one
		next := group.Request(t.Context())
		next.Lookup("next", IPv4, 1)
		synctest.Wait()
		select {
		case l := <-held.begun:
			t.Fatalf("%s runs beside another", l.host)
		default:
		}
		leave()
		synctest.Wait()

		first.answer <- one // nobody receives it yet
		second := <-held.begun
		if second.host != "next." {
			t.Fatalf("%s is next", second.host)
		}
		second.answer <- one
		<-next.Answers()
		<-slow.Answers()
	})
}

// TestNewcomersFindAPlace: requests with many names that hang, as with a dead name server, do not
// take all places. A request with one name is served at once. When all is over, every place is
// free.
func TestNewcomersFindAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, greedy = DefaultLookups, 100
		held := newHeldResolver()
		group := newGroup(Config{Resolver: held, Lookups: places})
		ctx, cancel := context.WithCancel(t.Context())
		var requests []*Request
		for range greedy {
			r := group.Request(ctx)
			for id := range uint32(100) {
				r.Lookup(fmt.Sprintf("n%d.r%d.z%d", id, len(requests), id), IPv4, id)
			}
			requests = append(requests, r)
		}
		running := 0
		for more := true; more; {
			synctest.Wait()
			select {
			case <-held.begun:
				running++
			default:
				more = false
			}
		}
		if running >= places || running < places/2 {
			t.Errorf("%d of %d places are taken", running, places)
		}
		newcomer := group.Request(t.Context())
		newcomer.Lookup("one", IPv4, 1)
		l := <-held.begun
		if l.host != "one." {
			t.Fatalf("%s begins", l.host)
		}
		l.answer <- one
		<-newcomer.Answers()
		cancel()
		synctest.Wait()
		for _, r := range requests {
			if r.running != 0 {
				t.Errorf("%d places are still held", r.running)
			}
		}
		if group.free != places || len(group.waiting) != 0 {
			t.Errorf("%d of %d places are free, %d wait", group.free, places, len(group.waiting))
		}
	})
}

// TestContextEnds: a lookup ends with its context, whether it asks the resolver, waits for a place,
// or has an answer that nobody takes.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		ctx, cancel := context.WithCancel(t.Context())
		r := newGroup(Config{Resolver: held, Lookups: 8, LookupsPerRequest: 3}).Request(ctx) // so that two run
		for id := range uint32(8) {
			r.Lookup(fmt.Sprintf("n.z%d", id), IPv4, id)
		}
		answered := <-held.begun
		answered.answer <- one // and not taken
		<-held.begun
		synctest.Wait()
		cancel()
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.turns.running != 0 || r.running != 0 || r.group.free != 8 {
			t.Errorf("%d lookups outlive their context, with %d places; %d are free", r.turns.running, r.running, r.group.free)
		}
	})
}

func TestLookupAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newGroup(Config{Resolver: newHeldResolver()}).Request(ctx)
	cancel()
	r.Lookup("a", Any, 1)
	if r.turns.running != 0 || len(r.open) != 0 {
		t.Error("a lookup began after its context had ended")
	}
}

// TestEveryIDComesBackOnce, with three requests that ask at once for few names, over few places.
func TestEveryIDComesBackOnce(t *testing.T) { synctest.Test(t, everyIDComesBackOnce) }

func everyIDComesBackOnce(t *testing.T) {
	const ids, names, perRequest, inAll = 4000, 37, 5, 7
	var running, most atomic.Int32
	group := newGroup(Config{
		Lookups: inAll, LookupsPerRequest: perRequest, Keep: -1, KeepFailures: -1,
		Resolver: resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			runtime.Gosched()
			return one, nil
		}),
	})
	done := make(chan error)
	for range 3 {
		go func() {
			r := group.Request(t.Context())
			go func() {
				for id := range uint32(ids) {
					r.Lookup(fmt.Sprint("n", id%names), Family(id%3), id)
				}
			}()
			seen := make(map[uint32]bool, ids)
			for len(seen) < ids {
				answer := <-r.Answers()
				for _, id := range answer.Waiters {
					if seen[id] || answer.Name != fmt.Sprint("n", id%names) || answer.Family != Family(id%3) {
						done <- fmt.Errorf("id %d: seen %t, %+v", id, seen[id], answer)
						return
					}
					seen[id] = true
				}
				if (answer.Err != nil) != (answer.Family == IPv6) {
					done <- errors.New("IPv4 for IPv6: " + answer.Name)
					return
				}
			}
			done <- nil
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := most.Load(); got > 2*inAll {
		t.Errorf("%d queries at once, want at most two for each of %d places", got, inAll)
	}
}
