package quota

import (
	"errors"
	"fmt"
	"math"
)

// The greatest figures of a Rate.
const (
	MaxPerSecond = 1e9 // one per nanosecond, the unit of all times here
	MaxBurst     = 1 << 30
)

// Rate is how much may be used: Burst at once, and PerSecond on the long run. The zero value is no limit.
type Rate struct {
	// PerSecond is how many tokens come in a second, 0 to MaxPerSecond. 0: no limit, and nothing is counted. The time
	// between two is rounded up to a whole nanosecond: 300,000 per second become 299,940, 1,000,000 stay.
	PerSecond float64

	// Burst is how many tokens a full bucket has, and so the most that one Take can get: 1 to MaxBurst. Without a PerSecond it
	// means nothing. What would take more than 36 years to come (horizon) does not fit in a bucket.
	Burst int
}

// Validate returns all that is wrong with r. A Rate that it finds fault with is kept as well, but lets nothing through where
// PerSecond is not a number or negative, or Burst is less than 1; greater figures count as the greatest.
func (r Rate) Validate() error {
	var errs []error
	if !(r.PerSecond >= 0 && r.PerSecond <= MaxPerSecond) { // NaN is neither
		errs = append(errs, fmt.Errorf("rate of %v per second: must be 0 (no limit) to %.0f", r.PerSecond, float64(MaxPerSecond)))
	}
	if r.PerSecond != 0 && (r.Burst < 1 || r.Burst > MaxBurst) {
		errs = append(errs, fmt.Errorf("burst %d: must be 1 to %d", r.Burst, MaxBurst))
	}
	return errors.Join(errs...)
}

func (r Rate) limited() bool { return r.PerSecond != 0 }

// horizon is the longest time that a bucket takes to fill, in nanoseconds: 36 years. never is a cost beyond every depth.
const (
	horizon = 1 << 60
	never   = horizon + 1
)

// charge is a number of tokens as times at one Rate, in nanoseconds.
type charge struct {
	depth int64 // how long an empty bucket takes to be full: 0 to horizon
	cost  int64 // how long the tokens take to come: at most depth, or never where they do not fit; booked, at most horizon, or never
}

// Full returns how many tokens a full bucket has, and so the most that one Take can get: Burst, or
// fewer if so many take more than 36 years to come. Without a PerSecond it returns 0.
func (r Rate) Full() int {
	if !r.limited() {
		return 0
	}
	return int(r.full(r.spacing()))
}

func (r Rate) full(spacing int64) int64 {
	full := min(int64(max(r.Burst, 0)), MaxBurst)
	if spacing > horizon/MaxBurst { // of more than a second; a division is as slow as all the rest
		full = min(full, horizon/spacing)
	}
	return full
}

// charge returns what n tokens cost at r, which is limited; n at least 1.
func (r Rate) charge(n int) charge {
	spacing := r.spacing()
	full := r.full(spacing)
	if int64(n) > full {
		return charge{depth: full * spacing, cost: never}
	}
	return charge{depth: full * spacing, cost: int64(n) * spacing}
}

// booking returns what n tokens cost at r that may be more than a full bucket has.
func (r Rate) booking(n int) charge {
	c := r.charge(1)
	if c.cost == never {
		return c
	}
	if int64(n) > horizon/c.cost {
		return charge{depth: c.depth, cost: never}
	}
	c.cost *= int64(n)
	return c
}

// refund returns what n tokens are worth at r when they come back: more than a full bucket where they are of several charges.
func (r Rate) refund(n int) charge {
	c := r.charge(1)
	if c.cost == never {
		return charge{}
	}
	c.cost *= min(int64(n), 2*horizon/c.cost+1) // nothing is further from full: horizon ahead, depth behind
	return c
}

// spacing returns the time between two tokens: 1 to horizon, or never. It is a whole number, so that n tokens cost the same one by
// one and all together, and coming back are worth what they cost.
//
// The quotient is rounded, and may lie below the true value on a whole number; FMA gives the exact sign of the remainder. A
// float64 beyond 2⁵³ is a whole number itself, so there the step is to the next of them.
func (r Rate) spacing() int64 {
	if !(r.PerSecond > 0) {
		return never
	}
	perSecond := min(r.PerSecond, MaxPerSecond)
	spacing := math.Ceil(1e9 / perSecond)
	if math.FMA(spacing, perSecond, -1e9) < 0 {
		spacing = math.Ceil(math.Nextafter(spacing, math.Inf(1)))
	}
	if spacing > horizon {
		return never
	}
	return int64(spacing)
}
