package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSource(t *testing.T) {
	long := "# " + strings.Repeat("x", maxLine-3)
	tests := map[string]struct {
		file string
		want []string
		err  string
	}{
		"plain":            {"a:1\nb:2\n", []string{"a:1", "b:2"}, ""},
		"no last line end": {"a:1\nb:2", []string{"a:1", "b:2"}, ""},
		"windows":          {"\uFEFFa:1\r\nb:2\r\n", []string{"a:1", "b:2"}, ""},
		"blanks, comments": {"\n  \n# no\n  # no\n\t a:1 \n#\n", []string{"a:1"}, ""},
		"behind a target":  {"a:1 # x\nb:2\t#x y:3\n c:3 ## d:4\n", []string{"a:1", "b:2", "c:3"}, ""},
		"no comment":       {"[fe80::1%eth#0]:80 a#b:1\n", []string{"[fe80::1%eth#0]:80", "a#b:1"}, ""},
		"several":          {"a:1 b:2\tc:3  \r\nd:4\n", []string{"a:1", "b:2", "c:3", "d:4"}, ""},
		"longest line":     {long + "\na:1\n", []string{"a:1"}, ""},
		"overlong line":    {"a:1\n\n" + long + "xx\nb:2\n", []string{"a:1"}, "standard input:3: the line is longer"},
		"overlong last":    {long + long, nil, "standard input:1: the line is longer"},
		"empty":            {"", nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := openSource([]string{"arg:1"}, "-", strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Collect(s.all)
			if want := append([]string{"arg:1"}, tt.want...); !slices.Equal(got, want) {
				t.Errorf("%.60q, want %q", got, want)
			}
			if (s.err == nil) != (tt.err == "") || (s.err != nil && !strings.HasPrefix(s.err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", s.err, tt.err)
			}
		})
	}
}

// A file is read as its targets are wanted, and no further: millions of them need no more memory than a few.
func TestSourceReadsAhead(t *testing.T) {
	s, err := openSource(nil, "-", endless{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for target := range s.all {
		if n++; target != "a:1" || n == 1_000_000 {
			break
		}
	}
	if n != 1_000_000 {
		t.Errorf("ended after %d targets, %v", n, s.err)
	}
}

// endless is a file of `a:1` for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, "a:1\n"), nil }

func TestSourceThatFails(t *testing.T) {
	broken := errors.New("broken")
	s, err := openSource(nil, "-", iotest.TimeoutReader(strings.NewReader("a:1\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(s.all); len(got) != 1 || !errors.Is(s.err, iotest.ErrTimeout) {
		t.Errorf("%q, %v", got, s.err)
	}
	s, err = openSource(nil, "-", iotest.ErrReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(s.all); len(got) != 0 || !errors.Is(s.err, broken) {
		t.Errorf("%q, %v", got, s.err)
	}
}

// What is wrong with a file of targets is said with its name, and is exit code 2, also when results came before.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	address := serve(t, byName)
	for _, tt := range []struct {
		path, told string
		code       int
		results    int
	}{
		{file("good", "up:1\nup:2\n"), "", exitReachable, 2},
		{file("down", "up:1\ndown:2\n"), "", exitUnreachable, 2},
		{file("empty", "# nothing\n"), "no targets", exitUsage, 0},
		{file("long", "down:1\n"+strings.Repeat("x", 2*maxLine)), ":2:", exitUsage, 1},
		{filepath.Join(dir, "absent"), "absent", exitUsage, 0},
		{dir, dir, exitUsage, 0},
	} {
		o := shakeWith(t, nil, "--server", address, "-o", "json", "-f", tt.path)
		if o.code != tt.code || strings.Count(o.stdout, "\n") != tt.results || !strings.Contains(o.stderr, tt.told) {
			t.Errorf("%s: %+v", filepath.Base(tt.path), o)
		}
		if (o.stderr == "") != (tt.told == "") {
			t.Errorf("%s: told %q", filepath.Base(tt.path), o.stderr)
		}
	}
}

// A line that is not UTF-8 is a bad target like any other, and harms none.
func TestLineThatIsNotUTF8(t *testing.T) {
	o := shakeWith(t, strings.NewReader("caf\xe9:80\nup:1\n"), "--server", serve(t, byName), "-f", "-")
	if o.code != exitInconclusive || !strings.Contains(o.stdout, `caf\xe9:80`) || !strings.Contains(o.stdout, "up:1") {
		t.Errorf("%+v", o)
	}
}

// As many targets as the service likes: far more than a message, or a window, has room for.
func TestManyTargets(t *testing.T) {
	const n = 100_000
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "up:%d\n", i)
	}
	o := shakeWith(t, strings.NewReader(lines.String()), "--server", serve(t, byName), "-f", "-", "-o", "csv")
	if got := strings.Count(o.stdout, "\n"); o.code != exitReachable || got != n+1 {
		t.Errorf("code %d, %d lines, %s", o.code, got, o.stderr)
	}
}

// An empty list is called so in the same words with and without --wait.
func TestEmptyStandardInput(t *testing.T) {
	address := serve(t, byName)
	for _, args := range [][]string{{"-"}, {"-f", "-"}, {"-", "--wait", "10s"}} {
		o := shakeWith(t, strings.NewReader("# nothing\n"), append(args, "--server", address)...)
		if o.code != exitUsage || !strings.HasPrefix(o.stderr, "shake: standard input: no targets\n") {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
