package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// figures are what one run of a line measured: the key=value words that its process prints.
type figures map[string]float64

// parseFigures reads the last line of an output that is not empty.
func parseFigures(output string) (figures, error) {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	f := figures{}
	for _, word := range strings.Fields(lines[len(lines)-1]) {
		key, text, ok := strings.Cut(word, "=")
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // a word such as mode=fresh
		}
		f[key] = value
	}
	if len(f) == 0 {
		return nil, fmt.Errorf("no figures in %q", output)
	}
	return f, nil
}

func (f figures) String() string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(f)) {
		words = append(words, key+"="+strconv.FormatFloat(f[key], 'g', -1, 64))
	}
	return strings.Join(words, " ")
}

// summary is the median of some rounds, with the least and the greatest.
type summary struct{ median, least, greatest float64 }

func summarize(values []float64) summary {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return summary{}
	}
	return summary{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// text writes the spread where there is one to see.
func (s summary) text(decimals int) string {
	write := func(x float64) string { return strconv.FormatFloat(x, 'f', decimals, 64) }
	if write(s.least) == write(s.greatest) {
		return write(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", write(s.median), write(s.least), write(s.greatest))
}
