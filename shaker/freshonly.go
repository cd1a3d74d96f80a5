package shaker

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
)

// freshOnly remembers addresses that mode Reuse asks from fresh sockets. The shards share it.
//
// A real client of this host may have left a connection in TIME-WAIT at the server, and the kernel
// gives its source port to a probe. With TCP timestamps the server takes the SYN of the probe as
// new. Without them it does so only if the sequence number lies beyond the old connection
// (tcp_timewait_state_process, net/ipv4/tcp_minisocks.c). That of a fresh socket does, for the
// kernel takes it from a clock for each pair of ends; that of a reused one follows from its last
// use and can lie anywhere. The server then answers with an ACK for the old connection, and the
// probe meets silence.
//
// So an address is remembered when its SYN-ACK has no timestamps, or when a reused socket met
// silence there. A SYN-ACK with timestamps forgets it. The table has a cell for all addresses whose
// prints end alike, for the last of them: an address that was put out is remembered again at its
// next such answer.
type freshOnly struct {
	seed  maphash.Seed
	count atomic.Int64 // cells in use
	cells []atomic.Uint64
}

const freshOnlyCells = 1 << 16 // half a megabyte

func newFreshOnly() freshOnly {
	return freshOnly{seed: maphash.MakeSeed(), cells: make([]atomic.Uint64, freshOnlyCells)}
}

// of returns the print of a job's address, never 0, and its cell.
func (f *freshOnly) of(j *job) (print uint64, cell *atomic.Uint64) {
	var b [22]byte
	ip := j.addr.Addr().As16()
	copy(b[:], ip[:])
	binary.NativeEndian.PutUint16(b[16:], j.addr.Port())
	binary.NativeEndian.PutUint32(b[18:], j.scope)
	print = maphash.Bytes(f.seed, b[:]) | 1<<63
	return print, &f.cells[print%freshOnlyCells]
}

// add remembers an address.
func (f *freshOnly) add(j *job) {
	print, cell := f.of(j)
	if cell.Load() != print && cell.Swap(print) == 0 {
		f.count.Add(1)
	}
}

// remove forgets an address.
func (f *freshOnly) remove(j *job) {
	if f.count.Load() == 0 {
		return
	}
	if print, cell := f.of(j); cell.Load() == print && cell.CompareAndSwap(print, 0) {
		f.count.Add(-1)
	}
}

// has reports whether an address is remembered. It costs one load if no address is.
func (f *freshOnly) has(j *job) bool {
	if f.count.Load() == 0 {
		return false
	}
	print, cell := f.of(j)
	return cell.Load() == print
}
