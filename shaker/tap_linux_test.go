package shaker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// onTheWire checks that between the ends of results all that a tap has seen is a number of handshakes with just the wanted
// segments, such as "SYN SYN-ACK RST", one after the other, and returns how many in all. Where a loop of the engine was stopped there
// may be others, but not where all silence is called proven.
func onTheWire(t *testing.T, e *Engine, tap *testnet.Tap, results []Result, want string) (handshakes int) {
	t.Helper()
	tap.Sync()
	type ends [2]netip.AddrPort // the prober's first
	flows, unproven := map[ends][]string{}, map[ends]bool{}
	for _, r := range results {
		between := ends{r.Source, r.Addr}
		flows[between] = nil
		unproven[between] = unproven[between] || r.Silence != Proven
	}
	for _, s := range tap.Log() {
		between := ends{s.From, s.To}
		if _, ok := flows[between]; !ok {
			between[0], between[1] = s.To, s.From
		}
		if flow, ok := flows[between]; ok {
			flows[between] = append(flow, s.Kind())
		}
	}
	one := strings.Fields(want)
	wrong := 0
	for between, flow := range flows {
		n := len(flow) / len(one)
		if !slices.Equal(flow, slices.Repeat(one, n)) && (!unproven[between] || !stopped(e)) {
			if wrong++; wrong < 5 {
				t.Errorf("from %s to %s: %v, want %v", between[0], between[1], flow, one)
			}
		}
		handshakes += n
	}
	return handshakes
}
