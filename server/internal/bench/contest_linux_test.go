package bench

import (
	"fmt"
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
	name, unit string // in words, and as the benchmark's metric
	key        string
	of, to     string
	promise    promise
}

// bound is a promise about one figure of one line: the median of the rounds, or the greatest of all where worst is set.
type bound struct {
	name, unit string
	key, line  string
	promise    promise
	worst      bool
}

// promise is what a value must be, and what it should: at most, or at least. Nil is none.
type promise func(value float64) string

// atMost and atLeast say whether a value keeps a promise, and whether it reaches the aim beyond.
func atMost(must, aim float64) promise {
	return func(value float64) string { return judge("≤", must, aim, value <= must, value <= aim) }
}

func atLeast(must, aim float64) promise {
	return func(value float64) string { return judge("≥", must, aim, value >= must, value >= aim) }
}

func judge(sign string, must, aim float64, kept, reached bool) string {
	text := fmt.Sprintf("must be %s %g", sign, must)
	if aim != must {
		text += fmt.Sprintf(", aim %g", aim)
	}
	switch {
	case !kept:
		return text + ": MISSED"
	case reached && aim != must:
		return text + ": kept, and the aim reached"
	}
	return text + ": kept"
}

func (p promise) of(value float64) string {
	if p == nil {
		return ""
	}
	return p(value)
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
	var values []float64
	for i := range min(len(o[r.of]), len(o[r.to])) {
		if below := o[r.to][i][r.key]; below > 0 {
			values = append(values, o[r.of][i][r.key]/below)
		}
	}
	return summarize(values), len(values) > 0
}
