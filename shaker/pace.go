package shaker

import (
	"math"
	"sync/atomic"
	"time"
)

// paceBurst is how far starts may run ahead of the even pace: a loop that sleeps has a millisecond's grain, so without it the
// pace would not be kept.
const paceBurst = int64(2 * time.Millisecond)

// pace keeps all shards together at one rate of starts, smoothly: the generic cell rate algorithm (ITU-T I.371) in one word
// that the shards share. The zero value sets no limit.
type pace struct {
	interval int64        // between two starts, ns; 0: no limit
	next     atomic.Int64 // when the next start would be due at the even pace
}

func (p *pace) set(rate float64) {
	if rate > 0 {
		p.interval = int64(min(math.Ceil(1e9/rate), math.MaxInt64/4))
	}
}

// take asks for one start. It returns 0 where it may be made now, else when to ask again.
func (p *pace) take(now int64) (retry int64) {
	if p.interval == 0 {
		return 0
	}
	for {
		due := p.next.Load()
		if due-now > paceBurst {
			return due - paceBurst
		}
		if p.next.CompareAndSwap(due, max(due, now)+p.interval) {
			return 0
		}
	}
}
