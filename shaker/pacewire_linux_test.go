package shaker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// paceAhead is how far starts may run ahead of the even pace: what the comment of Config.Rate promises.
const paceAhead = 2 * time.Millisecond

// synTimes are when SYNs to each address were sent, by the kernel's word.
type synTimes struct {
	tap *testnet.Tap
	mu  sync.Mutex
	at  map[netip.AddrPort][]time.Time
}

func tapSYNs(t *testing.T) *synTimes {
	s := &synTimes{at: map[netip.AddrPort][]time.Time{}}
	s.tap = testnet.NewTap(t, "lo", func(x *testnet.Segment) {
		if x.Flags&(testnet.SYN|testnet.ACK) == testnet.SYN {
			s.mu.Lock()
			s.at[x.To] = append(s.at[x.To], x.At)
			s.mu.Unlock()
		}
	})
	return s
}

// take returns the times of the SYNs to an address, and forgets them. They are in order: two processors can swap neighbours.
func (s *synTimes) take(to netip.AddrPort) []time.Time {
	s.tap.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at[to]
	delete(s.at, to)
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// ahead returns by how many the most crowded of all windows holds more SYNs than the rate allows for its length. A window begins and
// ends with a SYN. The wall clock may run a thousandth faster than the monotonic one.
func ahead(at []time.Time, rate float64) float64 {
	least, most := 0.0, 0.0
	for i, x := range at {
		v := float64(i) - rate*1.001*x.Sub(at[0]).Seconds()
		least = min(least, v)
		most = max(most, v-least+1)
	}
	return most
}

// crowd returns the largest number of SYNs in any window of a length.
func crowd(at []time.Time, length time.Duration) (most int) {
	for from, to := 0, 0; to < len(at); to++ {
		for at[to].Sub(at[from]) >= length {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// gaps returns the times between SYNs, in ascending order.
func gaps(at []time.Time) []time.Duration {
	g := make([]time.Duration, len(at)-1)
	for i := range g {
		g[i] = at[i+1].Sub(at[i])
	}
	slices.Sort(g)
	return g
}

// steadyRate is how many SYNs a second there are after the first 10 ms, in which starts may get ahead of the pace.
func steadyRate(at []time.Time) float64 {
	first := at[0]
	from := slices.IndexFunc(at, func(x time.Time) bool { return x.Sub(first) >= 10*time.Millisecond })
	return float64(len(at)-1-from) / at[len(at)-1].Sub(at[from]).Seconds()
}

// TestPaceOnTheWire: by the kernel's times of the SYNs, over every window there are no more of them than the rate allows and 2 ms'
// worth, and one that each loop had a permit for and was stopped before it sent it. That holds whatever the machine does. Where
// it let the loops be on time, the mean rate is within 3 % of what was asked for, and there is no gap that a loop's lateness and
// the millisecond's grain of its sleep do not explain.
func TestPaceOnTheWire(t *testing.T) {
	testnet.Private(t)
	length := 150 * time.Millisecond
	if long() {
		length = 3 * time.Second
	}
	syns := tapSYNs(t)
	for _, rate := range []float64{1000, 5000, 20_000} {
		for _, shards := range []int{1, 2} {
			for _, mode := range modes {
				t.Run(fmt.Sprintf("%.0f/shards=%d/%s", rate, shards, mode), func(t *testing.T) {
					const tries = 5 // for the loops to be on time
					for try := 1; ; try++ {
						slow, late := paced(t, syns, Config{Mode: mode, Shards: shards, Rate: rate}, length)
						switch {
						case t.Failed() || slow == "":
							return
						case try == tries && late < time.Millisecond:
							t.Fatal(slow)
						case try == tries:
							t.Logf("this machine is too busy: %s", slow)
							return
						}
					}
				})
			}
		}
	}
}

// paced lets an engine start as many probes as its rate allows in length. It returns what it finds to be too slow, and the
// longest time for which a loop was late.
func paced(t *testing.T, syns *synTimes, c Config, length time.Duration) (slow string, late time.Duration) {
	t.Helper()
	l := listen(t, families[0].loopback(0))
	probes := int(c.Rate * length.Seconds())
	e := newEngine(t, c)
	batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
	if err != nil {
		t.Fatal(err)
	}
	collect(t, batch, probes)
	e.Close() // its last word is in Stats then
	late = e.Stats().LongestTurn
	at := syns.take(l.Addr)
	if len(at) != probes {
		t.Fatalf("%d SYNs for %d probes", len(at), probes)
	}
	mean, g, extra := steadyRate(at), gaps(at), ahead(at, c.Rate)
	longest := g[len(g)-1]
	t.Logf("%d SYNs: mean %.0f a second; gaps p50 %s, p99 %s, longest %s; at most %d in 1 ms, %d in 5 ms, %d in 10 ms, "+
		"%.1f more than the rate allows; longest turn %s",
		probes, mean, g[len(g)/2], g[len(g)*99/100], longest, crowd(at, time.Millisecond), crowd(at, 5*time.Millisecond),
		crowd(at, 10*time.Millisecond), extra, late)
	if most := c.Rate*paceAhead.Seconds() + 1 + float64(c.Shards); extra > most {
		t.Errorf("%.1f starts more than the rate allows, want at most %.1f", extra, most)
	}
	// It waits for its permit, sleeps up to a millisecond longer than it has to, wakes late, and can be as late again with its SYN.
	if most := time.Duration(float64(time.Second)/c.Rate) + 2*time.Millisecond + 2*late; longest > most {
		t.Errorf("no start for %s, want at most %s", longest, most)
	}
	if mean < c.Rate*0.97 || mean > c.Rate*1.03 {
		slow = fmt.Sprintf("%.0f starts a second, want %.0f", mean, c.Rate)
	}
	return slow, late
}

// TestPaceAfterAStop: what all loops did not start while they were stopped they do not catch up with, but for 2 ms' worth.
func TestPaceAfterAStop(t *testing.T) {
	testnet.Private(t)
	const rate, pause = 20_000, 50 * time.Millisecond
	syns := tapSYNs(t)
	for _, shards := range []int{1, 2} {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("shards=%d/%s", shards, mode), func(t *testing.T) {
				for range 5 { // on a busy machine the loops can come to the stop when it is nearly over
					var from atomic.Int64 // from the first answer on
					h := hooks{beforeReading: func() {
						now := clock()
						from.CompareAndSwap(0, now+int64(30*time.Millisecond))
						if from := from.Load(); now >= from && now < from+int64(pause) {
							stop(time.Duration(from + int64(pause) - now))
						}
					}}
					if slow, late := paced(t, syns, Config{Mode: mode, Shards: shards, Rate: rate, hooks: h}, 150*time.Millisecond); slow != "" && late >= pause/2 {
						return
					}
				}
				t.Error("not late, or not slow: this proves nothing")
			})
		}
	}
}
