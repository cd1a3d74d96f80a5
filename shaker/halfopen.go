package shaker

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
)

// halfOpen knows between which ends a server may still hold a half-open connection of ours. The shards share it. It finds stale resets:
//
// A server that still waits for the last ACK of an earlier handshake from our source port, because our RST or its SYN-ACK was lost,
// answers a SYN whose sequence number lies in the window of that handshake with an RST, though its port is open (tcp_check_req,
// net/ipv4/tcp_minisocks.c), and forgets the handshake. Of a new socket the kernel takes the number from a clock for each pair of ends,
// 65,536 in 4.2 ms (secure_tcp_seq, net/core/secure_seq.c); one that is used again goes on 65,538 higher with each use
// (tcp_disconnect, net/ipv4/tcp.c), also where it comes to send from another port. So whether a number lies there cannot be told, but
// only that the handshake before, between the same ends, ended without an RST of the server's.
//
// There is a cell for all pairs of ends whose prints end alike, for the last of them: of one that was put out the first RST is believed.
// Those of other engines and processes are not known.
type halfOpen struct {
	seed  maphash.Seed
	cells []atomic.Uint64 // the print of a pair of ends; 0: none
}

const halfOpenCells = 1 << 17 // more than there are ports to one target

func newHalfOpen() halfOpen {
	return halfOpen{maphash.MakeSeed(), make([]atomic.Uint64, halfOpenCells)}
}

// of returns the print of a pair of ends, never 0, and its cell. The source address follows from the target.
func (h *halfOpen) of(source uint16, j *job) (print uint64, cell *atomic.Uint64) {
	var b [24]byte
	ip := j.addr.Addr().As16()
	copy(b[:], ip[:])
	binary.NativeEndian.PutUint16(b[16:], j.addr.Port())
	binary.NativeEndian.PutUint16(b[18:], source)
	binary.NativeEndian.PutUint32(b[20:], j.scope)
	print = maphash.Bytes(h.seed, b[:]) | 1<<63
	return print, &h.cells[print%halfOpenCells]
}

// left notes that a handshake ends without an RST of the target's. It must be called before we free its source port.
func (h *halfOpen) left(source uint16, j *job) {
	if print, cell := h.of(source, j); cell.Load() != print {
		cell.Store(print)
	}
}

// reset notes that an RST has come, after which the target holds nothing, and reports whether it may have been for the handshake before.
func (h *halfOpen) reset(source uint16, j *job) bool {
	print, cell := h.of(source, j)
	return cell.Load() == print && cell.CompareAndSwap(print, 0)
}
