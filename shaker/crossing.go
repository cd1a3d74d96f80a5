package shaker

import "sync/atomic"

// crossings finds answers that may have come from another probe of this engine instead of from a target.
//
// Toward a closed port of this very host there may be one of our own sockets that the kernel gave just that port to send from,
// and that is knocking at the port we send from: two SYNs cross, and each of the two is answered (a simultaneous open, RFC
// 9293 section 3.5; where the SYN of the other had come before we were there, its answer to ours looks like any listener's).
// So nothing in the answer tells, but that some probe of ours was under way to our source port while ours was.
//
// It holds a word for each local port that probes are sent from, shared by all shards: a probe whose target has such a
// port, on whichever host, knocks before its connect(2) and leaves after its socket was disconnected or closed. Its invariant:
// whoever could have answered a probe has knocked before that probe ended, and either has not left or left after it
// began. Probes of other processes are not seen; they would have to knock at our source port too.
type crossings struct {
	low   uint16
	doors []door // one per local port, from low on
}

type door struct {
	knocking atomic.Int32
	left     atomic.Int64 // clock of the last leaving
}

func newCrossings(low, high int) crossings {
	return crossings{low: uint16(low), doors: make([]door, high-low+1)}
}

// door returns that of a port; nil if no probe is sent from it.
func (c *crossings) door(port uint16) *door {
	if i := int(port) - int(c.low); i >= 0 && i < len(c.doors) {
		return &c.doors[i]
	}
	return nil
}

// knock notes that a probe to the port is about to begin.
func (c *crossings) knock(port uint16) {
	if d := c.door(port); d != nil {
		d.knocking.Add(1)
	}
}

// leave notes that it has ended.
func (c *crossings) leave(port uint16) {
	if d := c.door(port); d != nil {
		d.left.Store(clock())
		d.knocking.Add(-1)
	}
}

// possible reports whether a probe to the port was under way at some time since began.
func (c *crossings) possible(port uint16, began int64) bool {
	d := c.door(port)
	return d != nil && (d.knocking.Load() > 0 || d.left.Load() >= began)
}
