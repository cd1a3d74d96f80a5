package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// text reads v, a text that is not empty. What YAML takes for something else, such as 1.3 or true, must stand in quotes.
func (r *reader) text(v value) (string, bool) {
	s, ok := r.anyText(v)
	if ok && s == "" {
		r.wrong(v, "%s must not be empty", v.key)
		return "", false
	}
	return s, ok
}

func (r *reader) anyText(v value) (string, bool) {
	switch {
	case v.Kind != yaml.ScalarNode:
		r.mismatch(v, "must be text", ": it may need quotes")
	case !v.isScalar("!!str"):
		r.mismatch(v, "must be text", ": write it in quotes")
	case hasControl(v.Value):
		r.mismatch(v, "must not hold control characters", "")
	default:
		return v.Value, true
	}
	return "", false
}

// hasControl reports whether s has a character that would break a line, or worse, where it is logged.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == 0x2028 || c == 0x2029 })
}

// yes reads v, true or false.
func (r *reader) yes(v value) (yes, ok bool) {
	if !v.isScalar("!!bool") {
		r.mismatch(v, "must be true or false", "")
		return false, false
	}
	return strings.EqualFold(v.Value, "true"), true
}

// whole reads v, a whole number from least to most. Other forms than decimal digits are refused: 010 is 8 to some and 10 to
// others.
func (r *reader) whole(v value, least, most int64) (int64, bool) {
	n, err := strconv.ParseInt(v.Value, 10, 64)
	decimal := v.isScalar("!!int") && err == nil && strconv.FormatInt(n, 10) == v.Value
	if !decimal || n < least || n > most {
		r.mismatch(v, fmt.Sprintf("must be a whole number from %d to %d, in decimal digits", least, most), "")
		return 0, false
	}
	return n, true
}

// number reads v, a number from least to most, or 0. zero says what that is.
func (r *reader) number(v value, least, most float64, zero string) (float64, bool) {
	n, err := strconv.ParseFloat(v.Value, 64)
	numeric := v.isScalar("!!int") || v.isScalar("!!float")
	decimal := strings.Trim(v.Value, "0123456789.eE+-") == "" && !(len(v.Value) > 1 && v.Value[0] == '0' && v.Value[1] != '.')
	if !numeric || !decimal || err != nil || !(n == 0 || n >= least && n <= most) {
		r.mismatch(v, fmt.Sprintf("must be a number from %g to %.0f, or 0 for %s, in decimal digits", least, most, zero), "")
		return 0, false
	}
	return max(n, 0), true // -0 is 0
}

// duration reads v, such as 10s, from least to most.
func (r *reader) duration(v value, least, most time.Duration) (time.Duration, bool) {
	d, err := time.ParseDuration(v.Value)
	if !v.isScalar("!!str") || err != nil || d < least || d > most {
		r.mismatch(v, "must be a duration from "+brief(least)+" to "+brief(most)+", such as 10s or 1m30s", "")
		return 0, false
	}
	return d, true
}

// brief returns d without the zeros at its end: 24h, not 24h0m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// oneOf reads v, one of words.
func (r *reader) oneOf(v value, words ...string) (string, bool) {
	if !v.isScalar("!!str") || !slices.Contains(words, v.Value) {
		r.mismatch(v, "must be one of "+strings.Join(words, ", "), quotesFor(v, words))
		return "", false
	}
	return v.Value, true
}

// quotesFor returns the hint that a right word, which YAML takes for a number, needs.
func quotesFor(v value, words []string) string {
	if v.Kind == yaml.ScalarNode && slices.Contains(words, v.Value) {
		return ": write it in quotes"
	}
	return ""
}

// pathOf reads v, the path of a file, relative to the directory of the configuration.
func (r *reader) pathOf(v value) string {
	s, ok := r.text(v)
	if !ok {
		return ""
	}
	return r.besideFile(s)
}
