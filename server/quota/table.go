package quota

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"
)

// key is what a destination is known by: the 16 bytes of its address, or of its prefix's first. An IPv4 is its IPv4-mapped IPv6
// and the other way round; a zone plays no part. One that is not valid is all zeros, as :: is.
type key [16]byte

func keyOf(ip netip.Addr) key { return ip.As16() }

var mapped = [12]byte{10: 0xff, 11: 0xff}

// prefix returns the key of the prefix that k lies in.
func (k key) prefix(l *DestinationLimits) key {
	bits := min(max(l.IPv6Bits, 0), 128)
	if [12]byte(k[:12]) == mapped {
		bits = 96 + min(max(l.IPv4Bits, 0), 32)
	}
	// A shift by 64 or more gives 0 in Go.
	high, low := ^(^uint64(0) >> min(bits, 64)), ^(^uint64(0) >> max(bits-64, 0))
	binary.BigEndian.PutUint64(k[:8], binary.BigEndian.Uint64(k[:8])&high)
	binary.BigEndian.PutUint64(k[8:], binary.BigEndian.Uint64(k[8:])&low)
	return k
}

// tableBits is the size of a table: 1<<18 buckets, 2 MiB. A million destinations share each bucket with three others, so at a rate
// that is meant for one of them nothing is refused as long as most of them are far below it.
const tableBits = 18

// table holds the Buckets of addresses, or of prefixes. They are made when they are first used, and never grow in number.
type table struct {
	seed     maphash.Seed
	bits     int
	prefixes bool
	buckets  atomic.Pointer[[]Bucket]
}

// take charges n at r for each of addrs, or for none of them: then it returns false.
func (t *table) take(l *DestinationLimits, r Rate, now int64, addrs []netip.AddrPort, n int) bool {
	if !r.limited() {
		return true
	}
	c, buckets := r.charge(n), t.all()
	for i := range addrs {
		if _, ok := buckets[t.index(l, addrs[i])].take(c, now, 0); !ok {
			t.put(l, r, now, addrs[:i], n)
			return false
		}
	}
	return true
}

// put gives back what take has charged.
func (t *table) put(l *DestinationLimits, r Rate, now int64, addrs []netip.AddrPort, n int) {
	if !r.limited() {
		return
	}
	c, buckets := r.refund(n), t.all()
	for i := range addrs {
		buckets[t.index(l, addrs[i])].put(c, now)
	}
}

// lack returns what is lacking for n at r for each of addrs. Addresses that share a bucket need
// room together.
func (t *table) lack(l *DestinationLimits, r Rate, now int64, addrs []netip.AddrPort, n int) (all lack) {
	if !r.limited() {
		return lack{}
	}
	var few [32]uint64 // so that nothing is allocated for a name with fewer addresses
	places := few[:0]
	for i := range addrs {
		places = append(places, t.index(l, addrs[i]))
	}
	for i, place := range places {
		if slices.Contains(places[:i], place) {
			continue
		}
		need := 0
		for _, other := range places[i:] {
			if other == place {
				need += min(n, MaxBurst+1-need) // without an overflow, where an int has 32 bits
			}
		}
		c := r.charge(need)
		if c.cost == never {
			return lack{need: need}
		}
		all.wait = max(all.wait, t.all()[place].until(c, now))
	}
	return all
}

// index returns the number of the bucket that an address or its prefix shares with all whose hashes collide with its own.
func (t *table) index(l *DestinationLimits, addr netip.AddrPort) uint64 {
	k := keyOf(addr.Addr())
	if t.prefixes {
		k = k.prefix(l)
	}
	return maphash.Bytes(t.seed, k[:]) & (1<<t.bits - 1)
}

// all makes the buckets where nobody has. Of those who come at once, one's buckets become everybody's.
func (t *table) all() []Bucket {
	buckets := t.buckets.Load()
	if buckets == nil {
		fresh := make([]Bucket, 1<<t.bits)
		t.buckets.CompareAndSwap(nil, &fresh)
		buckets = t.buckets.Load()
	}
	return *buckets
}
