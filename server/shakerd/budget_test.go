package main

import (
	"math"
	"testing"
)

func TestBudget(t *testing.T) {
	tests := []struct {
		fds    int
		want   budget
		probes int // with no --max-in-flight
	}{
		{0, budget{1, 1, 1}, 1},
		{64, budget{16, 4, 1}, 1},
		{1024, budget{256, 64, 512}, 512},
		{20000, budget{1024, 256, 18336}, 18336},
		{1 << 20, budget{1024, 256, 1<<20 - 1664}, 65536},
		{math.MaxInt32, budget{1024, 256, math.MaxInt32 - 1664}, 65536},
	}
	for _, tt := range tests {
		got := budgetOf(tt.fds)
		if got != tt.want || got.probes(0) != tt.probes {
			t.Errorf("%d descriptors: %+v, %d probes; want %+v, %d", tt.fds, got, got.probes(0), tt.want, tt.probes)
		}
	}
	for fds := range 4096 {
		b := budgetOf(fds)
		if sum := b.connections + lookupFDs*b.lookups + b.rest + otherFDs; b.rest > 1 && sum > fds {
			t.Fatalf("%d descriptors: %d given out by %+v", fds, sum, b)
		}
	}
	b := budgetOf(1 << 20)
	for asked, want := range map[int]int{1: 1, 100_000: 100_000, 1 << 20: b.rest} {
		if got := b.probes(asked); got != want {
			t.Errorf("%d asked for: %d, want %d", asked, got, want)
		}
	}
	if got := clampFDs(math.MaxUint64); got != math.MaxInt32 {
		t.Errorf("RLIM_INFINITY is %d", got)
	}
}
