package bench

import "testing"

// Each of these runs a whole table, once, however long go test wants to measure.

func BenchmarkEngine(b *testing.B)  { benchmark(b, engineContest) }
func BenchmarkProbers(b *testing.B) { benchmark(b, proberContest) }
func BenchmarkStream(b *testing.B)  { benchmark(b, streamContest) }
func BenchmarkCheck(b *testing.B)   { benchmark(b, checkContest) }
func BenchmarkBeside(b *testing.B)  { benchmark(b, besideContest) }
func BenchmarkMemory(b *testing.B)  { benchmark(b, memoryContest) }
func BenchmarkFlat(b *testing.B)    { benchmark(b, flatContest) }
func BenchmarkIdle(b *testing.B)    { benchmark(b, idleContest) }
func BenchmarkHogs(b *testing.B)    { benchmark(b, hogsContest) }

// TestTables makes every table with next to nothing in it, so that none rots: each line has its figures, and each ratio and bound
// finds its lines. It says nothing of time.
func TestTables(t *testing.T) {
	t.Setenv("BENCH_ALSO", "also=echo probes=$PROBES probes_per_s=1 cpu_us_per_probe=$AT_ONCE")
	for _, one := range []struct {
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
	} {
		t.Run(one.name, func(t *testing.T) {
			c := one.of(t, sizes["smoke"])
			o := c.run(t, 1)
			for _, l := range c.lines {
				c.holds(t, o, l)
			}
			for _, r := range c.ratios {
				if _, ok := o.ratio(r); !ok && c.without == "" {
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

func (c *contest) holds(t *testing.T, o outcome, l line) {
	t.Helper()
	for _, column := range c.columns {
		if got, _ := o.summary(l.name, column.key); got.least <= 0 && !column.maybe {
			t.Errorf("%s: %s is %g", l.name, column.head, got.least)
		}
	}
	if _, ok := o.ratio(ratio{key: c.columns[0].key, of: l.name, to: l.against}); !ok && l.against != "" && c.without == "" {
		t.Errorf("%s: not in multiples of %q", l.name, l.against)
	}
}
