package quota

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// targets makes addresses of texts such as "192.0.2.1:80".
func targets(texts ...string) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddrPort(text))
	}
	return addrs
}

// apart returns a Destinations in which none of the addresses, their prefixes and callers' cells collide. One in some thousand
// would have a collision among a few of them.
func apart(t *testing.T, l *DestinationLimits, addrs []netip.AddrPort, callers ...string) *Destinations {
	t.Helper()
	return apartIn(t, NewDestinations, l, addrs, callers...)
}

func apartIn(t *testing.T, create func() *Destinations, l *DestinationLimits, addrs []netip.AddrPort, callers ...string) *Destinations {
	t.Helper()
	for range 100 {
		d := create()
		if !collide(d, l, addrs, callers) {
			return d
		}
	}
	t.Fatal("100 seeds, each with a collision")
	return nil
}

func collide(d *Destinations, l *DestinationLimits, addrs []netip.AddrPort, callers []string) bool {
	var known [3]map[uint64]string
	for i := range known {
		known[i] = make(map[uint64]string)
	}
	collision := false
	see := func(i int, index uint64, what string) {
		if before, ok := known[i][index]; ok && before != what {
			collision = true
		}
		known[i][index] = what
	}
	for _, addr := range addrs {
		see(0, d.addresses.index(l, addr), addressName(addr))
		see(1, d.prefixes.index(l, addr), prefixName(l, addr))
		for _, caller := range callers {
			see(2, d.ports.index(d.ports.caller(caller), addr.Addr()), caller+" "+addressName(addr))
		}
	}
	return collision
}

func addressName(addr netip.AddrPort) string { return addr.Addr().Unmap().WithZone("").String() }

func prefixName(l *DestinationLimits, addr netip.AddrPort) string {
	ip := addr.Addr().Unmap().WithZone("")
	bits := l.IPv6Bits
	if ip.Is4() {
		bits = l.IPv4Bits
	}
	return netip.PrefixFrom(ip, bits).Masked().String()
}

func TestDestinationLimitsValidate(t *testing.T) {
	for _, test := range []struct {
		limits DestinationLimits
		wrong  []string // words that the error has
	}{
		{DestinationLimits{}, nil},
		{DestinationLimits{Window: -1}, nil},
		{DestinationLimits{Rate{1, 1}, Rate{5, 5}, 32, 128, 128, MaxWindow}, nil},
		{DestinationLimits{Ports: 1, Window: 1}, nil},
		{DestinationLimits{PerAddress: Rate{-1, 1}, PerPrefix: Rate{1, 0}}, []string{"per address: rate of -1", "per prefix: burst 0"}},
		{DestinationLimits{IPv4Bits: 33, IPv6Bits: -1}, []string{"IPv4 of 33", "IPv6 of -1"}},
		{DestinationLimits{IPv4Bits: -1, IPv6Bits: 129}, []string{"IPv4 of -1", "IPv6 of 129"}},
		{DestinationLimits{Ports: 129, Window: MaxWindow + 1}, []string{"129 ports", "window"}},
		{DestinationLimits{Ports: -1}, []string{"-1 ports", "window"}},
		{DestinationLimits{Ports: 50}, []string{"window"}},
	} {
		err := test.limits.Validate()
		if (err == nil) != (test.wrong == nil) {
			t.Errorf("%+v: %v", test.limits, err)
		}
		for _, words := range test.wrong {
			if err != nil && !strings.Contains(err.Error(), words) {
				t.Errorf("%+v: %v, without %q", test.limits, err, words)
			}
		}
	}
}

func TestLimitString(t *testing.T) {
	for limit, want := range map[Limit]string{
		0: "none", PerAddress: "per_address", PerPrefix: "per_prefix", PortsPerAddress: "ports_per_address", 9: "limit 9",
	} {
		if limit.String() != want {
			t.Errorf("%q, want %q", limit, want)
		}
	}
}

// TestNoLimits: with none there is no work, and no memory.
func TestNoLimits(t *testing.T) {
	d := NewDestinations()
	addrs := targets("192.0.2.1:80", "[2001:db8::1]:80")
	for _, l := range []*DestinationLimits{
		nil,
		{},
		{PerAddress: Rate{0, 1}, IPv4Bits: 24, IPv6Bits: 64, Window: time.Minute},
		{Ports: 5},
		{Ports: -5, Window: time.Minute},
	} {
		for range 10 {
			if excess, ok := d.Take(l, at(0), "edge", addrs, math.MaxInt); !ok || excess != (Excess{}) {
				t.Fatalf("%+v: %+v", l, excess)
			}
		}
		d.Return(l, at(0), addrs[0], 5)
	}
	all := &DestinationLimits{Rate{1, 1}, Rate{1, 1}, 24, 64, 1, time.Minute}
	for _, n := range []int{0, -1, math.MinInt} {
		if _, ok := d.Take(all, at(0), "edge", addrs, n); !ok {
			t.Errorf("%d handshakes are too many", n)
		}
		d.Return(all, at(0), addrs[0], n)
	}
	if _, ok := d.Take(all, at(0), "edge", nil, 5); !ok {
		t.Error("no addresses are too many")
	}
	if d.addresses.buckets.Load() != nil || d.prefixes.buckets.Load() != nil || d.ports.cells.Load() != nil {
		t.Error("tables are there that nobody needs")
	}
}

func TestDestinationsTake(t *testing.T) {
	perAddress := &DestinationLimits{PerAddress: Rate{10, 10}}
	perPrefix := &DestinationLimits{PerPrefix: Rate{10, 10}, IPv4Bits: 24, IPv6Bits: 64}
	both := &DestinationLimits{PerAddress: Rate{10, 5}, PerPrefix: Rate{10, 10}, IPv4Bits: 24, IPv6Bits: 64}
	ports := &DestinationLimits{PerAddress: Rate{10, 5}, PerPrefix: Rate{10, 6}, IPv4Bits: 24, IPv6Bits: 64, Ports: 1, Window: time.Second}
	type step struct {
		addrs string
		n     int
		want  Excess // zero: ok
	}
	for _, test := range []struct {
		name   string
		limits *DestinationLimits
		steps  []step
	}{
		{"an address", perAddress, []step{
			{"192.0.2.1:80", 10, Excess{}},
			{"192.0.2.1:81", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
			{"192.0.2.1:81", 11, Excess{Limit: PerAddress, Need: 11, Most: 10}},
			{"192.0.2.2:80", 10, Excess{}},
		}},
		{"mapped IPv4 is IPv4, and a zone is nothing", perAddress, []step{
			{"192.0.2.1:80", 10, Excess{}},
			{"[::ffff:192.0.2.1]:80", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
			{"[fe80::1%eth0]:80", 10, Excess{}},
			{"[fe80::1%eth1]:80", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
			{"[fe80::1]:80", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
			{"[::192.0.2.1]:80", 1, Excess{}}, // embedded, and another
		}},
		{"a prefix of IPv4", perPrefix, []step{
			{"192.0.2.1:80", 4, Excess{}},
			{"[::ffff:192.0.2.255]:80", 6, Excess{}},
			{"192.0.2.7:80", 1, Excess{Limit: PerPrefix, Wait: 100 * ms}},
			{"192.0.3.7:80", 10, Excess{}},
			{"192.0.1.7:80", 10, Excess{}},
		}},
		{"a prefix of IPv6", perPrefix, []step{
			{"[2001:db8:0:1::1]:80", 4, Excess{}},
			{"[2001:db8:0:1:ffff::2]:80", 6, Excess{}},
			{"[2001:db8:0:1:8000::]:80", 1, Excess{Limit: PerPrefix, Wait: 100 * ms}},
			{"[2001:db8:0:0:1::]:80", 10, Excess{}},
			{"[2001:db8:0:2::1]:80", 10, Excess{}},
		}},
		{"all or nothing", perAddress, []step{
			{"192.0.2.9:80", 10, Excess{}},
			{"192.0.2.1:80 192.0.2.2:80 192.0.2.9:80", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
			{"192.0.2.1:80 192.0.2.2:80", 10, Excess{}}, // nothing was charged
		}},
		{"a name with many addresses of one prefix", perPrefix, []step{
			{"192.0.2.1:80 192.0.2.2:80 192.0.3.1:80", 5, Excess{}},
			{"192.0.2.1:80", 1, Excess{Limit: PerPrefix, Wait: 100 * ms}},
			{"192.0.3.1:80 192.0.3.2:80", 5, Excess{Limit: PerPrefix, Wait: 500 * ms}}, // for both of them
			{"192.0.3.1:80 192.0.3.2:80", 6, Excess{Limit: PerPrefix, Need: 12, Most: 10}},
			{"192.0.3.1:80 192.0.3.2:80 192.0.3.3:80", 3, Excess{Limit: PerPrefix, Wait: 400 * ms}},
			{"192.0.3.1:80 192.0.3.2:80", 1 << 30, Excess{Limit: PerPrefix, Need: MaxBurst + 1, Most: 10}},
			{"192.0.3.1:80", 5, Excess{}},
		}},
		{"an address twice", perAddress, []step{
			{"192.0.2.1:80 192.0.2.1:81", 6, Excess{Limit: PerAddress, Need: 12, Most: 10}},
			{"192.0.2.1:80 [::ffff:192.0.2.1]:80", 5, Excess{}},
			{"192.0.2.1:80", 1, Excess{Limit: PerAddress, Wait: 100 * ms}},
		}},
		{"addresses before prefixes", both, []step{
			{"192.0.2.1:80", 5, Excess{}},
			{"192.0.2.2:80", 5, Excess{}},
			{"192.0.2.3:80 192.0.2.1:80", 1, Excess{Limit: PerAddress, Wait: 200 * ms}}, // the prefix takes longer than the address
			{"192.0.2.3:80", 5, Excess{Limit: PerPrefix, Wait: 500 * ms}},
			{"198.51.100.1:80 192.0.2.3:80", 5, Excess{Limit: PerPrefix, Wait: 500 * ms}},
			{"198.51.100.1:80 198.51.100.2:80", 5, Excess{}}, // what was charged came back, in both tables
		}},
		{"a port too many charges nothing", ports, []step{
			{"192.0.2.1:80", 1, Excess{}},
			{"192.0.2.1:81", 4, Excess{Limit: PortsPerAddress, Wait: time.Second}},
			{"198.51.100.1:80 192.0.2.1:81", 4, Excess{Limit: PortsPerAddress, Wait: time.Second}},
			{"192.0.2.1:80 198.51.100.1:80", 4, Excess{}},
			{"192.0.2.2:80 198.51.100.2:80", 1, Excess{}},
		}},
		{"no address", perPrefix, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []netip.AddrPort
			for _, s := range test.steps {
				all = append(all, targets(strings.Fields(s.addrs)...)...)
			}
			d := apart(t, test.limits, all, "edge")
			for i, s := range test.steps {
				excess, ok := d.Take(test.limits, at(0), "edge", targets(strings.Fields(s.addrs)...), s.n)
				if excess.Limit == PortsPerAddress { // kept to 2 µs
					excess.Wait = excess.Wait.Truncate(ms)
				}
				if ok != (s.want == Excess{}) || excess != s.want {
					t.Errorf("step %d: %+v, %t; want %+v", i, excess, ok, s.want)
				}
			}
		})
	}
}

// TestInvalidAddress: the zero AddrPort is limited as an address.
func TestInvalidAddress(t *testing.T) {
	d := NewDestinations()
	l := &DestinationLimits{Rate{1, 1}, Rate{1, 2}, 24, 64, 2, time.Minute}
	addrs := make([]netip.AddrPort, 1)
	if _, ok := d.Take(l, at(0), "", addrs, 1); !ok {
		t.Error("not once")
	}
	if _, ok := d.Take(l, at(0), "", addrs, 1); ok {
		t.Error("twice")
	}
}

// TestPrefixBits holds prefix to net/netip for all lengths of both families.
func TestPrefixBits(t *testing.T) {
	for bits := range 129 {
		for _, ip := range []netip.Addr{
			netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("10.77.3.9"),
			netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), netip.MustParseAddr("2001:db8:1:2:3:4:5:6"),
		} {
			l := &DestinationLimits{IPv4Bits: min(bits, 32), IPv6Bits: bits}
			want, err := ip.Prefix(min(bits, ip.BitLen()))
			if err != nil {
				t.Fatal(err)
			}
			if got := keyOf(ip).prefix(l); got != keyOf(want.Addr()) {
				t.Errorf("%v/%d: %v", ip, bits, netip.AddrFrom16(got))
			}
		}
	}
	outside := &DestinationLimits{IPv4Bits: 99, IPv6Bits: -1}
	if ip := netip.MustParseAddr("192.0.2.1"); keyOf(ip).prefix(outside) != keyOf(ip) {
		t.Error("99 bits of IPv4 are not all")
	}
	if keyOf(netip.MustParseAddr("2001:db8::1")).prefix(outside) != (key{}) {
		t.Error("-1 bits of IPv6 are not none")
	}
}

func TestDestinationsReturn(t *testing.T) {
	l := &DestinationLimits{PerAddress: Rate{10, 10}, PerPrefix: Rate{10, 15}, IPv4Bits: 24}
	one, two := targets("192.0.2.1:80"), targets("192.0.2.2:80")
	d := apart(t, l, append(one, two...))
	expect := func(addrs []netip.AddrPort, n int, want Excess) {
		t.Helper()
		if excess, ok := d.Take(l, at(0), "edge", addrs, n); excess != want || ok != (want == Excess{}) {
			t.Errorf("%v: %+v, want %+v", addrs, excess, want)
		}
	}
	expect(one, 10, Excess{})
	expect(two, 6, Excess{Limit: PerPrefix, Wait: 100 * ms})
	d.Return(l, at(0), one[0], 4)
	expect(one, 5, Excess{Limit: PerAddress, Wait: 100 * ms})
	expect(two, 9, Excess{})
	expect(one, 1, Excess{Limit: PerPrefix, Wait: 100 * ms})
	d.Return(l, at(0), two[0], math.MaxInt) // and no fuller than full
	expect(one, 4, Excess{})
	expect(two, 10, Excess{})
	expect(two, 1, Excess{Limit: PerAddress, Wait: 100 * ms})
}

// TestExcessWaitIsTrue: 1 ns before its end the same Take is refused, and at its end it is not.
func TestExcessWaitIsTrue(t *testing.T) {
	for _, l := range []*DestinationLimits{
		{PerAddress: Rate{7, 3}},
		{PerPrefix: Rate{1.0 / 3, 8}, IPv4Bits: 16},
		{Ports: 3, Window: 777777 * time.Microsecond},
		{PerAddress: Rate{2, 5}, PerPrefix: Rate{3, 7}, IPv4Bits: 24, Ports: 5, Window: 10 * time.Second},
	} {
		var met [PortsPerAddress + 1]int
		d := NewDestinations()
		now := time.Duration(12345)
		for i := range 500 {
			addr := targets(fmt.Sprintf("192.0.2.%d:%d", 1+i%3, 1+i%11))
			excess, ok := d.Take(l, at(now), "edge", addr, 1)
			if ok {
				continue
			}
			if met[excess.Limit]++; excess.Wait <= 0 {
				t.Fatalf("%+v: %v: %+v", l, addr, excess)
			}
			early, ok := d.Take(l, at(now+excess.Wait-1), "edge", addr, 1)
			if ok || early.Wait != 1 {
				t.Fatalf("%+v: %+v, and 1 ns before its end %+v, %t", l, excess, early, ok)
			}
			now += excess.Wait
			if late, ok := d.Take(l, at(now), "edge", addr, 1); !ok {
				t.Fatalf("%+v: %+v, and at its end %+v", l, excess, late)
			}
		}
		if met[PerAddress]+met[PerPrefix]+met[PortsPerAddress] < 40 {
			t.Errorf("%+v: met %v times: nothing is proved", l, met)
		}
	}
}
