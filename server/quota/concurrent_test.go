package quota

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBucketConcurrent: many at once get what one would, to the token.
func TestBucketConcurrent(t *testing.T) {
	const (
		takers = 16
		span   = 200 * ms
	)
	for _, rate := range []Rate{{1000, 50}, {1e6, 1000}} {
		var b Bucket
		var now, got atomic.Int64
		var wg sync.WaitGroup
		for taker := range takers {
			wg.Go(func() {
				for i := 1; ; i++ {
					n := 1 + (taker+i)%3
					asked := now.Load() // may be behind by the time it is used
					if asked >= int64(span) {
						return
					}
					if _, ok := b.Take(rate, at(time.Duration(asked)), n, 0); ok {
						got.Add(int64(n))
						if i%5 == 0 {
							b.Return(rate, at(time.Duration(asked)), n)
							got.Add(-int64(n))
						}
					}
					if i%8 == 0 {
						now.Add(1 + int64(i%1000))
					}
				}
			})
		}
		wg.Wait()
		for { // what is left
			if _, ok := b.Take(rate, at(time.Duration(now.Load())), 1, 0); !ok {
				break
			}
			got.Add(1)
		}
		most := int64(rate.Burst) + int64(rate.PerSecond*time.Duration(now.Load()).Seconds())
		if got.Load() > most || got.Load() < most-int64(rate.Burst) {
			t.Errorf("%+v: %d tokens in %v, want at most %d, and not many less", rate, got.Load(), span, most)
		}
	}
}

// TestBucketConcurrentBurst: at one instant, exactly a burst.
func TestBucketConcurrentBurst(t *testing.T) {
	for range 50 {
		var b Bucket
		var got atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if _, ok := b.Take(Rate{7, 300}, at(time.Hour), 1, 0); ok {
						got.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got.Load() != 300 {
			t.Fatalf("%d tokens of 300", got.Load())
		}
	}
}

// TestDestinationsConcurrent: many at once, most of them refused and undone, never get more than a burst at one instant; and what
// was undone is there for the last.
func TestDestinationsConcurrent(t *testing.T) {
	l := &DestinationLimits{PerAddress: Rate{1000, 300}, PerPrefix: Rate{1000, 400}, IPv4Bits: 24, IPv6Bits: 64, Ports: 50, Window: time.Minute}
	addrs := targets("192.0.2.1:1", "192.0.2.2:1", "198.51.100.1:1", "198.51.100.2:1")
	d := apart(t, l, addrs, "edge")
	var got [4]atomic.Int64
	var touched [4][256]atomic.Bool
	var wg sync.WaitGroup
	for taker := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				port := uint16(1 + (i*7+taker)%200)
				first, second := (i+taker)%4, (i*i+1)%4
				pair := []netip.AddrPort{
					netip.AddrPortFrom(addrs[first].Addr(), port), netip.AddrPortFrom(addrs[second].Addr(), port),
				}
				if _, ok := d.Take(l, at(0), "edge", pair, 1); !ok {
					continue
				}
				for _, at := range []int{first, second} {
					got[at].Add(1)
					touched[at][port].Store(true)
				}
			}
		})
	}
	wg.Wait()
	for i := range addrs {
		ports := 0
		for port := range touched[i] {
			if touched[i][port].Load() {
				ports++
				known := netip.AddrPortFrom(addrs[i].Addr(), uint16(port))
				for { // what is left, by a port that has its place
					if _, ok := d.Take(l, at(0), "edge", []netip.AddrPort{known}, 1); !ok {
						break
					}
					got[i].Add(1)
				}
			}
		}
		if ports > 50 {
			t.Errorf("%v: %d ports", addrs[i], ports)
		}
	}
	for i := range addrs {
		if n := got[i].Load(); n > 300 {
			t.Errorf("%v: %d handshakes", addrs[i], n)
		}
		if i%2 == 1 {
			if n := got[i-1].Load() + got[i].Load(); n != 400 {
				t.Errorf("the prefix of %v: %d handshakes, want 400", addrs[i], n)
			}
		}
	}
}
