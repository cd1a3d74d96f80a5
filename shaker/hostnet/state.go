package hostnet

import (
	"maps"
	"math"
	"net/netip"
	"slices"
)

// Always is the time since when something is there that was there when the Watcher began.
const Always = math.MinInt64

// State is what a Watcher knew of the host's network at one time. It never changes, so any goroutine may read it. Times are
// readings of the Watcher's clock. The zero value is a host without a network.
type State struct {
	unsure  int64 // the last time at which messages were lost
	changed int64 // the last time at which a link, an address, a route or a rule changed
	links   map[int32]link
	homes   map[netip.Addr][]home
	left    map[netip.Addr]int32 // addresses that were removed, and their last link
	local   map[localRoute]struct{}
	locals  map[netip.Prefix]int // the prefixes of local, and how often each is there
}

// link is one network interface, and since when it has been as it is.
type link struct {
	reading
	upSince, carrierSince int64
}

// reading is what one message says of a link.
type reading struct {
	up, carrier, loopback bool
	losses                uint32 // how often it has lost its carrier (IFLA_CARRIER_DOWN_COUNT)
}

// next returns the link after it was read once more at the time now. A link that was not known is there since now.
func (l link) next(r reading, known bool, now int64) link {
	n := link{r, now, now}
	if known && l.up && r.up {
		n.upSince = l.upSince
	}
	if known && l.carrier && r.carrier && r.losses == l.losses {
		n.carrierSince = l.carrierSince
	}
	return n
}

// home is a link that has an address. IPv4 may have it there several times, with prefixes of different lengths.
type home struct {
	link  int32
	bits  uint8
	since int64
}

func (h home) is(link int32, bits uint8) bool { return h.link == link && h.bits == bits }

// localRoute is a route that makes every address of a prefix this host's own.
type localRoute struct {
	prefix      netip.Prefix
	table, link uint32
}

// mostLeft bounds the addresses that a State remembers after they were removed.
const mostLeft = 4096

// Own reports whether ip is an address of this host: one of a link's, or one that a local route covers. ip has no zone.
func (s *State) Own(ip netip.Addr) bool {
	if len(s.homes[ip]) > 0 {
		return true
	}
	for bits := ip.BitLen(); bits >= 0; bits-- {
		if prefix, err := ip.Prefix(bits); err == nil && s.locals[prefix] > 0 {
			return true
		}
	}
	return false
}

// present returns the link that has had ip for the longest time, and since when. Own addresses without a link are local
// routes'; of those the time is not known, so it is Always.
func (s *State) present(ip netip.Addr) (h home, ok bool) {
	homes := s.homes[ip]
	if len(homes) == 0 {
		return home{since: Always}, s.Own(ip)
	}
	h = homes[0]
	for _, other := range homes[1:] {
		if other.since < h.since {
			h = other
		}
	}
	return h, true
}

// dark reports whether a link that is up has no carrier.
func (s *State) dark() bool {
	for _, l := range s.links {
		if l.up && !l.carrier {
			return true
		}
	}
	return false
}

// clone returns a State that the caller may change.
func (s *State) clone() *State {
	c := *s
	c.links, c.homes, c.left = maps.Clone(s.links), maps.Clone(s.homes), maps.Clone(s.left)
	c.local, c.locals = maps.Clone(s.local), maps.Clone(s.locals)
	return &c
}

func newState() *State {
	return &State{
		unsure: Always, changed: Always,
		links: map[int32]link{}, homes: map[netip.Addr][]home{}, left: map[netip.Addr]int32{},
		local: map[localRoute]struct{}{}, locals: map[netip.Prefix]int{},
	}
}

func (s *State) setLink(index int32, r reading, now int64) {
	l, known := s.links[index]
	if next := l.next(r, known, now); !known || next != l {
		s.links[index] = next
		s.change(now)
	}
}

func (s *State) removeLink(index int32, now int64) {
	delete(s.links, index)
	s.change(now)
}

func (s *State) addAddress(ip netip.Addr, link int32, bits uint8, now int64) {
	homes := s.homes[ip]
	if slices.ContainsFunc(homes, func(h home) bool { return h.is(link, bits) }) {
		return
	}
	s.homes[ip] = append(slices.Clone(homes), home{link, bits, now})
	delete(s.left, ip)
	s.change(now)
}

func (s *State) removeAddress(ip netip.Addr, link int32, bits uint8, now int64) {
	homes := slices.DeleteFunc(slices.Clone(s.homes[ip]), func(h home) bool { return h.is(link, bits) })
	if len(homes) > 0 {
		s.homes[ip] = homes
	} else {
		delete(s.homes, ip)
		if len(s.left) >= mostLeft {
			clear(s.left)
		}
		s.left[ip] = link
	}
	s.change(now)
}

func (s *State) addLocal(r localRoute, now int64) {
	if _, twice := s.local[r]; twice {
		return
	}
	s.local[r] = struct{}{}
	s.locals[r.prefix]++
	s.change(now)
}

func (s *State) removeLocal(r localRoute, now int64) {
	if _, known := s.local[r]; !known {
		return
	}
	delete(s.local, r)
	if s.locals[r.prefix]--; s.locals[r.prefix] == 0 {
		delete(s.locals, r.prefix)
	}
	s.change(now)
}

// change notes that the network is another one from now on.
func (s *State) change(now int64) { s.changed = max(s.changed, now) }
