package shaker

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	bounds := HistogramBounds()
	if !slices.IsSorted(bounds) || len(bounds) != len(Histogram{}.Buckets)-1 {
		t.Fatalf("bounds %v", bounds)
	}
	var h, other Histogram
	var want time.Duration
	for range 10_000 {
		d := time.Duration(rand.Int64N(int64(2 * bounds[len(bounds)-1])))
		d >>= rand.IntN(30)
		at, before := 0, h.Buckets
		for at < len(bounds) && d > bounds[at] {
			at++
		}
		h.observe(d)
		want += d
		before[at]++
		if h.Buckets != before {
			t.Fatalf("%v was not counted at %d", d, at)
		}
	}
	for _, d := range bounds { // a bound is inclusive, as Prometheus has it
		other.observe(d)
	}
	h.add(&other)
	for _, d := range bounds {
		want += d
	}
	if h.Count() != 10_000+uint64(len(bounds)) || math.Abs(h.Sum-want.Seconds()) > 1e-6 || other.Buckets[len(bounds)] != 0 {
		t.Errorf("%d counted, sum %v; want %v; %v", h.Count(), h.Sum, want, other)
	}
	for range 10 { // more than a Duration holds, which many that wait for minutes have within hours
		h.observe(math.MaxInt64)
		h.add(&h)
	}
	if least := time.Duration(math.MaxInt64).Seconds() * 10; h.Sum < least {
		t.Errorf("sum %v, want more than %v", h.Sum, least)
	}
}

func TestErrnoCounters(t *testing.T) {
	var c, other ErrnoCounters
	for _, errno := range []syscall.Errno{0, 1, 1, maxErrno, maxErrno + 1, ^syscall.Errno(0)} {
		c.count(errno)
	}
	other.count(2)
	c.add(&other)
	if got, want := maps.Collect(c.All()), (map[syscall.Errno]uint64{0: 3, 1: 2, 2: 1, maxErrno: 1}); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestStatsHoldUpNobody: a loop that finds somebody reading goes on without telling, and tells later.
func TestStatsHoldUpNobody(t *testing.T) {
	var p published
	p.mu.Lock() // somebody reads
	if p.set(gauges{queued: 1}, &Counters{Started: 1}, false) {
		t.Error("told while somebody was reading")
	}
	p.mu.Unlock()
	var s Stats
	if !p.set(gauges{queued: 2}, &Counters{Started: 2}, false) {
		t.Error("not told though nobody was reading")
	}
	if p.addTo(&s); s.Queued != 2 || s.Started != 2 {
		t.Errorf("%+v", s)
	}
}
