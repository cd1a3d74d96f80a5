package bench

import (
	"testing"
)

// contests are all tables. A benchmark has each for itself, so that -bench chooses.
var contests = []struct {
	name string
	of   func(testing.TB, size) *contest
}{
	{"Engine", engineContest},
	{"Probers", proberContest},
	{"Stream", streamContest},
	{"Check", checkContest},
	{"Beside", besideContest},
	{"Memory", memoryContest},
	{"Flat", flatContest},
	{"Idle", idleContest},
	{"Hogs", hogsContest},
}

// TestTables makes every table with next to nothing in it, so that none rots: each line has its figures, and each ratio and bound
// finds its lines. It says nothing of time.
func TestTables(t *testing.T) {
	t.Setenv("BENCH_ALSO", "also=echo probes=$PROBES probes_per_s=1 cpu_us_per_probe=$AT_ONCE")
	s := sizes["smoke"]
	for _, one := range contests {
		t.Run(one.name, func(t *testing.T) {
			c := one.of(t, s)
			o := c.run(t, s.rounds)
			for _, l := range c.lines {
				for _, column := range c.columns {
					if got, _ := o.summary(l.name, column.key); got.least <= 0 && !column.maybe {
						t.Errorf("%s: %s is %g", l.name, column.head, got.least)
					}
				}
				if _, ok := o.ratio(ratio{key: c.columns[0].key, of: l.name, to: l.against}); ok != (l.against != "") && c.note == "" {
					t.Errorf("%s: not in multiples of %q", l.name, l.against)
				}
			}
			for _, r := range c.ratios {
				if _, ok := o.ratio(r); !ok && c.note == "" {
					t.Errorf("%s: no figures", r.name)
				}
			}
			for _, b := range c.bounds {
				if _, ok := o.bound(b); !ok {
					t.Errorf("%s: no figures", b.name)
				}
			}
			t.Log(c.text(o))
		})
	}
}
