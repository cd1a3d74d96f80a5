package quota

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Destinations counts what is done to addresses and prefixes by all callers together, and how many ports of an address each caller
// touches. Make one with NewDestinations, for the life of the service: limits change with each call, what was counted stays. Safe
// for concurrent use. A Destinations must not be copied.
//
// An LRU of exact counts, which looks tempting, is evaded by a flood of other destinations that pushes out the one that matters.
type Destinations struct {
	addresses, prefixes table
	ports               ports
}

// NewDestinations returns a Destinations that has counted nothing. It holds some KB until limits are used: 2 MiB for each of the
// rates, and 2 MiB and at most 64 for the ports.
func NewDestinations() *Destinations { return newDestinations(tableBits, cellBits) }

// newDestinations makes tables of other sizes, for tests that want collisions.
func newDestinations(tableBits, cellBits int) *Destinations {
	return &Destinations{
		addresses: table{seed: maphash.MakeSeed(), bits: tableBits},
		prefixes:  table{seed: maphash.MakeSeed(), bits: tableBits, prefixes: true},
		ports:     ports{seed: maphash.MakeSeed(), bits: cellBits},
	}
}

// Take counts n handshakes with each of addrs, which a caller asks for together, against the limits of each address, then of
// each one's prefix, then touches their ports. An address that is there twice, and a prefix that several lie in, is charged for
// each. It does all of it or nothing: false comes with the limit that had no room. There is no waiting here; a caller is slowed
// down by its own Bucket.
//
// A Take that is refused may make another one at the same instant be refused as well, which would else have found room.
//
// With l nil or no limits in it, n less than 1, or no addrs it is ok, and nothing is counted.
func (d *Destinations) Take(l *DestinationLimits, now time.Time, caller string, addrs []netip.AddrPort, n int) (Excess, bool) {
	if l == nil || n < 1 || len(addrs) == 0 {
		return Excess{}, true
	}
	at := nanos(now)
	if !d.addresses.take(l, l.PerAddress, at, addrs, n) {
		return d.excess(PerAddress, l, at, caller, addrs, n), false
	}
	if !d.prefixes.take(l, l.PerPrefix, at, addrs, n) {
		d.addresses.put(l, l.PerAddress, at, addrs, n)
		return d.excess(PerPrefix, l, at, caller, addrs, n), false
	}
	if !d.ports.take(l, at, caller, addrs) {
		d.addresses.put(l, l.PerAddress, at, addrs, n)
		d.prefixes.put(l, l.PerPrefix, at, addrs, n)
		return d.excess(PortsPerAddress, l, at, caller, addrs, n), false
	}
	return Excess{}, true
}

// excess returns the Excess of a Take that first met the limit met, with nothing charged.
func (d *Destinations) excess(met Limit, l *DestinationLimits, at int64, caller string, addrs []netip.AddrPort, n int) Excess {
	address, prefix := d.addresses.lack(l, l.PerAddress, at, addrs, n), d.prefixes.lack(l, l.PerPrefix, at, addrs, n)
	ports := d.ports.lack(l, at, caller, addrs)
	switch {
	case address.need > 0:
		return Excess{Limit: PerAddress, Need: address.need, Most: l.PerAddress.Full()}
	case prefix.need > 0:
		return Excess{Limit: PerPrefix, Need: prefix.need, Most: l.PerPrefix.Full()}
	case ports.need > 0:
		return Excess{Limit: PortsPerAddress, Need: ports.need, Most: min(l.Ports, MaxPorts)}
	}
	// Room may have come since the Take.
	return Excess{Limit: met, Wait: time.Duration(max(address.wait, prefix.wait, ports.wait, 1))}
}

// lack is what a Take lacks at one kind of limit. The zero value is nothing.
type lack struct {
	wait int64 // nanoseconds until there is room
	need int   // what one limit is asked for, if that is more than it can have
}

// Return gives back n handshakes of a Take with one of its addresses that were not begun: to its address and its prefix. Its port
// stays touched. What Bucket.Return says holds here too, and those who share a bucket share what comes back.
func (d *Destinations) Return(l *DestinationLimits, now time.Time, addr netip.AddrPort, n int) {
	if l == nil || n < 1 {
		return
	}
	at, addrs := nanos(now), [...]netip.AddrPort{addr}
	d.addresses.put(l, l.PerAddress, at, addrs[:], n)
	d.prefixes.put(l, l.PerPrefix, at, addrs[:], n)
}
