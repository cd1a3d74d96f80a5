package shaker

import (
	"sync/atomic"
	"time"
)

// doors tracks for each local port whether probes of this engine are under way to a target with
// that port number. The shards share it, a few words for each port. It finds answers that a probe
// of ours may have given:
//
// A SYN to a closed port of this very host can meet one of our own sockets, if the kernel gave that
// socket this port to send from and the socket is knocking at the port we send from. The two SYNs
// cross, and each of the two is answered (a simultaneous open, RFC 9293 section 3.5). If one SYN
// came before the other socket was there, the answer looks like any listener's. A socket can also
// meet its own SYN, if its source port is the target's.
//
// The addresses prove nothing: a NAT on the way can send a SYN back to this host under another
// address (a hairpin). So only ports are compared: an answer is doubted if a probe to the port that
// we sent from was under way. That includes the probe itself. A NAT that gives the SYN another
// source port as well hides a crossing from us.
type doors struct {
	all []door // by port number; a kernel can be told to send from any port
}

// door is that of one port.
type door struct {
	knocking atomic.Int32 // probes under way to a target with this port
	left     atomic.Int64 // clock of the last of them that ended
}

// settling is the least age of a socket whose probe nobody answered when it is closed, and its
// source port free for another socket, be it of another engine or process: after 4.2 ms that one's
// sequence number is beyond the window of a server that still waits, see halfOpen, where the old
// one was at its first use.
const settling = int64(10 * time.Millisecond)

func newDoors() doors { return doors{all: make([]door, 1<<16)} }

// knock notes that a probe to the port is about to begin; leave, that it has ended, and its socket
// has been disconnected or closed.
func (d *doors) knock(port uint16) { d.all[port].knocking.Add(1) }

func (d *doors) leave(port uint16) {
	door := &d.all[port]
	later(&door.left, clock())
	door.knocking.Add(-1)
}

// quiet reports whether no probe to the port is under way.
func (d *doors) quiet(port uint16) bool { return d.all[port].knocking.Load() == 0 }

// crossed reports whether a probe to the port was under way at some time since began, or may have
// been. A socket that could have answered a probe has knocked at its source port before that probe
// ended, and has not left, or left after it began.
func (d *doors) crossed(port uint16, began int64) bool {
	door := &d.all[port]
	return door.knocking.Load() > 0 || door.left.Load() >= began
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
