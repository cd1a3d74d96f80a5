package controls

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// uncontrolled are the invariants that no fault is forced for, each with the reason.
var uncontrolled = map[int]string{}

var (
	numbered = regexp.MustCompile(`^//  (\d+)\. `)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz)\w+`)
)

// TestEveryInvariantHasAControl: of the tests that package shaker's doc.go names for what it keeps to, at least one is seen to
// go red.
func TestEveryInvariantHasAControl(t *testing.T) {
	controlled := map[string]bool{}
	for _, f := range faults {
		for _, c := range f.seen {
			name, _, _ := strings.Cut(c.test, "/")
			controlled[name] = true
		}
	}
	text, err := os.ReadFile(filepath.Join(engine, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	invariants := invariantsOf(string(text))
	if len(invariants) < 12 {
		t.Fatalf("%d invariants in doc.go: its form has changed", len(invariants))
	}
	for n, tests := range invariants {
		seen := false
		for _, test := range tests {
			seen = seen || controlled[test]
		}
		switch reason, excepted := uncontrolled[n]; {
		case excepted && (seen || len(tests) == 0):
			t.Errorf("invariant %d needs no exception (%s)", n, reason)
		case !excepted && !seen && len(tests) > 0:
			t.Errorf("invariant %d: no fault turns one of %v red", n, tests)
		}
	}
	for n := range uncontrolled {
		if _, ok := invariants[n]; !ok {
			t.Errorf("an exception for invariant %d, which there is none of", n)
		}
	}
}

// invariantsOf returns the tests that each item of the numbered list in a package comment names.
func invariantsOf(doc string) map[int][]string {
	invariants := map[int][]string{}
	item := 0
	for line := range strings.Lines(doc) {
		if m := numbered.FindStringSubmatch(line); m != nil {
			item, _ = strconv.Atoi(m[1])
			invariants[item] = nil
		} else if !strings.HasPrefix(line, "//     ") {
			item = 0
		}
		if item > 0 {
			invariants[item] = append(invariants[item], testName.FindAllString(line, -1)...)
		}
	}
	return invariants
}

// TestFaultsAreWellFormed: each has a name of its own, says what it breaks, is asked for somewhere, and has to be seen.
func TestFaultsAreWellFormed(t *testing.T) {
	asked := map[string]bool{}
	for _, f := range faults {
		for _, e := range f.edits {
			for _, m := range regexp.MustCompile(`fault\("([^"]*)"\)`).FindAllStringSubmatch(e.new, -1) {
				asked[m[1]] = true
			}
		}
	}
	known := map[string]bool{}
	for _, f := range faults {
		if known[f.name] || f.name == "" || strings.Contains(f.name, ",") {
			t.Errorf("fault %q: no name, one with a comma, or another's", f.name)
		}
		known[f.name] = true
		if f.is == "" || len(f.seen) == 0 {
			t.Errorf("fault %q: what does it break, and who sees it?", f.name)
		}
		for _, c := range f.seen {
			if c.test == "" || c.says == "" {
				t.Errorf("fault %q: %+v", f.name, c)
			}
		}
		if len(f.with) == 0 && !asked[f.name] {
			t.Errorf("fault %q: no edit asks for it", f.name)
		}
		for _, other := range f.with {
			if !asked[other] {
				t.Errorf("fault %q: no edit asks for %q", f.name, other)
			}
		}
	}
	for name := range asked {
		if !known[name] {
			t.Errorf("an edit asks for fault %q, which there is none of", name)
		}
	}
}
