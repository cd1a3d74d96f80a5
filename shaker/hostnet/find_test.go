package hostnet

import (
	"net/netip"
	"syscall"
	"testing"
)

// fakeKernel answers as a test tells it.
type fakeKernel struct {
	routed  int32
	errno   syscall.Errno
	silent  bool // no answer comes
	links   map[int32]reading
	now     int64
	routes  int // questions for a route
	reading int // questions for a link
}

func (k *fakeKernel) route(*Packet) (int32, syscall.Errno, bool) {
	k.routes++
	return k.routed, k.errno, !k.silent
}

func (k *fakeKernel) link(index int32) (r reading, at int64, exists, known bool) {
	k.reading++
	r, exists = k.links[index]
	return r, k.now, exists, !k.silent
}

var (
	works    = reading{up: true, carrier: true, counted: true}
	loopback = reading{up: true, carrier: true, loopback: true}
	source   = netip.MustParseAddrPort("192.0.2.1:40000")
	target   = netip.MustParseAddrPort("198.51.100.7:443")
)

// stateOf is a host with a loopback link, and link 2 with source.
func stateOf() *State {
	s := newState()
	s.setLink(1, loopback, Always)
	s.setLink(2, works, Always)
	s.addAddress(netip.MustParseAddr("127.0.0.1"), 1, 24, Always)
	s.addAddress(source.Addr(), 2, 24, Always)
	s.addLocal(localRoute{prefix: netip.MustParsePrefix("127.0.0.0/8")}, Always)
	return s
}

// TestFind: what was lost while a packet was under way from 10 to 20, and what was not.
func TestFind(t *testing.T) {
	const before, since, later, now = 5, 10, 15, 20
	kernel := func() *fakeKernel {
		return &fakeKernel{routed: 2, links: map[int32]reading{1: loopback, 2: works, 3: works}, now: now}
	}
	packet := Packet{Source: source, Target: target, Since: since}
	for _, c := range []struct {
		name   string
		change func(s *State, k *fakeKernel, p *Packet)
		want   Finding
		routes int // questions for a route
	}{
		{"nothing happened", func(*State, *fakeKernel, *Packet) {}, Finding{}, 0},
		{"something happened before", func(s *State, _ *fakeKernel, _ *Packet) { s.change(before) }, Finding{}, 0},
		{"something else happened", func(s *State, _ *fakeKernel, _ *Packet) { s.setLink(9, works, later) }, Finding{}, 1},
		{"the route was away", func(s *State, _ *fakeKernel, _ *Packet) {
			s.addGap(netip.MustParsePrefix("198.51.100.0/24"), later)
		}, Finding{Loss: RouteLost}, 1},
		{"another route was away", func(s *State, _ *fakeKernel, _ *Packet) {
			s.addGap(netip.MustParsePrefix("203.0.113.0/24"), later)
		}, Finding{}, 1},
		{"the route was away before", func(s *State, _ *fakeKernel, _ *Packet) {
			s.addGap(netip.MustParsePrefix("198.51.100.0/24"), before)
		}, Finding{}, 0},
		{"a message knows flags alone", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{up: true, carrier: true, counted: true, losses: 7}, before)
			s.setLink(2, reading{up: true, carrier: true}, before)
			s.setLink(2, reading{up: true, carrier: true, counted: true, losses: 7}, later)
			k.links[2] = reading{up: true, carrier: true, counted: true, losses: 7}
		}, Finding{}, 0},
		{"two links have the address, and one of them is down", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(3, works, Always)
			s.addAddress(source.Addr(), 3, 24, Always)
			s.setLink(2, reading{}, before)
			k.links[2], k.routed = reading{}, 3
		}, Finding{}, 1},
		{"the address is away from the link of the zone", func(s *State, _ *fakeKernel, p *Packet) {
			s.setLink(3, works, Always)
			s.addAddress(source.Addr(), 3, 24, Always)
			s.removeAddress(source.Addr(), 2, 24, later)
			p.Scope = 2
		}, Finding{Loss: AddressLost}, 0},
		{"another link is dark", func(s *State, _ *fakeKernel, _ *Packet) { s.setLink(9, reading{up: true}, before) }, Finding{}, 1},
		{"messages were lost before", func(s *State, _ *fakeKernel, _ *Packet) { s.unsure = before }, Finding{}, 0},
		{"messages were lost", func(s *State, _ *fakeKernel, _ *Packet) { s.unsure = later }, Finding{Loss: Unsure}, 0},
		{"the address is gone", func(s *State, _ *fakeKernel, _ *Packet) { s.removeAddress(source.Addr(), 2, 24, later) }, Finding{Loss: AddressLost}, 0},
		{"the address was away", func(s *State, _ *fakeKernel, _ *Packet) {
			s.removeAddress(source.Addr(), 2, 24, later)
			s.addAddress(source.Addr(), 2, 24, later)
		}, Finding{Loss: AddressLost}, 0},
		{"the address stays with another prefix", func(s *State, _ *fakeKernel, _ *Packet) {
			s.addAddress(source.Addr(), 2, 32, before)
			s.removeAddress(source.Addr(), 2, 24, later)
		}, Finding{}, 1},
		{"the address was away before", func(s *State, _ *fakeKernel, _ *Packet) {
			s.removeAddress(source.Addr(), 2, 24, before)
			s.addAddress(source.Addr(), 2, 24, before)
		}, Finding{}, 0},
		{"the address stays on another link", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(3, works, Always)
			s.addAddress(source.Addr(), 3, 24, before)
			s.removeAddress(source.Addr(), 2, 24, later)
			k.routed = 3
		}, Finding{}, 1},
		{"the address is a local route's", func(s *State, _ *fakeKernel, _ *Packet) {
			s.removeAddress(source.Addr(), 2, 24, before)
			s.addLocal(localRoute{prefix: netip.MustParsePrefix("192.0.2.0/24")}, before)
		}, Finding{}, 1},
		{"the link took the address with it", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{}, later)
			s.removeAddress(source.Addr(), 2, 24, later)
		}, Finding{Loss: LinkDown}, 0},
		{"the link was deleted", func(s *State, k *fakeKernel, _ *Packet) {
			s.removeAddress(source.Addr(), 2, 24, later)
			s.removeLink(2, later)
		}, Finding{Loss: LinkDown}, 0},
		{"the link was down, and its address away", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{}, later)
			s.removeAddress(source.Addr(), 2, 24, later)
			s.setLink(2, works, later)
			s.addAddress(source.Addr(), 2, 24, later)
		}, Finding{Loss: LinkDown}, 0},
		{"the link is down", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{}, later)
			k.links[2], k.errno = reading{}, syscall.ENETUNREACH
		}, Finding{LinkDown, syscall.ENETUNREACH}, 1},
		{"the link was down", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{}, later)
			s.setLink(2, works, later)
		}, Finding{Loss: LinkDown}, 1},
		{"the carrier is lost, and no message says so yet", func(_ *State, k *fakeKernel, _ *Packet) { k.links[2] = reading{up: true} }, Finding{Loss: CarrierLost}, 0},
		{"the carrier was lost, and no message says so yet", func(_ *State, k *fakeKernel, _ *Packet) {
			k.links[2] = reading{up: true, carrier: true, counted: true, losses: 1}
		}, Finding{Loss: CarrierLost}, 0},
		{"the carrier was lost long before", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(2, reading{up: true}, before)
			k.links[2] = reading{up: true}
		}, Finding{Loss: CarrierLost}, 1},
		{"the link that the route leads to has no carrier", func(s *State, k *fakeKernel, _ *Packet) {
			s.setLink(3, reading{up: true}, before)
			k.routed, k.links[3] = 3, reading{up: true}
		}, Finding{Loss: CarrierLost}, 1},
		{"the route is gone", func(s *State, k *fakeKernel, _ *Packet) { s.change(later); k.errno = syscall.EACCES }, Finding{RouteLost, syscall.EACCES}, 1},
		{"the kernel does not answer", func(s *State, k *fakeKernel, _ *Packet) { s.change(later); k.silent = true }, Finding{Loss: Unsure}, 1},
		{"the kernel says nothing of the link", func(_ *State, k *fakeKernel, _ *Packet) { k.silent = true }, Finding{Loss: Unsure}, 0},
		{"a target on this host", func(s *State, k *fakeKernel, p *Packet) {
			p.Target = netip.AddrPortFrom(source.Addr(), 443)
			k.links[2] = reading{} // the packet went through the loopback link
		}, Finding{}, 0},
		{"a loopback target", func(s *State, _ *fakeKernel, p *Packet) {
			p.Source, p.Target = netip.MustParseAddrPort("127.0.0.9:1"), netip.MustParseAddrPort("127.0.0.1:2")
			s.change(later)
		}, Finding{}, 0},
		{"a source on the loopback link", func(s *State, _ *fakeKernel, p *Packet) {
			p.Source = netip.MustParseAddrPort("203.0.113.1:1")
			s.addAddress(p.Source.Addr(), 1, 24, before)
		}, Finding{}, 1},
	} {
		s, k, p := stateOf(), kernel(), packet
		c.change(s, k, &p)
		l := Look{ask: k, state: s, read: map[int32]linkNow{}}
		for range 2 { // a second packet costs no second reading of a link
			if got := l.Find(&p); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
		if k.routes != 2*c.routes || k.reading > 1 {
			t.Errorf("%s: asked for %d routes and %d links, want %d and at most 1", c.name, k.routes, k.reading, 2*c.routes)
		}
	}
}

// TestStatesDoNotChange: what is noted in a clone is not in the State that it was made of.
func TestStatesDoNotChange(t *testing.T) {
	s := stateOf()
	c := s.clone()
	c.removeAddress(source.Addr(), 2, 24, 9)
	c.addAddress(netip.MustParseAddr("127.0.0.1"), 2, 24, 9)
	c.removeLink(2, 9)
	c.removeLocal(localRoute{prefix: netip.MustParsePrefix("127.0.0.0/8")}, 9)
	if h, _, ok := s.present(source.Addr(), 0); !ok || h.link != 2 || len(s.links) != 2 || s.changed != Always || !s.Own(netip.MustParseAddr("127.9.9.9")) {
		t.Errorf("the State has changed: %+v", s)
	}
	if _, _, ok := c.present(source.Addr(), 0); ok || c.changed != 9 || c.Own(netip.MustParseAddr("127.9.9.9")) {
		t.Errorf("the clone has not: %+v", c)
	}
}

// TestAddressesLeftAreBounded: a host that gives up addresses for ever is remembered within bounds.
func TestAddressesLeftAreBounded(t *testing.T) {
	s := newState()
	ip := netip.MustParseAddr("10.0.0.0")
	for range 3 * mostLeft {
		ip = ip.Next()
		s.addAddress(ip, 1, 24, 1)
		s.removeAddress(ip, 1, 24, 1)
	}
	if len(s.left) > mostLeft || len(s.homes) != 0 {
		t.Errorf("%d addresses remembered, %d there", len(s.left), len(s.homes))
	}
}

// TestStackedLinks: a link works only if what it stands on does, and a bridge if one of its ports
// does.
func TestStackedLinks(t *testing.T) {
	const since, now = 10, 20
	dead := reading{up: true, counted: true}
	on := func(lower, master int32) reading { r := works; r.lower, r.master = lower, master; return r }
	for _, c := range []struct {
		name  string
		links map[int32]reading // as they are now; since the beginning they work
		want  Loss
	}{
		{"alone", map[int32]reading{2: works}, Nothing},
		{"on another", map[int32]reading{2: on(3, 0), 3: works}, Nothing},
		{"on one without carrier", map[int32]reading{2: on(3, 0), 3: dead}, CarrierLost},
		{"on two, the last without carrier", map[int32]reading{2: on(3, 0), 3: on(4, 0), 4: dead}, CarrierLost},
		{"on one in another namespace", map[int32]reading{2: on(77, 0)}, Nothing},
		{"on itself", map[int32]reading{2: on(2, 0)}, Nothing},
		{"on one another", map[int32]reading{2: on(3, 0), 3: on(2, 0)}, Nothing},
		{"a bridge with a dead and a live port", map[int32]reading{2: works, 3: {up: true, counted: true, master: 2}, 4: on(0, 2)}, Nothing},
		{"a bridge with dead ports", map[int32]reading{2: works, 3: {up: true, counted: true, master: 2}, 4: {counted: true, master: 2}}, CarrierLost},
	} {
		s := stateOf()
		for index, r := range c.links {
			was := works
			was.lower, was.master = r.lower, r.master
			s.setLink(index, was, Always)
		}
		s.changed = Always
		p := Packet{Source: source, Target: target, Since: since}
		l := Look{ask: &fakeKernel{links: c.links, now: now}, state: s}
		got := l.Find(&p).Loss
		if c.want == CarrierLost && got == LinkDown { // of dead ports any is named
			got = CarrierLost
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
