package quota

import (
	"math"
	"math/big"
	"testing"
)

func TestRateValidate(t *testing.T) {
	for _, test := range []struct {
		rate  Rate
		valid bool
	}{
		{Rate{}, true},
		{Rate{0, -5}, true},
		{Rate{1, 1}, true},
		{Rate{1e-9, 1}, true},
		{Rate{1e9, 1 << 30}, true},
		{Rate{1, 0}, false},
		{Rate{1, -1}, false},
		{Rate{1, 1<<30 + 1}, false},
		{Rate{-1, 1}, false},
		{Rate{1.0001e9, 1}, false},
		{Rate{math.Inf(1), 1}, false},
		{Rate{math.Inf(-1), 1}, false},
		{Rate{math.NaN(), 1}, false},
	} {
		if err := test.rate.Validate(); (err == nil) != test.valid {
			t.Errorf("%+v: %v", test.rate, err)
		}
	}
}

// TestInvalidRates: a rate that Validate refuses fails closed, and panics nowhere.
func TestInvalidRates(t *testing.T) {
	for _, rate := range []Rate{
		{-1, 1},
		{math.NaN(), 1},
		{math.Inf(-1), 1},
		{1, 0},
		{1, math.MinInt},
		{math.SmallestNonzeroFloat64, 1 << 30},
	} {
		var b Bucket
		if wait, ok := b.Take(rate, at(0), 1, math.MaxInt64); ok {
			t.Errorf("%+v: let in after %v", rate, wait)
		}
		b.Return(rate, at(0), 1)
	}
	var b Bucket
	if wait, ok := b.Take(Rate{math.Inf(1), math.MaxInt}, at(0), MaxBurst, 0); !ok || wait != 0 {
		t.Errorf("more than the greatest rate: %v, %t", wait, ok)
	}
	if _, ok := b.Take(Rate{math.Inf(1), math.MaxInt}, at(0), math.MaxInt, math.MaxInt64); ok {
		t.Error("more than the greatest burst is let in")
	}
}

// FuzzSpacing holds spacing to the exact quotient: never below, and above by less than 1 ns, or one step of a float64.
func FuzzSpacing(f *testing.F) {
	for _, perSecond := range []float64{1e9, 1e-9, 3, 6.25e8, 1 / 0.333, 49999.99999999999, 5e-324, 0x1p-60 * 1e9} {
		f.Add(perSecond)
	}
	f.Fuzz(func(t *testing.T, perSecond float64) {
		if !(perSecond > 0 && perSecond <= MaxPerSecond) {
			return
		}
		exact := new(big.Rat).Quo(new(big.Rat).SetInt64(1e9), new(big.Rat).SetFloat64(perSecond))
		got := Rate{perSecond, 1}.spacing()
		if got == never {
			if exact.Cmp(new(big.Rat).SetInt64(horizon)) <= 0 {
				t.Fatalf("%v: beyond the horizon, exact is %v", perSecond, exact.FloatString(3))
			}
			return
		}
		over := new(big.Rat).Sub(new(big.Rat).SetInt64(got), exact)
		if got < 1 || got > horizon || over.Sign() < 0 || over.Cmp(new(big.Rat).SetInt64(max(1, got>>52))) >= 0 {
			t.Fatalf("%v: %d, exact is %v", perSecond, got, exact.FloatString(3))
		}
	})
}
