package quota

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// ns/op is one Take, with the reading of the clock left out. Nothing is refused unless it says so.

func BenchmarkBucket(b *testing.B) {
	rate, now := Rate{1e9, MaxBurst}, at(0)
	b.Run("at=once", func(b *testing.B) {
		var bucket Bucket
		b.ReportAllocs()
		for b.Loop() {
			bucket.Take(rate, now, 1, 0)
		}
	})
	b.Run("at=refused", func(b *testing.B) {
		var bucket Bucket
		b.ReportAllocs()
		for b.Loop() {
			bucket.Take(Rate{1, 1}, now, 1, 0)
		}
	})
	b.Run("at=parallel", func(b *testing.B) {
		var bucket Bucket
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				bucket.Take(rate, now, 1, time.Hour)
			}
		})
	})
}

// BenchmarkDestinations has every limit on. known is how many destinations take turns: of a thousand, what is read stays in the
// caches; of a million, most of it does not, and ns/op is the time of four reads from memory.
func BenchmarkDestinations(b *testing.B) {
	l := &DestinationLimits{
		PerAddress: Rate{1e9, MaxBurst}, PerPrefix: Rate{1e9, MaxBurst}, IPv4Bits: 24, IPv6Bits: 64, Ports: 50, Window: time.Minute,
	}
	tight := *l
	tight.PerPrefix = Rate{1, 1}
	now := at(0)
	for _, known := range []int{1 << 10, 1 << 20} {
		addrs := make([]netip.AddrPort, known)
		for i := range addrs {
			addrs[i] = ipv4(0x0a000000, i*7919%(1<<24))
		}
		for _, n := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("known=%d/addresses=%d", known, n), func(b *testing.B) {
				d := filled(l, addrs)
				b.ReportAllocs()
				for i := 0; b.Loop(); i += n {
					i &= known - 1
					d.Take(l, now, "edge", addrs[i:i+n], 1)
				}
			})
		}
		b.Run(fmt.Sprintf("known=%d/refused", known), func(b *testing.B) {
			d := filled(l, addrs)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				i &= known - 1
				d.Take(&tight, now, "edge", addrs[i:i+1], 1)
			}
		})
		b.Run(fmt.Sprintf("known=%d/return", known), func(b *testing.B) {
			d := filled(l, addrs)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Return(l, now, addrs[i&(known-1)], 1)
			}
		})
		b.Run(fmt.Sprintf("known=%d/parallel", known), func(b *testing.B) {
			d := filled(l, addrs)
			var starts atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(starts.Add(int64(known) / 3)); pb.Next(); i++ {
					i &= known - 1
					d.Take(l, now, "edge", addrs[i:i+1], 1)
				}
			})
		})
	}
}

// filled has seen every address once, so that no cell is still to be made.
func filled(l *DestinationLimits, addrs []netip.AddrPort) *Destinations {
	d := NewDestinations()
	for i := range addrs {
		d.Take(l, at(0), "edge", addrs[i:i+1], 1)
	}
	return d
}

// TestNothingIsAllocated in the steady state, whether a Take is let in or refused.
func TestNothingIsAllocated(t *testing.T) {
	l := &DestinationLimits{Rate{1e6, 10000}, Rate{1e6, 10000}, 24, 64, 50, time.Minute}
	addrs := targets("192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80", "[2001:db8::1%eth0]:81")
	tight := *l
	tight.Ports = 1
	d, now := NewDestinations(), time.Duration(0)
	var bucket Bucket
	if n := testing.AllocsPerRun(1000, func() {
		now += ms
		bucket.Take(Rate{1000, 5}, at(now), 3, time.Second)
		bucket.Return(Rate{1000, 5}, at(now), 2)
		if _, ok := d.Take(l, at(now), "edge", addrs, 1); !ok {
			t.Error("refused")
		}
		if _, ok := d.Take(&tight, at(now), "edge", addrs, 1); ok {
			t.Error("not refused")
		}
		d.Return(l, at(now), addrs[0], 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
