package shaker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// onTheWire checks that between the ends of results all that a tap has seen is a number of handshakes with just the wanted
// segments, such as "SYN SYN-ACK RST", one after the other, and returns how many in all.
func onTheWire(t *testing.T, tap *testnet.Tap, results []Result, want string) (handshakes int) {
	t.Helper()
	tap.Sync()
	type ends [2]netip.AddrPort // the prober's first
	flows := map[ends][]string{}
	for _, r := range results {
		flows[ends{r.Source, r.Addr}] = nil
	}
	for _, s := range tap.Log() {
		e := ends{s.From, s.To}
		if _, ok := flows[e]; !ok {
			e[0], e[1] = e[1], e[0]
		}
		if flow, ok := flows[e]; ok {
			flows[e] = append(flow, s.Kind())
		}
	}
	one := strings.Fields(want)
	wrong := 0
	for e, flow := range flows {
		n := len(flow) / len(one)
		if !slices.Equal(flow, slices.Repeat(one, n)) {
			if wrong++; wrong < 5 {
				t.Errorf("from %s to %s: %v, want %v", e[0], e[1], flow, one)
			}
		}
		handshakes += n
	}
	return handshakes
}
