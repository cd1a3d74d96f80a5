package shaker

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
)

// lastAnswers knows of targets whether the last that is known of their port is anything but a refusal. The shards share it. It finds
// stale resets:
//
// A server that still waits for the last ACK of an earlier handshake from our source port, because our RST or its SYN-ACK was lost,
// answers a SYN whose sequence number lies in the window of that handshake with an RST, though its port is open (tcp_check_req,
// net/ipv4/tcp_minisocks.c), and forgets the handshake. Of a new socket the kernel takes the number from a clock for each pair of ends,
// 65,536 in 4.2 ms (secure_tcp_seq, net/core/secure_seq.c); one that is used again goes on 65,538 higher with each use
// (tcp_disconnect, net/ipv4/tcp.c), also where it comes to send from another port. So whether a number lies there cannot be told, but
// only a port that was not refused before can have such a server behind it.
//
// There is a cell for all targets whose prints end alike, for the last of them: of one that was put out the first RST is believed.
type lastAnswers struct {
	seed  maphash.Seed
	cells []atomic.Uint64 // the print of a target that has not refused; 0: none
}

const lastAnswerCells = 1 << 16

func newLastAnswers() lastAnswers {
	return lastAnswers{maphash.MakeSeed(), make([]atomic.Uint64, lastAnswerCells)}
}

// of returns the print of a target, never 0, and its cell.
func (l *lastAnswers) of(target netip.AddrPort) (print uint64, cell *atomic.Uint64) {
	var b [18]byte
	ip := target.Addr().As16()
	copy(b[:], ip[:])
	binary.NativeEndian.PutUint16(b[16:], target.Port())
	print = maphash.Bytes(l.seed, b[:]) | 1<<63
	return print, &l.cells[print%lastAnswerCells]
}

// other notes that a handshake with a target ends without a refusal. It must be called before the source port is free for another.
func (l *lastAnswers) other(target netip.AddrPort) {
	if print, cell := l.of(target); cell.Load() != print {
		cell.Store(print)
	}
}

// wasOther reports whether the last that is known of a target is that.
func (l *lastAnswers) wasOther(target netip.AddrPort) bool {
	print, cell := l.of(target)
	return cell.Load() == print
}

// refused notes that a target has refused, and is believed.
func (l *lastAnswers) refused(target netip.AddrPort) {
	print, cell := l.of(target)
	cell.CompareAndSwap(print, 0)
}
