package shaker

import (
	"net/netip"
	"testing"
)

// TestFreshOnly: an address is remembered until it is removed or put out by another of its cell,
// and the count says whether there is any. Port and zone are part of the address.
func TestFreshOnly(t *testing.T) {
	f := newFreshOnly()
	job4 := job{addr: netip.MustParseAddrPort("192.0.2.1:443")}
	others := []job{
		{addr: netip.MustParseAddrPort("192.0.2.1:444")},
		{addr: netip.MustParseAddrPort("192.0.2.2:443")},
		{addr: netip.MustParseAddrPort("[2001:db8::1]:443")},
		{addr: netip.MustParseAddrPort("192.0.2.1:443"), scope: 1},
	}
	if f.has(&job4) {
		t.Error("an empty table has an address")
	}
	for range 2 {
		f.add(&job4)
		if !f.has(&job4) || f.count.Load() != 1 {
			t.Errorf("after add: has %t, count %d", f.has(&job4), f.count.Load())
		}
	}
	for i := range others {
		if f.has(&others[i]) {
			t.Errorf("has %v, scope %d", others[i].addr, others[i].scope)
		}
		f.remove(&others[i])
	}
	for range 2 {
		f.remove(&job4)
		if f.has(&job4) || f.count.Load() != 0 {
			t.Errorf("after remove: has %t, count %d", f.has(&job4), f.count.Load())
		}
	}
	many := make([]job, 2*freshOnlyCells)
	for i := range many {
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		many[i].addr = netip.AddrPortFrom(ip, 80)
		f.add(&many[i])
		if !f.has(&many[i]) {
			t.Fatalf("%s was not remembered", ip)
		}
	}
	kept := 0
	for i := range many {
		if f.has(&many[i]) {
			kept++
		}
	}
	if n := f.count.Load(); int(n) != kept || kept < freshOnlyCells/2 || kept > freshOnlyCells {
		t.Errorf("%d of %d addresses kept, count %d", kept, len(many), n)
	}
	for i := range many {
		f.remove(&many[i])
	}
	if n := f.count.Load(); n != 0 {
		t.Errorf("count %d after all were removed", n)
	}
}
