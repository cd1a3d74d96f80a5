package bench

import (
	"math/rand/v2"
	"testing"
)

// contest is a table whose lines run in turn, round by round.
type contest struct {
	title   string
	note    string // what a reader has to know, or ""
	columns []column
	lines   []line
	ratios  []ratio
	bounds  []bound
}

// column is one figure of the lines; those that do not have it leave it empty. A maybe may be 0 or missing: the tests do not ask for it.
type column struct {
	head, key string
	decimals  int
	maybe     bool
}

// line is a contestant. Where against is the name of another, the table says its first column in multiples of that one's.
type line struct {
	name, against string
	run           func(tb testing.TB) figures
}

// ratio is a figure of one line divided by that of another, each round by itself.
type ratio struct {
	name, unit   string // in words, and as the benchmark's metric
	key          string
	of, to       string
	must, aim    float64
	more         bool // is better
	ofKey, toKey string
}

// bound is a promise about one figure of one line: the median of the rounds, or the greatest of all where worst is set.
type bound struct {
	name, unit string
	key, line  string
	must, aim  float64
	worst      bool
}

// outcome is the figures of each line, by its name, in the order of the rounds.
type outcome map[string][]figures

// run makes the rounds. Every one has an order of its own, so that nobody always comes after the same.
func (c *contest) run(tb testing.TB, rounds int) outcome {
	tb.Helper()
	all := outcome{}
	for range rounds {
		for _, i := range rand.Perm(len(c.lines)) {
			all[c.lines[i].name] = append(all[c.lines[i].name], c.lines[i].run(tb))
		}
	}
	return all
}

func (o outcome) summary(line, key string) (s summary, ok bool) {
	var values []float64
	for _, f := range o[line] {
		if value, ok := f[key]; ok {
			values = append(values, value)
		}
	}
	return summarize(values), len(values) > 0
}

// ratio divides round by round.
func (o outcome) ratio(r ratio) (s summary, ok bool) {
	of, to := r.key, r.key
	if r.ofKey != "" {
		of, to = r.ofKey, r.toKey
	}
	var values []float64
	for i := range min(len(o[r.of]), len(o[r.to])) {
		if below := o[r.to][i][to]; below > 0 {
			values = append(values, o[r.of][i][of]/below)
		}
	}
	return summarize(values), len(values) > 0
}
