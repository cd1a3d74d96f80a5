package shaker

import (
	"sync/atomic"
	"time"
)

// doors knows of each local port what the engine's own probes do there. The shards share it, a few words for each port. It finds
// crossings:
//
// Toward a closed port of this very host there may be one of our own sockets that the kernel gave just that port to
// send from, and that is knocking at the port we send from. The two SYNs cross, and each of the two is answered (a simultaneous
// open, RFC 9293 section 3.5; where the SYN of the other came before we were there, its answer to ours looks like any
// listener's). So nothing in the answer tells, but that some probe of ours was under way to our source port while ours was.
type doors struct {
	all []door // of the ports from lowestDoor on
}

// lowestDoor is the lowest port that has a door: hardly anybody sends from those below, and most targets listen there.
const lowestDoor = 1024

// door is that of one port.
type door struct {
	knocking atomic.Int32 // probes under way to a target with this port
	left     atomic.Int64 // clock of the last of them that ended
}

// settling is the least age of a socket whose probe nobody answered when it is closed, and its source port free for another
// socket, be it of another engine or process: after 4.2 ms that one's sequence number is beyond the window of a server
// that still waits, see halfOpen, where the old one was at its first use.
const settling = int64(10 * time.Millisecond)

func newDoors() doors { return doors{all: make([]door, 1<<16-lowestDoor)} }

// of returns the door of a port, nil where it has none.
func (d *doors) of(port uint16) *door {
	if port < lowestDoor {
		return nil
	}
	return &d.all[port-lowestDoor]
}

// knock notes that a probe to the port is about to begin; leave, that it has ended, and its socket has been disconnected or closed.
func (d *doors) knock(port uint16) {
	if door := d.of(port); door != nil {
		door.knocking.Add(1)
	}
}

func (d *doors) leave(port uint16) {
	if door := d.of(port); door != nil {
		later(&door.left, clock())
		door.knocking.Add(-1)
	}
}

// crossed reports whether a probe to the port was under way at some time since began, or may have been. Whoever could have
// answered a probe has knocked at its source port before that probe ended, and has not left, or left after it began.
func (d *doors) crossed(port uint16, began int64) bool {
	door := d.of(port)
	return door == nil || door.knocking.Load() > 0 || door.left.Load() >= began
}

// later sets a clock on, never back.
func later(at *atomic.Int64, to int64) {
	for {
		was := at.Load()
		if was >= to || at.CompareAndSwap(was, to) {
			return
		}
	}
}
