package shaker

import (
	"math"
	"time"
)

var epoch = time.Now()

// clock is the engine's only clock: nanoseconds since the program began, on the monotonic clock, which no one sets.
// time.Since reads nothing else where its argument has a monotonic reading.
func clock() int64 { return int64(time.Since(epoch)) }

// after is a time d later than now, or the end of time: a timeout that is too long to add is not to end at once.
func after(now int64, d time.Duration) int64 {
	if int64(d) > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + int64(d)
}
