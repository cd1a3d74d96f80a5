package quota

import "time"

// A tick is the unit that touches of ports are timed in: 1.024 µs.
const tickBits = 10

// touch is one port and when it was last touched, in 8 bytes, since there are millions of them: the port in the low 16 bits, above
// it the ticks, which turn over every nine years. Differences are right as long as they are under half of that.
type touch int64

const (
	portBits = 16
	portMask = 1<<portBits - 1
)

func newTouch(now int64, port uint16) touch { return touch(now>>tickBits<<portBits | int64(port)) }

func (t touch) port() uint16 { return uint16(t & portMask) }

// ticksUntil returns how many ticks t is before later, negative where it is after it.
func (t touch) ticksUntil(later touch) int64 { return int64(later&^portMask-t&^portMask) >> portBits }

// window is a time as the number of ticks after which it has certainly passed. Both ends are rounded down to a tick, so one more
// than its length.
type window int64

func newWindow(length time.Duration) window {
	return window((int64(min(length, MaxWindow))+1<<tickBits-1)>>tickBits + 1)
}

// remaining returns how many nanoseconds t still counts in the window at now, 0 or less where it does not any more.
func (w window) remaining(t touch, now int64) int64 {
	ticks := int64(w) - t.ticksUntil(newTouch(now, 0))
	return ticks<<tickBits - now&(1<<tickBits-1)
}

// counts reports whether t still counts in the window at the time of the touch now.
func (w window) counts(t, now touch) bool { return t.ticksUntil(now) < int64(w) }
