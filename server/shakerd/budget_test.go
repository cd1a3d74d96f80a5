package main

import (
	"math"
	"testing"
)

func TestBudget(t *testing.T) {
	for fds, want := range map[int]budget{
		0:             {1, 1, 131},
		64:            {16, 4, 152},
		1024:          {256, 64, 512},
		20_000:        {1024, 256, 1664},
		math.MaxInt32: {1024, 256, 1664},
	} {
		if got := budgetOf(fds, false); got != want {
			t.Errorf("%d descriptors: %+v, want %+v", fds, got, want)
		}
	}
	for fds := range 4096 {
		b := budgetOf(fds, false)
		if sum := b.connections + lookupFDs*b.lookups + otherFDs; b.reserved != sum || fds >= 512 && fds-sum < fds/4 {
			t.Fatalf("%d descriptors: %d given out by %+v", fds, sum, b)
		}
		if m := budgetOf(fds, true); m.reserved != b.reserved+scrapeFDs {
			t.Fatalf("%d descriptors: %+v, with metrics %+v", fds, b, m)
		}
	}
	if got := clampFDs(math.MaxUint64); got != math.MaxInt32 {
		t.Errorf("RLIM_INFINITY is %d", got)
	}
}
