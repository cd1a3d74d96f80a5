package shaker

import (
	"runtime"
	"testing"
)

// TestReadersRunBeforeALoopSleeps: on the one processor there is, who waits for a result gets to run before the loop sleeps, and so
// what they ask next finds it awake; also where another probe stays in flight. A loop that slept at once would leave them to the
// scheduler's watch over system calls, which takes far longer than a probe.
func TestReadersRunBeforeALoopSleeps(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 200
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		open, mute := listen(t, f.loopback(0)).Addr, silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for _, beside := range []int{0, 1} {
			for range beside {
				if _, err := e.Submit(patient(t), []Probe{{Addr: mute, Timeout: patience}}); err != nil {
					t.Fatal(err)
				}
			}
			before := e.Stats().Wakes
			for range probes {
				if r, err := e.Check(patient(t), open, patience); err != nil || r.Outcome != Open {
					t.Fatal(&r, err)
				}
			}
			wakes := e.Stats().Wakes - before
			t.Logf("%d in flight beside: %d probes one after another, %d sleeps", beside, probes, wakes)
			if wakes > probes/2 {
				t.Errorf("%d in flight beside: the loop slept %d times while it was asked %d times, one after another", beside, wakes, probes)
			}
		}
	})
}
