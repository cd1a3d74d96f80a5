package resolve

import (
	"net/netip"
	"slices"
	"testing"
)

// TestOrderOfFamilies: addresses that this host can send to come first, then RFC 6724 decides
// between the families. Within a family the resolver's order stays.
func TestOrderOfFamilies(t *testing.T) {
	v4, global, ula, linkLocal := "192.0.2.7", "2001:db8::7", "fd00::7", "fe80::7"
	for _, tt := range []struct {
		name                 string
		source4, source6     string // where this host sends from; empty: it cannot
		a, aaaa              []netip.Addr
		want                 []netip.Addr
		noSource4, noSource6 bool
	}{
		{
			"IPv6 is preferred", v4, global, addrs("198.51.100.2", "198.51.100.1"), addrs("2001:db8::2", "2001:db8::1"),
			addrs("2001:db8::2", "2001:db8::1", "198.51.100.2", "198.51.100.1"), false, false,
		},
		{
			"no IPv6", v4, "", addrs("198.51.100.1"), addrs("2001:db8::1", "2001:db8::2"),
			addrs("198.51.100.1", "2001:db8::1", "2001:db8::2"), false, true,
		},
		{
			"no IPv4", "", ula, addrs("198.51.100.1"), addrs("fd00::1"),
			addrs("fd00::1", "198.51.100.1"), true, false,
		},
		{
			"no IPv4, and an IPv6 source that fits badly", "", global, addrs("198.51.100.1"), addrs("fec0::1"),
			addrs("fec0::1", "198.51.100.1"), true, false,
		},
		{
			"neither", "", "", addrs("198.51.100.1"), addrs("2001:db8::1"),
			addrs("2001:db8::1", "198.51.100.1"), true, true,
		},
		{
			"a private IPv6 source does not fit a global address", v4, ula, addrs("198.51.100.1"), addrs("2001:db8::1"),
			addrs("198.51.100.1", "2001:db8::1"), false, false,
		},
		{
			"private IPv6 comes after IPv4", v4, ula, addrs("198.51.100.1"), addrs("fd00::1"),
			addrs("198.51.100.1", "fd00::1"), false, false,
		},
		{
			"a link-local source does not reach far", v4, linkLocal, addrs("198.51.100.1"), addrs("2001:db8::1"),
			addrs("198.51.100.1", "2001:db8::1"), false, false,
		},
		{
			"IPv4 between two kinds of IPv6", v4, global, addrs("198.51.100.1"), addrs("2001:db8::1", "2002::1", "2001:db8::2"),
			addrs("2001:db8::1", "198.51.100.1", "2002::1", "2001:db8::2"), false, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := NewGroup(Config{Source: func(to netip.Addr) (netip.Addr, bool) {
				text := tt.source6
				if to.Is4() {
					text = tt.source4
				}
				if text == "" {
					return netip.Addr{}, false
				}
				return netip.MustParseAddr(text), true
			}})
			got, noSource4, noSource6 := g.union(tt.a, tt.aaaa)
			if !slices.Equal(got, tt.want) || noSource4 != tt.noSource4 || noSource6 != tt.noSource6 {
				t.Errorf("%v, %t, %t; want %v, %t, %t", got, noSource4, noSource6, tt.want, tt.noSource4, tt.noSource6)
			}
		})
	}
}

// TestOrderOfManyAddresses: none is lost, and only the first 16 of a family cost the kernel a
// question.
func TestOrderOfManyAddresses(t *testing.T) {
	var v4, v6 []netip.Addr
	for i := range 1000 {
		v4 = append(v4, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
		v6 = append(v6, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}))
	}
	asked := 0
	g := NewGroup(Config{Source: func(netip.Addr) (netip.Addr, bool) { asked++; return netip.Addr{}, true }})
	got, _, _ := g.union(v4, v6)
	if asked != 2*orderedAddrs || len(got) != 2000 || !slices.Equal(got[:orderedAddrs], v6[:orderedAddrs]) {
		t.Errorf("%d questions, %d addresses, first %v", asked, len(got), got[:orderedAddrs])
	}
	slices.SortFunc(got, netip.Addr.Compare)
	if !slices.Equal(got, append(v4, v6...)) {
		t.Error("addresses are lost")
	}
}

// TestSource asks this host's kernel about a loopback address, which every host can send to.
func TestSource(t *testing.T) {
	if from, ok := Source(netip.MustParseAddr("127.0.0.1")); !ok || from != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("to 127.0.0.1 from %v, %t", from, ok)
	}
}
