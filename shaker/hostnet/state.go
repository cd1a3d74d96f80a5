package hostnet

import (
	"maps"
	"math"
	"net/netip"
	"slices"
)

// Always is the time since when something is there that was there when the Watcher began.
const Always = math.MinInt64

// State is what a Watcher knew of the host's network at one time. It never changes, so any
// goroutine may read it. Times are readings of the Watcher's clock. The zero value is a host
// without a network.
type State struct {
	unsure  int64 // the last time at which messages were lost
	changed int64 // the last time at which a link, an address, a route or a rule changed
	shared  bool  // the maps are another State's as well
	gaps    []gap // the last mostGaps routes that were removed or replaced, the oldest first
	links   map[int32]link
	homes   map[netip.Addr][]home
	left    map[netip.Addr]int32 // addresses that were removed, and their last link
	local   map[localRoute]struct{}
	locals  map[netip.Prefix]int // the prefixes of local, and how often each is there
	lengths [2][129]uint32       // of locals, by family: how many prefixes have a length
}

// link is one network interface, and since when it has been as it is.
type link struct {
	reading
	upSince, carrierSince int64
}

// reading is what one message says of a link.
type reading struct {
	up, carrier, loopback bool
	counted               bool   // the message has losses
	losses                uint32 // how often it has lost its carrier (IFLA_CARRIER_DOWN_COUNT)
	lower, master         int32  // the link that it stands on, such as a VLAN's, and the bridge or bond that it is a port of; 0: none
}

// gap is the end of a route, perhaps for a moment.
type gap struct {
	prefix netip.Prefix
	at     int64
}

// mostGaps bounds the routes that a State remembers after they were removed. Beyond it only what is
// there now counts.
const mostGaps = 256

// next returns the link after it was read once more at the time now. A link that was not known is
// there since now.
func (l link) next(r reading, known bool, now int64) link {
	n := link{r, now, now}
	if known && !r.counted { // a message of a part of the kernel that knows flags alone (net/wireless/wext-core.c)
		n.counted, n.losses, n.lower, n.master = l.counted, l.losses, l.lower, l.master
	}
	if known && l.up && r.up {
		n.upSince = l.upSince
	}
	if known && l.carrier && r.carrier && n.losses == l.losses {
		n.carrierSince = l.carrierSince
	}
	return n
}

// home is a link that has an address. IPv4 may have it there several times, with prefixes of
// different lengths.
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

// Own reports whether ip is an address of this host: one of a link's, or one that a local route
// covers. ip has no zone.
func (s *State) Own(ip netip.Addr) bool {
	if len(s.homes[ip]) > 0 {
		return true
	}
	for bits := ip.BitLen(); bits >= 0; bits-- {
		if s.lengths[family(ip)][bits] == 0 {
			continue
		}
		if prefix, err := ip.Prefix(bits); err == nil && s.locals[prefix] > 0 {
			return true
		}
	}
	return false
}

func family(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// present returns the link that has had ip for the longest time, and whether it is the only one.
// With a scope only that link counts. An address that only a local route makes own has no link, and
// its time is Always, because it is not known.
func (s *State) present(ip netip.Addr, scope uint32) (h home, only, ok bool) {
	n := 0
	for _, other := range s.homes[ip] {
		if scope != 0 && other.link != int32(scope) {
			continue
		}
		if n++; n == 1 || other.since < h.since {
			h = other
		}
	}
	if n == 0 {
		return home{since: Always}, false, scope == 0 && s.Own(ip)
	}
	return h, n == 1, true
}

// gapFor reports whether a route to ip was removed or replaced since a time.
func (s *State) gapFor(ip netip.Addr, since int64) bool {
	for i := len(s.gaps) - 1; i >= 0 && s.gaps[i].at >= since; i-- {
		if s.gaps[i].prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// addGap notes the end of a route.
func (s *State) addGap(prefix netip.Prefix, now int64) {
	from := max(0, len(s.gaps)+1-mostGaps)
	s.gaps = append(slices.Clone(s.gaps[from:]), gap{prefix, now})
	s.change(now)
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

// clone returns a State that the caller may change. Its maps are copied at the first change of one.
func (s *State) clone() *State {
	c := *s
	c.shared = true
	return &c
}

// unshare makes the maps the State's own. Whatever changes one calls it before.
func (s *State) unshare() {
	if s.shared {
		s.links, s.homes, s.left = maps.Clone(s.links), maps.Clone(s.homes), maps.Clone(s.left)
		s.local, s.locals = maps.Clone(s.local), maps.Clone(s.locals)
		s.shared = false
	}
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
		s.unshare()
		s.links[index] = next
		s.change(now)
	}
}

func (s *State) removeLink(index int32, now int64) {
	s.unshare()
	delete(s.links, index)
	s.change(now)
}

func (s *State) addAddress(ip netip.Addr, link int32, bits uint8, now int64) {
	homes := s.homes[ip]
	if slices.ContainsFunc(homes, func(h home) bool { return h.is(link, bits) }) {
		return
	}
	s.unshare()
	s.homes[ip] = append(slices.Clone(homes), home{link, bits, now})
	delete(s.left, ip)
	s.change(now)
}

func (s *State) removeAddress(ip netip.Addr, link int32, bits uint8, now int64) {
	s.unshare()
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
	s.unshare()
	s.local[r] = struct{}{}
	if s.locals[r.prefix]++; s.locals[r.prefix] == 1 {
		s.lengths[family(r.prefix.Addr())][r.prefix.Bits()]++
	}
	s.change(now)
}

func (s *State) removeLocal(r localRoute, now int64) {
	if _, known := s.local[r]; !known {
		return
	}
	s.unshare()
	delete(s.local, r)
	if s.locals[r.prefix]--; s.locals[r.prefix] == 0 {
		delete(s.locals, r.prefix)
		s.lengths[family(r.prefix.Addr())][r.prefix.Bits()]--
	}
	s.change(now)
}

// change notes that the network is another one from now on.
func (s *State) change(now int64) { s.changed = max(s.changed, now) }
