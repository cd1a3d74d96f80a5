package quota

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// ipv4 and ipv6 make the i-th address of a network.
func ipv4(network uint32, i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, network+uint32(i)))), 443)
}

func ipv6(network uint64, i uint64) netip.AddrPort {
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, network), i)
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), 443)
}

// takeOne asks for one handshake with one address.
func takeOne(d *Destinations, l *DestinationLimits, now time.Duration, addr netip.AddrPort) bool {
	addrs := [1]netip.AddrPort{addr}
	_, ok := d.Take(l, at(now), "edge", addrs[:], 1)
	return ok
}

// TestPrefixHopping: who never asks for one address twice gets no more out of a prefix than its rate.
func TestPrefixHopping(t *testing.T) {
	l := &DestinationLimits{PerAddress: Rate{10, 10}, PerPrefix: Rate{100, 50}, IPv4Bits: 24, IPv6Bits: 64}
	for name, hop := range map[string]func(i int) netip.AddrPort{
		"a /24":        func(i int) netip.AddrPort { return ipv4(0xc0000200, i%256) },
		"a /64":        func(i int) netip.AddrPort { return ipv6(0x20010db8_00000001, uint64(i)) },
		"a /64's ends": func(i int) netip.AddrPort { return ipv6(0x20010db8_00000001, uint64(i)*0x9e3779b97f4a7c15) },
	} {
		d := NewDestinations()
		got := 0
		for i := range 200_000 { // 10 s, 20,000 per second
			if takeOne(d, l, time.Duration(i)*50*time.Microsecond, hop(i)) {
				got++
			}
		}
		if most := 50 + 10*100; got > most || got < most-50 {
			t.Errorf("hopping over %s: %d handshakes in 10 s, want %d", name, got, most)
		}
	}
}

// TestFloodEvadesNothing: five million other destinations neither let a limited one through nor cost memory.
func TestFloodEvadesNothing(t *testing.T) {
	l := &DestinationLimits{
		PerAddress: Rate{1, 10}, PerPrefix: Rate{1, 20}, IPv4Bits: 24, IPv6Bits: 64, Ports: 50, Window: time.Hour,
	}
	before := heap()
	d := NewDestinations()
	victim, neighbour := ipv4(0xc0000201, 0), ipv4(0xc0000202, 0)
	port := func(addr netip.AddrPort, i int) netip.AddrPort { return netip.AddrPortFrom(addr.Addr(), uint16(i)) }
	for i := range 10 {
		if !takeOne(d, l, 0, port(victim, i)) || !takeOne(d, l, 0, port(neighbour, i)) {
			t.Fatal("the burst itself is refused")
		}
	}
	const flood = 5_000_000 / 2 / fewer // of each family
	let, refused := 0, 0
	for i := range flood {
		now := time.Duration(i) * 398 * time.Nanosecond // in all less than a second: not one token more
		for _, other := range []netip.AddrPort{
			port(ipv4(0x0a000000, i), i),
			port(ipv6(0x20010db8_00000000+uint64(i), rand.Uint64()), rand.Int()),
		} {
			if takeOne(d, l, now, other) {
				let++
			} else {
				refused++
			}
		}
		if i%1000 == 0 && (takeOne(d, l, now, victim) || takeOne(d, l, now, neighbour)) {
			t.Fatalf("after %d others the limited one was let through", 2*i)
		}
	}
	grown := heap() - before
	t.Logf("%d let in, %d refused, heap grown by %.1f MiB", let, refused, float64(grown)/(1<<20))
	// Two tables of 2 MiB, cells of 2 MiB, and in each at most 50 touches of 8 bytes, in allocations of 416.
	if most := 6<<20 + 1<<cellBits*416; grown > int64(most)+1<<20 {
		t.Errorf("heap grown by %d bytes, want at most %d", grown, most)
	}
	runtime.KeepAlive(d)

	// The ports, without rates in their way.
	l = &DestinationLimits{Ports: 50, Window: time.Hour}
	for i := range 1_000_000 / fewer {
		takeOne(d, l, time.Second, port(ipv4(0x0b000000, i), i))
	}
	ports := 0
	for i := range 65536 { // some of the victim's 50 places are taken by others
		if takeOne(d, l, time.Second, port(victim, i)) {
			ports++
		}
	}
	if ports > 50 {
		t.Errorf("%d ports of the limited one, want at most 50", ports)
	}
}

// TestMemoryIsBounded: with the most ports and a different one each time, a Destinations takes what NewDestinations says; here with
// a 64th of the cells.
func TestMemoryIsBounded(t *testing.T) {
	l := &DestinationLimits{Ports: MaxPorts, Window: time.Hour}
	before := heap()
	d := newDestinations(tableBits, cellBits-6)
	if empty := heap() - before; empty > 64<<10 {
		t.Errorf("%d bytes before anything was counted", empty)
	}
	for i := range 200_000 {
		takeOne(d, l, 0, netip.AddrPortFrom(ipv4(0, i).Addr(), uint16(rand.Int())))
	}
	grown := heap() - before
	t.Logf("heap grown by %d KiB", grown>>10)
	if grown > 67<<20/64 {
		t.Errorf("heap grown by %d bytes", grown)
	}
	runtime.KeepAlive(d)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFalsePositives counts what honest callers lose by collisions: none of these destinations is near a limit of its own.
func TestFalsePositives(t *testing.T) {
	const (
		second = 50_000              // handshakes
		span   = 60 / min(fewer, 20) // s
		known  = 1_000_000
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	common := []uint16{22, 80, 443, 8443}
	for _, test := range []struct {
		name   string
		limits *DestinationLimits
		addr   func(i int) netip.AddrPort
		most   float64 // share of refusals
	}{
		{
			"per address 100/s, one after the other",
			&DestinationLimits{PerAddress: Rate{100, 100}},
			func(i int) netip.AddrPort { return ipv4(0x0a000000, i%known) }, 0,
		},
		{
			"per address 100/s, at random",
			&DestinationLimits{PerAddress: Rate{100, 100}},
			func(int) netip.AddrPort { return ipv4(0x0a000000, r.IntN(known)) }, 0,
		},
		{
			"per address 5/s burst 5, at random",
			&DestinationLimits{PerAddress: Rate{5, 5}},
			func(int) netip.AddrPort { return ipv4(0x0a000000, r.IntN(known)) }, 1e-5,
		},
		{
			"per address 100/s and per /24 1000/s, at random",
			&DestinationLimits{PerAddress: Rate{100, 100}, PerPrefix: Rate{1000, 1000}, IPv4Bits: 24},
			func(int) netip.AddrPort { return ipv4(0x0a000000, r.IntN(known)) }, 0,
		},
		{
			"50 ports a minute, four common ones at random",
			&DestinationLimits{Ports: 50, Window: minute},
			func(int) netip.AddrPort {
				return netip.AddrPortFrom(ipv4(0x0a000000, r.IntN(known)).Addr(), common[r.IntN(len(common))])
			}, 0,
		},
		{
			"50 ports a minute, each address one of its own",
			&DestinationLimits{Ports: 50, Window: minute},
			func(int) netip.AddrPort {
				i := r.IntN(known)
				return netip.AddrPortFrom(ipv4(0x0a000000, i).Addr(), uint16(i*40503>>4))
			}, 0,
		},
	} {
		d := NewDestinations()
		refused := 0
		for i := range second * span {
			if !takeOne(d, test.limits, time.Duration(i)*time.Second/second, test.addr(i)) {
				refused++
			}
		}
		share := float64(refused) / (second * span)
		t.Logf("%s: %d of %d refused (%.2g)", test.name, refused, second*span, share)
		if share > test.most {
			t.Errorf("%s: %d refused", test.name, refused)
		}
	}
}
