package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestLookupIsShared: who asks for a name that is being looked up gets that lookup's answer; another family is another
// lookup, and so is the same name asked for later.
func TestLookupIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		r := NewGroup(Config{Resolver: held}).Request(t.Context())
		r.Lookup("a.example", Any, 1)
		first := <-held.begun
		r.Lookup("a.example", Any, 2)
		r.Lookup("a.example", IPv6, 3)
		r.Lookup("a.example", Any, 2) // an id may come twice

		second := <-held.begun
		if first.network != "ip" || second.network != "ip6" || first.host != "a.example." || second.host != "a.example." {
			t.Errorf("asked %+v and %+v", first, second)
		}
		first.answer <- one
		got := <-r.Answers()
		if got.Name != "a.example" || got.Family != Any || got.Err != nil ||
			!slices.Equal(got.Waiters, []uint32{1, 2, 2}) || !slices.Equal(got.Addrs, one) {
			t.Errorf("first answer: %+v", got)
		}

		r.Lookup("a.example", Any, 4)
		third := <-held.begun
		second.answer <- nil
		third.answer <- one
		for range 2 {
			got := <-r.Answers()
			want := map[Family][]uint32{Any: {4}, IPv6: {3}}[got.Family]
			if !slices.Equal(got.Waiters, want) || (got.Err != nil) != (got.Family == IPv6) {
				t.Errorf("answer: %+v", got)
			}
		}
		synctest.Wait()
		if len(r.open) != 0 || len(r.queue) != 0 || r.workers != 0 {
			t.Errorf("left behind: %v, %v, %d workers", r.open, r.queue, r.workers)
		}
	})
}

// TestBoundPerRequest: no more lookups run than allowed, the others follow in the order in which they were asked for, and
// those who ask for one that waits join it.
func TestBoundPerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		r := NewGroup(Config{Resolver: held, LookupsPerRequest: 2}).Request(t.Context())
		for id := range uint32(6) {
			r.Lookup(fmt.Sprint("n", id), Any, id)
		}
		r.Lookup("n5", Any, 55)
		running := map[string]*heldLookup{}
		for range 2 {
			l := <-held.begun
			running[l.host] = l
		}
		if !slices.Equal(slices.Sorted(maps.Keys(running)), []string{"n0.", "n1."}) {
			t.Fatalf("the first two: %v", running)
		}
		synctest.Wait()
		select {
		case l := <-held.begun:
			t.Fatalf("%s runs beside two others", l.host)
		default:
		}
		last := running["n1."]
		running["n0."].answer <- one
		for id := uint32(0); id < 6; id++ {
			want := []uint32{id}
			if id == 1 {
				continue // it stays, to the end
			}
			if id == 5 {
				want = []uint32{5, 55}
			}
			if got := <-r.Answers(); !slices.Equal(got.Waiters, want) {
				t.Fatalf("answer for %v, want %v", got.Waiters, want)
			}
			if id < 5 {
				l := <-held.begun
				if want := fmt.Sprint("n", max(id+1, 2), "."); l.host != want {
					t.Fatalf("%s is next, want %s", l.host, want)
				}
				l.answer <- one
			}
		}
		last.answer <- one
		<-r.Answers()
	})
}

// TestBoundOfGroup: the bound holds over all requests; a request whose reader is slow holds no place; a request that ends
// while it waits leaves the line.
func TestBoundOfGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		group := NewGroup(Config{Resolver: held, Lookups: 1})
		slow := group.Request(t.Context())
		slow.Lookup("slow", Any, 1)
		first := <-held.begun

		leaving, leave := context.WithCancel(t.Context())
		group.Request(leaving).Lookup("leaving", Any, 1)
		synctest.Wait() // it stands in the line before the next one
		next := group.Request(t.Context())
		next.Lookup("next", Any, 1)
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

// TestNewcomersFindAPlace: requests with many names that hang, as with a dead name server, do not take all places: who comes
// with one name is served at once, and when all is over every place is free.
func TestNewcomersFindAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, greedy = DefaultLookups, 100
		held := newHeldResolver()
		group := NewGroup(Config{Resolver: held, Lookups: places})
		ctx, cancel := context.WithCancel(t.Context())
		var requests []*Request
		for range greedy {
			r := group.Request(ctx)
			for id := range uint32(100) {
				r.Lookup(fmt.Sprint("n", id), Any, id)
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
		newcomer.Lookup("one", Any, 1)
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

// TestContextEnds: whatever a worker is at (the resolver, the line, an answer that nobody takes), it ends with the context.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := newHeldResolver()
		ctx, cancel := context.WithCancel(t.Context())
		r := NewGroup(Config{Resolver: held, Lookups: 8, LookupsPerRequest: 3}).Request(ctx) // so that two run
		for id := range uint32(8) {
			r.Lookup(fmt.Sprint("n", id), Any, id)
		}
		answered := <-held.begun
		answered.answer <- one // and not taken
		<-held.begun
		<-held.begun
		synctest.Wait()
		cancel()
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.workers != 0 {
			t.Errorf("%d workers outlive their context", r.workers)
		}
	})
}

func TestLookupAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := NewGroup(Config{Resolver: newHeldResolver()}).Request(ctx)
	cancel()
	r.Lookup("a", Any, 1)
	if r.workers != 0 || len(r.open) != 0 {
		t.Error("a lookup began after its context had ended")
	}
}

// TestEveryIDComesBackOnce, with many who ask at once, for few names, over few places.
func TestEveryIDComesBackOnce(t *testing.T) {
	const ids, names, perRequest, inAll = 4000, 37, 5, 7
	var running, most atomic.Int32
	group := NewGroup(Config{
		Lookups: inAll, LookupsPerRequest: perRequest,
		Resolver: resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
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
	if got := most.Load(); got > inAll {
		t.Errorf("%d lookups at once, want at most %d", got, inAll)
	}
}
