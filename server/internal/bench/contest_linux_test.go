package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// contest is a table whose lines run in turn, round by round.
type contest struct {
	title   string
	without string // what is missing here, and why, or ""
	once    bool   // there is one line, and one round of it says all
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
	group         string // lines of a group run one after the other, so that little time is between the sides of their ratios
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

// run makes the rounds. Every one has an order of its own, of its groups and within them, so that nobody always comes after the same.
func (c *contest) run(tb testing.TB, rounds int) outcome {
	tb.Helper()
	if c.once {
		rounds = 1
	}
	all := outcome{}
	for range rounds {
		for _, l := range c.shuffled() {
			all[l.name] = append(all[l.name], l.run(tb))
		}
	}
	return all
}

func (c *contest) shuffled() []line {
	lines := slices.Clone(c.lines)
	rand.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
	first := map[string]int{} // where the first of each group came
	for i, l := range lines {
		if _, ok := first[l.group]; !ok {
			first[l.group] = i
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(first[a.group], first[b.group]) })
	return lines
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
