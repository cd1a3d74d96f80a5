package shaker

import (
	"fmt"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestClosedPortOfThisHost: 200,000 probes (fewer in the short form) to a closed port of the range that probes are sent from, an even
// and an odd one, and none of them is up, though the kernel connects some of them to themselves.
func TestClosedPortOfThisHost(t *testing.T) {
	testnet.Private(t)
	probes := 10_000
	if long() {
		probes = 200_000
	}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for _, port := range []int{45_000, 45_001} {
			t.Run(fmt.Sprintf("port=%d", port), func(t *testing.T) {
				e := newEngine(t, Config{Mode: mode, Shards: 2})
				batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe {
					return Probe{Addr: portOf(f.loopback(0), port), Timeout: patience}
				}))
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range collect(t, batch, probes) {
					if r.Outcome != Refused {
						t.Errorf("%s from %s", r.String(), r.Source)
					}
				}
				s := e.Stats()
				t.Logf("%d self-connects, %d crossings of %d", s.SelfConnects, s.Crossings, probes)
				if long() && s.SelfConnects == 0 {
					t.Error("the kernel never did it: this proves nothing")
				}
			})
		}
	})
}
