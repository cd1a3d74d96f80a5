package shaker

import (
	"math"
	"time"
)

var epoch = time.Now()

// clock is the engine's only clock: nanoseconds since the program began, on the monotonic clock, which no one sets.
// time.Since reads nothing else where its argument has a monotonic reading.
func clock() int64 { return int64(time.Since(epoch)) }

// never is a clock reading that does not come, with room above it to calculate in.
const never = math.MaxInt64 / 2

// after is a time d later than now, or never: a timeout that is too long to add is not to end at once.
func after(now int64, d time.Duration) int64 {
	if int64(d) > never-now {
		return never
	}
	return now + int64(d)
}
