package quota

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// cellBits is how many cells there are: 1<<16, 2 MiB, and with MaxPorts in each 64 MiB more.
	cellBits = 16

	// stripes is how many locks they share.
	stripes = 256
)

// ports counts the distinct ports of each caller's addresses. Its cells are made when it is first used.
type ports struct {
	seed  maphash.Seed
	bits  int
	cells atomic.Pointer[[]cell]
	locks [stripes]sync.Mutex // each protects the cells whose index it is, modulo stripes
}

// take touches the ports of all addrs for a caller, or none of them: then it returns false.
func (p *ports) take(l *DestinationLimits, now int64, caller string, addrs []netip.AddrPort) bool {
	_, ok := p.touch(l, now, caller, addrs, true)
	return ok
}

// lack returns what is lacking for a take.
func (p *ports) lack(l *DestinationLimits, now int64, caller string, addrs []netip.AddrPort) lack {
	all, _ := p.touch(l, now, caller, addrs, false)
	return all
}

// touch reports whether the ports of all addrs have room. With keep it then touches them. Without
// keep it returns what is lacking for that, of all of them.
func (p *ports) touch(l *DestinationLimits, now int64, caller string, addrs []netip.AddrPort, keep bool) (all lack, ok bool) {
	if l.Ports <= 0 || l.Window <= 0 {
		return lack{}, true
	}
	cells, who := p.all(), p.caller(caller)
	limit, w := min(l.Ports, MaxPorts), newWindow(l.Window)
	var few [32]uint32 // so that nothing is allocated for a name with fewer addresses
	places := few[:0]
	var needed stripeSet
	for i := range addrs {
		place := p.index(who, addrs[i].Addr())
		places = append(places, uint32(place))
		needed.add(place)
	}
	needed.lock(p)
	defer needed.unlock(p)

	ok = true
	for i, place := range places {
		port := addrs[i].Port()
		if cells[place].hold(newTouch(now, port), limit, w) {
			continue
		}
		ok = false
		if keep {
			break
		}
		if ports := portsAt(place, places, addrs); ports > limit {
			all.need = max(all.need, ports)
		}
		all.wait = max(all.wait, cells[place].room(now, port, limit, w))
	}
	for i, place := range places {
		if ok && keep {
			cells[place].keep(newTouch(now, addrs[i].Port()))
		} else {
			cells[place].drop()
		}
	}
	return all, ok
}

// portsAt returns how many distinct ports of addrs are counted at a place.
func portsAt(place uint32, places []uint32, addrs []netip.AddrPort) int {
	distinct := make(map[uint16]bool)
	for i := range addrs {
		if places[i] == place {
			distinct[addrs[i].Port()] = true
		}
	}
	return len(distinct)
}

func (p *ports) caller(name string) uint64 { return maphash.String(p.seed, name) }

// index returns the number of the cell of a caller, known by its hash, and an address. Callers whose hashes collide share all
// their cells.
func (p *ports) index(who uint64, ip netip.Addr) uint64 {
	var both [24]byte
	binary.BigEndian.PutUint64(both[:8], who)
	k := keyOf(ip)
	copy(both[8:], k[:])
	return maphash.Bytes(p.seed, both[:]) & (1<<p.bits - 1)
}

func (p *ports) all() []cell {
	cells := p.cells.Load()
	if cells == nil {
		fresh := make([]cell, 1<<p.bits)
		p.cells.CompareAndSwap(nil, &fresh)
		cells = p.cells.Load()
	}
	return *cells
}

// stripeSet is the locks that one Take needs. They are locked in their order, so that two Takes cannot wait for one another.
type stripeSet [stripes / 64]uint64

func (s *stripeSet) add(index uint64) { s[index%stripes/64] |= 1 << (index % 64) }

func (s *stripeSet) lock(p *ports) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			p.locks[64*i+bits.TrailingZeros64(word)].Lock()
		}
	}
}

func (s *stripeSet) unlock(p *ports) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			p.locks[64*i+bits.TrailingZeros64(word)].Unlock()
		}
	}
}
