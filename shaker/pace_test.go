package shaker

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPaceIsOneForAll: of what several goroutines are granted at once, on a clock that goes on only when one of them is told to wait,
// no window holds more than the rate allows and 2 ms' worth. There is no tolerance: it is one word of memory.
func TestPaceIsOneForAll(t *testing.T) {
	for _, rate := range []float64{1000, 20_000, 1e6} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			const takers, each = 8, 20_000
			var p pace
			p.set(rate)
			var now atomic.Int64
			now.Store(1)
			granted := make([][]int64, takers)
			var all sync.WaitGroup
			for k := range granted {
				all.Go(func() {
					for len(granted[k]) < each {
						at := now.Load()
						if retry := p.take(at); retry == 0 {
							granted[k] = append(granted[k], at)
						} else {
							later(&now, retry)
						}
					}
				})
			}
			all.Wait()
			at := slices.Concat(granted...)
			slices.Sort(at)
			// Of two grants, the later comes as many intervals after the earlier as there are grants between them, less the burst.
			least, early := at[0], int64(0)
			for i, x := range at {
				v := int64(i)*p.interval - x
				least = min(least, v)
				early = max(early, v-least)
			}
			if most := int64(2 * time.Millisecond); early > most {
				t.Errorf("a start %d ns ahead of the pace, want at most %d", early, most)
			}
			if took, want := at[len(at)-1]-at[0], p.interval*int64(len(at)-1); took > want {
				t.Errorf("%d ns for what is due in %d", took, want)
			}
		})
	}
}
