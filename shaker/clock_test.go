package shaker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// TestNoWallClock is a lint: the engine has one clock, which nobody sets. Whatever reads another, or makes a timer of its own, could
// end a probe because somebody has set the time.
func TestNoWallClock(t *testing.T) {
	forbidden := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep", "Date", "Parse", "Unix"}
	notTests := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	files := token.NewFileSet()
	packages, err := parser.ParseDir(files, ".", notTests, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for name, file := range packages["shaker"].Files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); !ok || pkg.Name != "time" || !slices.Contains(forbidden, call.Sel.Name) {
				return true
			}
			if name == "clock.go" {
				uses++
			} else {
				t.Errorf("%s: time.%s: the engine's only clock is clock()", files.Position(n.Pos()), call.Sel.Name)
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
