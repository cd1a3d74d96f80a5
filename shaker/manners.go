package shaker

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
)

// manner is how a target behaves between its SYN-ACK and our RST. It has no ACK of ours then, so
// TCP sends nothing.
type manner uint8

const (
	// unknown is the zero value: the target was not asked yet, or sent something that is no data,
	// such as a second SYN-ACK.
	unknown manner = iota
	// quiet: the target sent nothing but its SYN-ACK at four handshakes with a deaf socket. Lower
	// numbers count them.
	quiet manner = 4
	// talkative: the target has sent data or a FIN. It stays so: it may be quiet for a while
	// because it is slow.
	talkative manner = 7
)

// better is the manner after one more quiet handshake.
func (m manner) better() manner {
	if m >= quiet {
		return m
	}
	return m + 1
}

// manners remembers how targets behave. The shards share it. There is a cell for all targets whose
// prints end alike, for the last of them; one that was put out is unknown again.
//
// A peer that sends data behind its SYN-ACK is found out when the counters show the data, as they
// do in more than 9 of 10 handshakes. From then on none of its silences is called proven. A peer
// that was quiet at four handshakes, and then sends data, is found out by the same odds.
type manners struct {
	seed  maphash.Seed
	cells []atomic.Uint64 // a print, and in its lowest three bits a manner; 0: none
}

const (
	mannersCells = 1 << 17 // a megabyte
	mannerBits   = 7
)

func newManners() manners {
	return manners{maphash.MakeSeed(), make([]atomic.Uint64, mannersCells)}
}

// cell returns the print of a job's target, without a manner and never 0, and its cell.
func (m *manners) cell(j *job) (print uint64, cell *atomic.Uint64) {
	var b [22]byte
	ip := j.addr.Addr().As16()
	copy(b[:], ip[:])
	binary.NativeEndian.PutUint16(b[16:], j.addr.Port())
	binary.NativeEndian.PutUint32(b[18:], j.scope)
	print = maphash.Bytes(m.seed, b[:])&^mannerBits | 1<<63
	return print, &m.cells[print>>3%mannersCells]
}

// of returns what is known of a target.
func (m *manners) of(j *job) manner {
	print, cell := m.cell(j)
	if known := cell.Load(); known&^mannerBits == print {
		return manner(known & mannerBits)
	}
	return unknown
}

// set notes what is known of a target.
func (m *manners) set(j *job, now manner) {
	print, cell := m.cell(j)
	if next := print | uint64(now); cell.Load() != next {
		cell.Store(next)
	}
}
