package shaker_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNoWallClock is a lint: the engine has one clock, which nobody sets. Whatever reads another, or makes a timer of its own, could
// end a probe because somebody has set the time.
func TestNoWallClock(t *testing.T) {
	forbidden := map[string][]string{
		"time":    {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep", "Date", "Parse", "Unix", "UnixMilli"},
		"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
		"unix":    {"ClockGettime", "ClockNanosleep", "Gettimeofday", "Nanosleep", "Time", "TimerfdCreate"},
	}
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	waits := []string{"Sleep", "NewTimer"} // of a goroutine that is no loop
	uses := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if !ok || !slices.Contains(forbidden[pkg.Name], call.Sel.Name) {
				return true
			}
			switch {
			case name == "clock.go":
				uses++
			case name == "witness_linux.go" && slices.Contains(waits, call.Sel.Name):
			default:
				t.Errorf("%s: %s.%s: the engine's only clock is clock()", files.Position(n.Pos()), pkg.Name, call.Sel.Name)
			}
			return true
		})
		for _, i := range file.Imports {
			if i.Name != nil && strings.Contains(i.Path.Value, `"time"`) {
				t.Errorf("%s: package time by another name", files.Position(i.Pos()))
			}
		}
	}
	if uses != 2 {
		t.Errorf("clock.go uses the clock of package time %d times, not for its epoch and since then: this proves nothing", uses)
	}
}
