package quota

import (
	"sync/atomic"
	"time"
)

// Bucket is a token bucket of one caller, one destination, or the whole service. The zero value is full. Safe for concurrent
// use, without locks. A Bucket must not be copied.
//
// It is the generic cell rate algorithm (ITU-T I.371, annex A) with one change. That algorithm keeps the time at which the
// bucket would be full again; a reload to a lower rate, whose bucket takes longer to fill, would find tokens in it that never
// came. So what is kept is the time at which the bucket was, or will be, empty: depth earlier. What came since is counted at the
// rate of now, so a lowered rate never adds tokens. A raised one may, up to its Burst.
type Bucket struct {
	// empty is when the bucket was last empty, or will be once all those who wait were served (clock.go).
	empty atomic.Int64
}

// Take takes n tokens. They may be used after wait, which is 0 where the bucket has them; those who come later are put behind.
//
// It takes nothing and returns ok=false in two cases. Where the wait would be longer than most, wait is how long it would be; a
// negative most counts as 0, and one of more than 36 years as that. Where n is more than a full bucket has (r.Burst), no wait is
// long enough, and wait is how long until the bucket is full, 0 if it is.
//
// Where r.PerSecond is 0, or n less than 1, it is always ok, at once, and nothing is counted. r may differ between calls: what
// others wait for stays promised to them.
func (b *Bucket) Take(r Rate, now time.Time, n int, most time.Duration) (wait time.Duration, ok bool) {
	if !r.limited() || n < 1 {
		return 0, true
	}
	nanoseconds, ok := b.take(r.charge(n), nanos(now), min(max(int64(most), 0), horizon))
	return time.Duration(nanoseconds), ok
}

// Book is Take for who can wait and must not be refused: n may be more than a full bucket has, and waits for what is missing. So in a
// span of t at most the greatest n and PerSecond × t are used, or Burst and that, if it is more. It is ok unless the wait would be
// longer than 36 years; then nothing is taken, and wait is as Take's. Without a rate, or with n less than 1, it is ok at once.
func (b *Bucket) Book(r Rate, now time.Time, n int) (wait time.Duration, ok bool) {
	if !r.limited() || n < 1 {
		return 0, true
	}
	nanoseconds, ok := b.take(r.booking(n), nanos(now), horizon)
	return time.Duration(nanoseconds), ok
}

// Return gives back n tokens of a Take or a Book that were not used, and no more than that; the bucket gets no fuller than full. It
// shortens the waits of those who come later. The waits of those who wait already were told and stay, so a later taker may be served
// before them; with tokens that were given back since those began to wait, more than Burst may then be used at one time.
//
// In general: in any span, tokens that were given back in it, or while those waited who used theirs in it, come on top of
// Burst + PerSecond × t. All of them were taken, and waited for, without being used. Those who hold tokens for long without using
// them should give them back as soon as that is certain, lest they come together.
func (b *Bucket) Return(r Rate, now time.Time, n int) {
	if r.limited() && n >= 1 {
		b.put(r.refund(n), nanos(now))
	}
}

// Forgive ends the debts of those who wait: the bucket is empty at worst. Who waits has to take anew. It is for a rate that was
// raised, since what was promised to those who wait stays in time, which was long at the old rate.
func (b *Bucket) Forgive(now time.Time) {
	for at := nanos(now); ; {
		kept := b.empty.Load()
		if kept <= at || b.empty.CompareAndSwap(kept, at) {
			return
		}
	}
}

// take is Take or Book for a charge, in nanoseconds; most is 0 to horizon.
func (b *Bucket) take(c charge, now, most int64) (wait int64, ok bool) {
	for {
		kept := b.empty.Load()
		empty := max(kept, now-c.depth)
		if c.cost == never {
			return max(empty+c.depth-now, 0), false
		}
		empty += c.cost
		wait = max(empty-now, 0)
		if wait > most {
			return wait, false
		}
		if b.empty.CompareAndSwap(kept, empty) {
			return wait, true
		}
	}
}

// put moves the time of emptiness back, at most to where the bucket is full.
func (b *Bucket) put(c charge, now int64) {
	full := now - c.depth
	for {
		kept := b.empty.Load()
		if kept <= full || b.empty.CompareAndSwap(kept, max(kept-c.cost, full)) {
			return
		}
	}
}

// Until returns how long until a Take of n would have nothing to wait for, if nobody else came: 0
// if it has nothing to wait for now, or if n is more than a full bucket has.
func (b *Bucket) Until(r Rate, now time.Time, n int) time.Duration {
	if !r.limited() || n < 1 || n > r.Full() {
		return 0
	}
	return time.Duration(b.until(r.charge(n), nanos(now)))
}

// until returns how long until a charge, which is not never, would be taken at once; 0: it would be
// now.
func (b *Bucket) until(c charge, now int64) int64 {
	return max(max(b.empty.Load(), now-c.depth)+c.cost-now, 0)
}
