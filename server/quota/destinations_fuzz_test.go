package quota

import (
	"cmp"
	"net/netip"
	"testing"
	"time"
)

// naive is Destinations without tables, hashes or collisions: maps that grow for ever, times in whole milliseconds, rates in whole
// tokens per millisecond.
type naive struct {
	limits            *DestinationLimits
	now               int64 // ms
	addresses, prefix map[string]*naiveBucket
	ports             map[string]map[uint16]int64
}

type naiveBucket struct{ tokens, since int64 }

func newNaive(l *DestinationLimits) *naive {
	return &naive{l, 0, make(map[string]*naiveBucket), make(map[string]*naiveBucket), make(map[string]map[uint16]int64)}
}

// has returns the tokens of one bucket, which is full where there was none.
func (v *naive) has(buckets map[string]*naiveBucket, r Rate, name string) *naiveBucket {
	b := buckets[name]
	if b == nil {
		b = &naiveBucket{int64(r.Burst), v.now}
		buckets[name] = b
	}
	b.tokens = min(b.tokens+(v.now-b.since)*int64(r.PerSecond)/1000, int64(r.Burst))
	b.since = v.now
	return b
}

// refuses returns what Take should: the limit without room, and the time to wait for the rates.
// timed is false if ports have to be waited for as well, of which the twin keeps no time.
func (v *naive) refuses(caller string, addrs []netip.AddrPort, n int64) (limit Limit, wait time.Duration, timed bool) {
	never := Limit(0)
	rates := func(of Limit, r Rate, buckets map[string]*naiveBucket, name func(netip.AddrPort) string) {
		sum := make(map[string]int64)
		for _, addr := range addrs {
			sum[name(addr)] += n
		}
		for name, need := range sum {
			b := v.has(buckets, r, name)
			if need <= b.tokens || r.PerSecond == 0 {
				continue
			}
			limit = cmp.Or(limit, of)
			if need > int64(r.Burst) {
				never = cmp.Or(never, of)
			}
			wait = max(wait, time.Duration(float64(need-b.tokens)/r.PerSecond*1e9))
		}
	}
	rates(PerAddress, v.limits.PerAddress, v.addresses, addressName)
	rates(PerPrefix, v.limits.PerPrefix, v.prefix, func(a netip.AddrPort) string { return prefixName(v.limits, a) })
	ports, portsNever := v.portsRefuse(caller, addrs)
	if portsNever {
		never = cmp.Or(never, PortsPerAddress)
	}
	switch {
	case never != 0:
		return never, 0, true
	case ports:
		return cmp.Or(limit, PortsPerAddress), wait, false
	default:
		return limit, wait, true
	}
}

// portsRefuse reports whether an address would have too many ports, and whether addrs alone have.
func (v *naive) portsRefuse(caller string, addrs []netip.AddrPort) (refused, never bool) {
	own := make(map[string]map[uint16]bool)
	held := make(map[string]map[uint16]bool)
	for _, addr := range addrs {
		name := caller + " " + addressName(addr)
		if held[name] == nil {
			held[name] = make(map[uint16]bool)
			for port, last := range v.ports[name] {
				if time.Duration(v.now-last)*ms < v.limits.Window {
					held[name][port] = true
				}
			}
		}
		held[name][addr.Port()] = true
		if own[name] == nil {
			own[name] = make(map[uint16]bool)
		}
		own[name][addr.Port()] = true
		if v.limits.Ports > 0 {
			refused = refused || len(held[name]) > v.limits.Ports
			never = never || len(own[name]) > v.limits.Ports
		}
	}
	return refused, never
}

func (v *naive) take(caller string, addrs []netip.AddrPort, n int64) {
	for _, addr := range addrs {
		v.has(v.addresses, v.limits.PerAddress, addressName(addr)).tokens -= n
		v.has(v.prefix, v.limits.PerPrefix, prefixName(v.limits, addr)).tokens -= n
		name := caller + " " + addressName(addr)
		if v.ports[name] == nil {
			v.ports[name] = make(map[uint16]int64)
		}
		if v.limits.Ports > 0 {
			v.ports[name][addr.Port()] = v.now
		}
	}
}

func (v *naive) put(addr netip.AddrPort, n int64) {
	v.has(v.addresses, v.limits.PerAddress, addressName(addr)).tokens += n
	v.has(v.prefix, v.limits.PerPrefix, prefixName(v.limits, addr)).tokens += n
	v.has(v.addresses, v.limits.PerAddress, addressName(addr)) // no fuller than full
	v.has(v.prefix, v.limits.PerPrefix, prefixName(v.limits, addr))
}

var (
	fuzzAddrs = targets(
		"192.0.2.1:1", "192.0.2.2:1", "192.0.3.1:1", "[::ffff:192.0.2.1]:1", "198.51.100.1:1", "198.51.100.77:1",
		"[2001:db8::1]:1", "[2001:db8::1%eth0]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1", "[::192.0.2.1]:1", "[2001:db9::1]:1",
	)
	fuzzCallers = []string{"edge", "core", ""}
	fuzzBits    = [][2]int{{24, 64}, {32, 128}, {0, 0}, {16, 48}}
)

// FuzzDestinations holds Take and Return to the naive twin. In tables where none of the destinations collide they agree on
// everything. In tables of two buckets and two cells what the twin refuses is refused.
//
// There, what is given back is given back at once. Later, a part of it may have come back already by the bucket being full, and one
// that shares the bucket gets it (Bucket.Return); over a span with both ends in it they are still limited as one.
func FuzzDestinations(f *testing.F) {
	f.Add([]byte("\x00\x05\x11\x02\x00\x10" + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Add([]byte("\x01\x05\x11\x02\x00\x10" + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Add([]byte("\x01\xff\x00\x00\x01\x00\x04\x03\x00\x04\x13\x00\x04\x23\x00\x04\x33\x00\x04\x43\x00\x04\x53\x00"))
	f.Add([]byte("\x00\x00\x00\xff\x00\x80\x04\x03\x00\x04\x13\x00\x04\x23\x00\x04\x33\x00\x04\x43\x00\x04\x53\x00\x01\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		next := func() int {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return int(b)
		}
		rate := func(b int) Rate { return Rate{[]float64{1000, 2000, 5000, 0}[b>>6], 1 + b&63} }
		crowded := next()&1 == 1
		bits := next()
		l := &DestinationLimits{
			PerAddress: rate(next()), PerPrefix: rate(next()),
			IPv4Bits: fuzzBits[bits&3][0], IPv6Bits: fuzzBits[bits&3][1],
			Ports: bits >> 2 & 7, Window: time.Duration(1+next())*ms - ms/2, // between two of the twin's times
		}
		d, v := newDestinations(1, 1), newNaive(l)
		if !crowded {
			d = apartIn(t, func() *Destinations { return newDestinations(13, 13) }, l, fuzzAddrs, fuzzCallers...)
		}
		now := func() time.Time { return at(time.Duration(v.now) * ms) }
		unused := make(map[netip.AddrPort]int64)
		for range 200 {
			if len(in) == 0 {
				break
			}
			switch op, size := next(), next(); op & 3 {
			case 0:
				v.now += int64(size) >> (op >> 5)
			case 1:
				if addr := fuzzAddrs[size%len(fuzzAddrs)]; !crowded && unused[addr] > 0 {
					n := 1 + int64(op>>2)%unused[addr]
					d.Return(l, now(), addr, int(n))
					v.put(addr, n)
					unused[addr] -= n
				}
			case 2: // a reload
				changed := *v.limits
				if changed.Ports > 0 {
					changed.Ports = 1 + size%8
				}
				l, v.limits = &changed, &changed
			default:
				caller, n := fuzzCallers[size%3], int64(1+size>>3)
				var addrs []netip.AddrPort
				for range 1 + op>>2&3 {
					b := next()
					addrs = append(addrs, netip.AddrPortFrom(fuzzAddrs[b%len(fuzzAddrs)].Addr(), uint16(b>>4)))
				}
				limit, wait, timed := v.refuses(caller, addrs, n)
				excess, ok := d.Take(l, now(), caller, addrs, int(n))
				if ok != (excess.Limit == 0) || ok && excess.Wait != 0 {
					t.Fatalf("%t, with %+v", ok, excess)
				}
				if ok && limit != 0 {
					t.Fatalf("%+v: %q %v × %d after %d ms is let in; the twin refuses it for %v", l, caller, addrs, n, v.now, limit)
				}
				if !crowded && excess.Limit != limit || !crowded && timed && excess.Wait != wait {
					t.Fatalf("%+v: %q %v × %d after %d ms: %+v; the twin says %v, %v", l, caller, addrs, n, v.now, excess, limit, wait)
				}
				if !ok {
					continue
				}
				v.take(caller, addrs, n)
				if back := min(n, int64(op>>5)); crowded && back > 0 {
					for _, addr := range addrs {
						d.Return(l, now(), addr, int(back))
						v.put(addr, back)
					}
					continue
				}
				for _, addr := range addrs {
					unused[netip.AddrPortFrom(addr.Addr(), 1)] += n
				}
			}
		}
	})
}
