package quota

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// at is a time of the tests' clock.
func at(since time.Duration) time.Time { return epoch.Add(since) }

const (
	ms     = time.Millisecond
	always = time.Duration(math.MaxInt64)
)

func TestBucketTake(t *testing.T) {
	const give = true
	ten := Rate{10, 10} // 100 ms each
	type step struct {
		now  time.Duration
		give bool
		n    int
		most time.Duration
		wait time.Duration
		ok   bool
	}
	for _, test := range []struct {
		name  string
		rate  Rate
		steps []step
	}{
		{"a new one is full", ten, []step{{n: 10, ok: true}, {n: 1, wait: 100 * ms}}},
		{"at any time", ten, []step{{now: time.Hour, n: 10, ok: true}, {now: time.Hour, n: 1, wait: 100 * ms}}},
		{"before the epoch", ten, []step{{now: -time.Hour, n: 10, ok: true}, {now: -time.Hour, n: 1, wait: 100 * ms}}},
		{"empty just at the epoch", ten, []step{
			{now: -time.Second, n: 10, ok: true},
			{now: -time.Second, n: 10, most: always, wait: time.Second, ok: true}, // empty at 0
			{n: 1, wait: 100 * ms},
		}},
		{"tokens come one by one", ten, []step{
			{n: 10, ok: true},
			{now: 100*ms - 1, n: 1, wait: 1},
			{now: 100 * ms, n: 1, ok: true},
			{now: 100 * ms, n: 1, wait: 100 * ms},
			{now: 350 * ms, n: 3, wait: 50 * ms},
			{now: 350 * ms, n: 2, ok: true},
		}},
		{"no fuller than full", ten, []step{
			{n: 10, ok: true},
			{now: time.Hour, n: 11, wait: 0},
			{now: time.Hour, n: 10, ok: true},
			{now: time.Hour, n: 1, wait: 100 * ms},
		}},
		{"reservations in order", ten, []step{
			{n: 10, ok: true},
			{n: 5, most: time.Second, wait: 500 * ms, ok: true},
			{n: 1, most: time.Second, wait: 600 * ms, ok: true},
			{n: 5, most: time.Second, wait: 1100 * ms}, // too long: nothing is charged
			{n: 4, most: time.Second, wait: time.Second, ok: true},
			{now: time.Second, n: 1, wait: 100 * ms},
		}},
		{"more than the burst tells when full", ten, []step{
			{n: 11, most: always},
			{n: 10, ok: true},
			{n: 11, most: always, wait: time.Second},
			{n: 5, most: always, wait: 500 * ms, ok: true},
			{n: math.MaxInt, most: always, wait: 1500 * ms},
			{now: 1400 * ms, n: 11, most: always, wait: 100 * ms},
			{now: 1500 * ms, n: 11, most: always},
		}},
		{"a negative most is none", ten, []step{{n: 10, most: -1, ok: true}, {n: 1, most: -1, wait: 100 * ms}}},
		{"nothing costs nothing", ten, []step{{n: 0, ok: true}, {n: -5, ok: true}, {n: 10, ok: true}, {n: -5, ok: true}, {n: 1, wait: 100 * ms}}},
		{"what is given back", ten, []step{
			{n: 10, ok: true},
			{give: give, n: 3},
			{n: 4, wait: 100 * ms},
			{n: 3, ok: true},
			{n: 1, wait: 100 * ms},
		}},
		{"given back, never above full", ten, []step{
			{n: 2, ok: true},
			{give: give, n: 10},
			{n: 10, ok: true},
			{n: 1, wait: 100 * ms},
			{now: 950 * ms, give: give, n: 1},
			{now: 950 * ms, n: 11, wait: 0}, // full
			{now: 950 * ms, n: 10, ok: true},
			{now: 950 * ms, n: 1, wait: 100 * ms},
			{now: 950 * ms, give: give, n: math.MaxInt},
			{now: 950 * ms, n: 10, ok: true},
			{now: 950 * ms, n: 1, wait: 100 * ms},
		}},
		{"given back to one that is full", ten, []step{
			{give: give, n: 5},
			{n: 10, ok: true},
			{now: time.Hour, give: give, n: 5},
			{now: time.Hour, n: 10, ok: true},
			{now: time.Hour, n: 1, wait: 100 * ms},
			{now: time.Hour, give: give, n: -1},
			{now: time.Hour, n: 1, wait: 100 * ms},
		}},
		{"given back while others wait", ten, []step{
			{n: 10, ok: true},
			{n: 10, most: always, wait: time.Second, ok: true},
			{give: give, n: 10},
			{n: 1, wait: 100 * ms}, // shorter than that of those who wait, and not negative
		}},
		{"given back of several takes at once", ten, []step{
			{n: 10, ok: true},
			{n: 10, most: always, wait: time.Second, ok: true},
			{n: 10, most: always, wait: 2 * time.Second, ok: true},
			{give: give, n: 15},
			{n: 1, wait: 600 * ms},
			{give: give, n: 15},
			{n: 10, ok: true},
		}},
		{"no limit counts nothing", Rate{0, 1}, []step{
			{n: math.MaxInt, ok: true},
			{n: math.MaxInt, ok: true},
			{give: give, n: 5},
		}},
		{"rounded up", Rate{3, 2}, []step{ // 333,333,333.3 ns each
			{n: 1, ok: true},
			{n: 1, ok: true},
			{n: 1, wait: 333333334},
			{now: 333333333, n: 1, wait: 1},
			{now: 333333334, n: 1, ok: true},
			{now: 333333334, n: 1, wait: 333333334},
			{now: 333333334, give: give, n: 1},
			{now: 333333334, n: 1, ok: true},
		}},
		{"the fastest", Rate{1e9, MaxBurst}, []step{
			{n: MaxBurst, ok: true},
			{n: 1, wait: 1},
			{n: MaxBurst, most: always, wait: MaxBurst, ok: true},
			{now: 2 * MaxBurst, n: MaxBurst, ok: true},
		}},
		{"the slowest", Rate{1e-9, MaxBurst}, []step{
			{n: 1, ok: true},
			{n: 2, most: always, wait: 1e18}, // never: after 31 years it is full with one
			{n: 1, most: always, wait: 1e18, ok: true},
			{n: 1, most: always, wait: 2e18}, // beyond the horizon
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b Bucket
			for i, s := range test.steps {
				if s.give {
					b.Return(test.rate, at(s.now), s.n)
					continue
				}
				if wait, ok := b.Take(test.rate, at(s.now), s.n, s.most); wait != s.wait || ok != s.ok {
					t.Errorf("step %d: %v, %t; want %v, %t", i, wait, ok, s.wait, s.ok)
				}
			}
		})
	}
}

func TestBucketBook(t *testing.T) {
	const years = horizon / 1_000_000_000 // 36
	ten := Rate{10, 10}                   // 100 ms each
	type step struct {
		now, wait time.Duration
		n         int
		ok        bool
	}
	for _, test := range []struct {
		name  string
		rate  Rate
		steps []step
	}{
		{"what it has, at once", ten, []step{{n: 10, ok: true}, {n: 1, wait: 100 * ms, ok: true}}},
		{"more than full waits for what is missing", ten, []step{
			{n: 11, wait: 100 * ms, ok: true},
			{n: 1, wait: 200 * ms, ok: true}, // those who come later are behind it
			{now: 200 * ms, n: 25, wait: 2500 * ms, ok: true},
			{now: time.Hour, n: 25, wait: 1500 * ms, ok: true}, // idleness saves up no more than a burst
		}},
		{"nothing costs nothing", ten, []step{{n: 0, ok: true}, {n: -5, ok: true}, {n: 10, ok: true}}},
		{"no limit", Rate{0, 1}, []step{{n: math.MaxInt, ok: true}, {n: math.MaxInt, ok: true}}},
		{"36 years", Rate{1, 1}, []step{
			{n: years, wait: (years - 1) * time.Second, ok: true},
			{n: 1, wait: years * time.Second, ok: true},
			{n: 1, wait: (years + 1) * time.Second},
			{n: math.MaxInt, wait: (years + 1) * time.Second},
		}},
		{"nothing ever comes", Rate{1e-12, 5}, []step{{n: 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b Bucket
			for i, s := range test.steps {
				if wait, ok := b.Book(test.rate, at(s.now), s.n); wait != s.wait || ok != s.ok {
					t.Errorf("step %d: %v, %t; want %v, %t", i, wait, ok, s.wait, s.ok)
				}
			}
		})
	}
}

// TestBookedGivenBack: what was booked and not used comes back whole.
func TestBookedGivenBack(t *testing.T) {
	ten := Rate{10, 10}
	var b Bucket
	if wait, ok := b.Book(ten, at(0), 256); wait != 24600*ms || !ok {
		t.Errorf("%v, %t", wait, ok)
	}
	b.Return(ten, at(0), 255)
	if wait, ok := b.Take(ten, at(0), 9, 0); wait != 0 || !ok {
		t.Errorf("nine that are left: %v, %t", wait, ok)
	}
	if wait, ok := b.Take(ten, at(0), 1, 0); wait != 100*ms || ok {
		t.Errorf("one that is not: %v, %t", wait, ok)
	}
}

// TestForgive: debts end, and what is left in a bucket stays as it is.
func TestForgive(t *testing.T) {
	ten := Rate{10, 10}
	var b Bucket
	b.Forgive(at(0)) // a new one
	b.Take(ten, at(0), 3, 0)
	b.Forgive(at(0))
	if wait, ok := b.Take(ten, at(0), 8, 0); ok || wait != 100*ms {
		t.Errorf("8 of 7: %v, %t", wait, ok)
	}
	b.Book(ten, at(0), 1000)
	b.Forgive(at(0))
	if wait, ok := b.Take(ten, at(0), 1, 0); ok || wait != 100*ms {
		t.Errorf("one of none: %v, %t", wait, ok)
	}
}

// TestReturnThenReload: what is given back fills a bucket to what it was when it was full, not to what a later rate makes of it, and
// takes nothing from one that was full for long.
func TestReturnThenReload(t *testing.T) {
	ten, hundred := Rate{10, 10}, Rate{10, 100}
	var b Bucket
	b.Take(ten, at(0), 10, 0)
	b.Return(ten, at(0), 100)
	if wait, ok := b.Take(hundred, at(0), 11, 0); ok || wait != 100*ms {
		t.Errorf("11 of the 10 that were given back: %v, %t", wait, ok)
	}
	b.Take(ten, at(0), 1, 0)
	b.Return(ten, at(time.Hour), 1)
	if wait, ok := b.Take(hundred, at(time.Hour), 100, 0); !ok {
		t.Errorf("100 after an hour: %v, %t", wait, ok)
	}
}

// TestLoweredRate holds the second invariant: a bucket under a rate that only falls grants nothing that one would refuse whose rate
// stays as it was, and from which the same was taken.
func TestLoweredRate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	lowered, granted := 0, 0
	for range 2000 {
		first := Rate{1 + r.Float64()*1e4, 1 + r.IntN(200)}
		rate := first
		var low, high Bucket
		now := time.Duration(0)
		for range 50 {
			now += time.Duration(r.Float64() * 20 / rate.PerSecond * 1e9)
			if r.IntN(10) == 0 {
				rate = Rate{rate.PerSecond * (0.1 + 0.9*r.Float64()), 1 + r.IntN(rate.Burst)}
				lowered++
			}
			n := 1 + r.IntN(rate.Burst)
			if _, ok := low.Take(rate, at(now), n, 0); ok {
				granted++
				if wait, ok := high.Take(first, at(now), n, 0); !ok && wait > 0 {
					t.Fatalf("%+v grants %d at %v, which it would not as %+v for %v more", rate, n, now, first, wait)
				}
			}
		}
	}
	if lowered < 5000 || granted < 5000 {
		t.Errorf("%d times lowered, %d grants: nothing is proved", lowered, granted)
	}

	var b Bucket
	b.Take(Rate{100, 100}, at(0), 100, 0)
	if wait, ok := b.Take(Rate{10, 100}, at(0), 1, 0); ok || wait != 100*ms {
		t.Errorf("an empty bucket, lowered: %v, %t", wait, ok)
	}
	b.Take(Rate{100, 100}, at(0), 100, always)
	if wait, _ := b.Take(Rate{10, 100}, at(0), 1, 0); wait != 1100*ms {
		t.Errorf("a bucket that others wait for, lowered: %v", wait)
	}
}
