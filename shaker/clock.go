package shaker

import "time"

var epoch = time.Now()

// clock is the engine's only clock: nanoseconds since the program began, on the monotonic clock, which no one sets.
// time.Since reads nothing else where its argument has a monotonic reading.
func clock() int64 { return int64(time.Since(epoch)) }
