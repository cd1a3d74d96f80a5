package shaker

import (
	"math"
	"testing"
)

// TestBoundOf: the bound in force is the least of what was asked for, what descriptors allow and half of tcp_mem's pressure
// threshold, but at least one per shard, as Config.MaxInFlight has it.
func TestBoundOf(t *testing.T) {
	const unlimited, most = math.MaxUint64, math.MaxInt32
	for _, tt := range []struct {
		asked    int
		fds      uint64
		reserved int
		pressure uint64
		want     InFlightBound
		inForce  int // with two shards
	}{
		{8192, 20_000, 64, 383_866, InFlightBound{8192, 19_936, 191_933, false}, 8192},
		{65_536, 20_000, 1664, 383_866, InFlightBound{65_536, 18_336, 191_933, false}, 18_336},
		{65_536, 1 << 20, 64, 8193, InFlightBound{65_536, 1<<20 - 64, 4096, false}, 4096},
		{3, unlimited, 64, unlimited, InFlightBound{3, most - 64, most, false}, 3},
		{most, 1 << 31, 1, 1 << 33, InFlightBound{most, most - 1, most, false}, most - 1},
		{8192, 10, 64, 383_866, InFlightBound{8192, 0, 191_933, false}, 2},
		{8192, 20_000, 64, 1, InFlightBound{8192, 19_936, 0, false}, 2},
		{1, 20_000, 64, 383_866, InFlightBound{1, 19_936, 191_933, false}, 2},
	} {
		got := boundOf(tt.asked, tt.fds, tt.reserved, tcpMemory{pressure: tt.pressure})
		if got != tt.want || got.inForce(2) != tt.inForce {
			t.Errorf("%+v: %+v, %d in force; want %d", tt, got, got.inForce(2), tt.inForce)
		}
	}
	b := boundOf(65_536, 20_000, 1664, tcpMemory{pressure: 383_866})
	if got, want := b.detail(18_336), "18336: asked for 65536, descriptors allow 18336, tcp_mem 191933"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b = boundOf(8, 20_000, 64, tcpMemory{pressure: 12, derived: true})
	if got, want := b.detail(6), "6: asked for 8, descriptors allow 19936, tcp_mem 6 (from the size of the memory: tcp_mem cannot be read here)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseTCPMem(t *testing.T) {
	for text, want := range map[string]uint64{
		"287898\t383866\t575796\n": 383_866, "1 2 3": 2, "0 18446744073709551615 0": math.MaxUint64,
		"": 0, "1 2": 0, "1 2 3 4": 0, "1 x 3": 0, "1 -2 3": 0,
	} {
		if got, ok := parseTCPMem(text); got != want || ok != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, ok, want)
		}
	}
	// 24,105 MiB in pages of 4 KiB, of which the kernel made 383,866.
	if got := derivedTCPMem(24_105 << 8); got < 383_866 || got > 383_866*101/100 {
		t.Errorf("%d pages", got)
	}
	if got := derivedTCPMem(100); got != 128 {
		t.Errorf("%d pages of next to no memory", got)
	}
}
