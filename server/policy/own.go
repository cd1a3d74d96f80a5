package policy

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ownMaxAge is how long a reading of the interfaces is good for. A reading costs a netlink socket and, on a host with few
// interfaces, some 20 µs.
const ownMaxAge = 3 * time.Second

// own knows this host's own addresses. It reads them when it is asked and its reading is older than ownMaxAge; those who ask
// meanwhile wait for the new one. So an address that was given to this host less than ownMaxAge ago may still be probed, and so
// may one that is this host's by a route alone (ip route add local …), which no interface has.
//
// Where a reading fails, as it does for want of a file descriptor, the last that worked stays in force until the next try,
// after ownMaxAge. Denying everything instead would turn a trouble of ours into a failure of every target; forgetting the
// addresses would open them just when the host is under pressure.
type own struct {
	read   func() ([]netip.Prefix, error)
	shared bool

	last    atomic.Pointer[reading]
	reading sync.Mutex // held by the one who reads
}

// reading is one look at the interfaces. It does not change once it is stored.
type reading struct {
	at    time.Time               // when it was made, or tried
	rules map[netip.Addr]Rule     // for the never-list
	own   map[netip.Addr]struct{} // this host's addresses, whether they are on the never-list or not
	err   error                   // why it could not be made; rules and own are then those of the one before
}

// isOwn reports whether ip is an address of this host's interfaces.
func (r *reading) isOwn(ip netip.Addr) bool {
	_, ok := r.own[ip]
	return ok
}

func newOwn(read func() ([]netip.Prefix, error), shared bool) *own {
	if read == nil {
		read = interfaceAddrs
	}
	o := &own{read: read, shared: shared}
	o.last.Store(&reading{})
	o.refresh()
	return o
}

// current returns the reading to judge by: the last if it is young enough, else a new one.
func (o *own) current() *reading {
	last := o.last.Load()
	if time.Since(last.at) >= ownMaxAge {
		last = o.refresh()
	}
	return last
}

func (o *own) lastError() error { return o.last.Load().err }

func (o *own) refresh() *reading {
	o.reading.Lock()
	defer o.reading.Unlock()
	last := o.last.Load()
	if time.Since(last.at) < ownMaxAge { // another one read while we waited
		return last
	}
	next := &reading{at: time.Now()}
	prefixes, err := o.read()
	if err != nil {
		next.rules, next.own, next.err = last.rules, last.own, fmt.Errorf("read own addresses: %w", err)
	} else {
		next.rules, next.own = ownRules(prefixes, o.shared), ownAddrs(prefixes)
	}
	o.last.Store(next)
	return next
}

// ownRules makes the rules for single addresses of one reading: this host's own, if the service is shared, and its networks'
// broadcasts.
func ownRules(prefixes []netip.Prefix, shared bool) map[netip.Addr]Rule {
	rules := make(map[netip.Addr]Rule)
	for _, prefix := range prefixes {
		if !prefix.IsValid() {
			continue
		}
		if broadcast, ok := broadcastOf(prefix); ok {
			rules[broadcast] = Broadcast
		}
	}
	if !shared {
		return rules
	}
	for _, prefix := range prefixes { // second, so that an own address is told as such
		if prefix.IsValid() {
			rules[prefix.Addr().Unmap().WithZone("")] = OwnAddress
		}
	}
	return rules
}

// ownAddrs returns this host's own addresses of one reading.
func ownAddrs(prefixes []netip.Prefix) map[netip.Addr]struct{} {
	addrs := make(map[netip.Addr]struct{}, len(prefixes))
	for _, prefix := range prefixes {
		if prefix.IsValid() {
			addrs[prefix.Addr().Unmap().WithZone("")] = struct{}{}
		}
	}
	return addrs
}

// broadcastOf returns the last address of an IPv4 network, its broadcast address (RFC 922 section 7). Networks of 31 bits
// have none (RFC 3021), nor has a single address.
func broadcastOf(prefix netip.Prefix) (netip.Addr, bool) {
	if !prefix.Addr().Is4() || prefix.Bits() > 30 {
		return netip.Addr{}, false
	}
	b := prefix.Addr().As4()
	last := binary.BigEndian.Uint32(b[:]) | ^uint32(0)>>prefix.Bits()
	return ipv4(byte(last>>24), byte(last>>16), byte(last>>8), byte(last)), true
}

// interfaceAddrs returns the addresses of all interfaces.
func interfaceAddrs() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	prefixes := make([]netip.Prefix, 0, len(addrs))
	for _, addr := range addrs {
		network, ok := addr.(*net.IPNet)
		if !ok {
			continue // no other type is documented for interfaces
		}
		ip, ok := netip.AddrFromSlice(network.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		// The mask may be of 16 bytes with an IPv4 address too. Size is 0, 0 for a mask with holes: no network then, but
		// still an address.
		ones, bits := network.Mask.Size()
		ones += ip.BitLen() - bits
		prefixes = append(prefixes, netip.PrefixFrom(ip, ones))
	}
	return prefixes, nil
}
