package quota

import "time"

// epoch is a time of this process, with its monotonic reading, that others are compared with.
var epoch = time.Now()

const (
	// atEpoch is what epoch is in this package's nanoseconds: they begin 146 years before it. So 0, which a Bucket holds that nobody
	// took from, is so long ago that it is full at whatever rate.
	atEpoch = 1 << 62

	// farthest is the greatest distance from epoch, in nanoseconds, at which times are told apart: 36 years. (In a bubble of
	// testing/synctest it is the year 2000.) With horizon it keeps every sum here inside an int64.
	farthest = 1 << 60
)

// nanos returns now in nanoseconds: atEpoch ± farthest.
func nanos(now time.Time) int64 {
	return atEpoch + min(max(int64(now.Sub(epoch)), -farthest), farthest)
}
