package controls

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// engine is the directory of package shaker: where its source is, and where its tests run, as under go test.
const engine = "../.."

// chosen is the environment variable that says which faults are in force, separated by commas.
const chosen = "TCPSHAKER_FAULTS"

// switches is the file that the overlay adds to package shaker.
const switches = `package shaker

import (
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

var faultsInForce = strings.Split(os.Getenv("` + chosen + `"), ",")

func fault(name string) bool { return slices.Contains(faultsInForce, name) }

// stopThread does to a loop what a blocking call would. (A signal of the runtime's ends a poll(2) early.)
func stopThread() {
	for until := clock() + 250e6; clock() < until; {
		_, _ = unix.Poll(nil, int((until-clock())/1e6)+1)
	}
}

var paces sync.Map

// paceOf is the engine's pace, or one of the shard's own.
func (s *shard) paceOf(own bool) *pace {
	if !own {
		return &s.engine.pace
	}
	p, _ := paces.LoadOrStore(s, &pace{interval: s.engine.pace.interval})
	return p.(*pace)
}
`

// build compiles package shaker's tests with all faults in it, none of them in force, and returns the binary.
func build(t *testing.T, faults []fault) string {
	t.Helper()
	dir := t.TempDir()
	source := map[string]string{}
	for _, f := range faults {
		for _, e := range f.edits {
			text, err := os.ReadFile(filepath.Join(engine, e.file))
			if err != nil {
				t.Fatalf("fault %q must be brought up to date: %v", f.name, err)
			}
			source[e.file] = string(text)
		}
	}
	// The test cache has to know of every file that goes into the binary; it takes note of the directories that a test reads.
	for _, read := range []string{engine, "../testnet"} {
		if _, err := os.ReadDir(read); err != nil {
			t.Fatal(err)
		}
	}
	edited, err := apply(source, faults)
	if err != nil {
		t.Fatal(err)
	}
	edited["faults_forced.go"] = switches
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range edited {
		in, err := filepath.Abs(filepath.Join(engine, file))
		if err != nil {
			t.Fatal(err)
		}
		overlay.Replace[in] = write(t, filepath.Join(dir, file), []byte(text))
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "shaker.test")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off",
		"-overlay", write(t, filepath.Join(dir, "overlay.json"), list), "-o", binary, ".")
	cmd.Dir = engine
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the engine with its faults does not compile: %v\n%s", err, out)
	}
	return binary
}

func write(t *testing.T, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// apply makes all edits of all faults, each of them in the text as it was before any.
func apply(source map[string]string, faults []fault) (map[string]string, error) {
	type place struct {
		at   int
		edit edit
		of   string
	}
	places := map[string][]place{}
	for _, f := range faults {
		for _, e := range f.edits {
			if n := strings.Count(source[e.file], e.old); n != 1 {
				return nil, fmt.Errorf("fault %q must be brought up to date: %q stands %d times in %s", f.name, e.old, n, e.file)
			}
			places[e.file] = append(places[e.file], place{strings.Index(source[e.file], e.old), e, f.name})
		}
	}
	edited := map[string]string{}
	for file, list := range places {
		slices.SortFunc(list, func(a, b place) int { return cmp.Compare(a.at, b.at) })
		var text strings.Builder
		end, last := 0, ""
		for _, p := range list {
			if p.at < end {
				return nil, fmt.Errorf("faults %q and %q edit the same text of %s", last, p.of, file)
			}
			text.WriteString(source[file][end:p.at])
			text.WriteString(p.edit.new)
			end, last = p.at+len(p.edit.old), p.of
		}
		text.WriteString(source[file][end:])
		edited[file] = text.String()
	}
	return edited, nil
}
