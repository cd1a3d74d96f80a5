package resolve

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemory: answers are used again for their time, failures for theirs, and not a moment longer.
func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		answer scriptedAnswer
		keep   time.Duration
	}{
		{"addresses", Config{}, isFound4, DefaultKeep},
		{"no address", Config{}, isEmpty, DefaultKeep},
		{"failure", Config{}, isFailed, DefaultKeepFailures},
		{"addresses, minute", Config{Keep: time.Minute}, isFound4, time.Minute},
		{"failure, minute", Config{KeepFailures: time.Minute}, isFailed, time.Minute},
		{"addresses, off", Config{Keep: -1}, isFound4, 0},
		{"no address, off", Config{Keep: -1}, isEmpty, 0},
		{"failure, off", Config{KeepFailures: -1}, isFailed, 0},
		{"silence, off", Config{KeepFailures: -1}, isSilent, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := &scripted{script: map[string]scriptedAnswer{"ip4 a.test.": tt.answer}}
				tt.config.Resolver = names
				g := newGroup(tt.config)
				ask := func(want int) {
					t.Helper()
					lookupIn(t.Context(), g, "a.test", IPv4)
					if n := names.count("ip4 a.test."); n != want {
						t.Errorf("%d queries, want %d", n, want)
					}
				}
				ask(1)
				if tt.keep > 0 {
					ask(1)
					time.Sleep(tt.keep - 1)
					ask(1)
					time.Sleep(time.Nanosecond)
				}
				ask(2)
				if tt.keep == 0 && (len(g.known.flights) != 0 || g.known.weight != 0) {
					t.Errorf("%d are remembered", len(g.known.flights))
				}
			})
		})
	}
}

// TestFloodOfNames: what is remembered is bounded by names and by addresses, and the oldest goes
// first.
func TestFloodOfNames(t *testing.T) {
	many := make([]netip.Addr, MaxAddrs)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
	}
	for _, tt := range []struct {
		addrs       []netip.Addr
		names, most int
	}{
		{one, 3 * maxWeight / baseWeight, maxWeight / baseWeight},
		{many, 3 * maxWeight / MaxAddrs, maxWeight / MaxAddrs},
	} {
		c := cache{keep: time.Hour, flights: make(map[question]*flight)}
		for i := range tt.names {
			f := &flight{question: question{fmt.Sprint("n", i), IPv4}, outcome: outcome{state: Found, addrs: tt.addrs}}
			c.put(f)
			c.finish(f)
		}
		weight := 0
		for _, f := range c.flights {
			weight += f.weight()
		}
		if len(c.flights) > tt.most || len(c.flights) < tt.most/2 || c.order.Len() != len(c.flights) {
			t.Errorf("%d names are remembered, %d in order; want at most %d", len(c.flights), c.order.Len(), tt.most)
		}
		if weight != c.weight || weight > maxWeight {
			t.Errorf("weight %d is counted as %d; want at most %d", weight, c.weight, maxWeight)
		}
		if c.get(question{fmt.Sprint("n", tt.names-1), IPv4}) == nil || c.get(question{"n0", IPv4}) != nil {
			t.Error("the newest is forgotten, or the oldest is not")
		}
	}
}
