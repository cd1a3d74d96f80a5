package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAliasBombs: what aliases stand for is counted at each place of it, and the walk ends.
func TestAliasBombs(t *testing.T) {
	const head = "callers:\n- {name: a, identity: {token_sha256: [" + token + "]}, allow: &r\n  ["
	many := head + strings.Repeat("x.example:1,\n", 20_000) + "]}\n" +
		strings.Repeat("- {name: a, identity: {token_sha256: ["+token+"]}, allow: *r}\n", 20_000)
	laughs := "labels: &a {k: &v x}\nlimits: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	for c := 'c'; c <= 'z'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for name, test := range map[string]struct{ file, want string }{
		"rules of many": {many, "the file has more than 1000000 values, counting what aliases stand for at each place"},
		"laughs":        {laughs, "limits must be a mapping, of keys to values, and is a list"},
		"circle":        {"callers: &a\n- &b\n  limits: *b\n  allow: [*a]\n", `unknown key "allow": known here are`},
	} {
		began := time.Now()
		_, err := Parse("f", []byte(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.300v", name, err)
		}
		if took := time.Since(began); took > 20*time.Second { // generous: the race detector, and others on the machine
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestBoundsOfBytes: what is refused before it is read as YAML.
func TestBoundsOfBytes(t *testing.T) {
	const marks = "the file has more than 1000000 lines, commas, brackets and braces"
	for _, test := range []struct{ name, file, want string }{
		{"size", strings.Repeat(" ", maxBytes+1), "f:1:1: the file is larger than 8 MiB"},
		{"size, just", "name: a #" + strings.Repeat("\n"+strings.Repeat("#", 1<<20-1), 7), ""},
		{"line", "name: a\n#" + strings.Repeat("x", maxLine), "f:2:1048577: the line is longer than 1048576 bytes"},
		{"line, just", "name: a\n#" + strings.Repeat("x", maxLine-1), ""},
		{"commas", "[" + strings.Repeat("a,\n", maxMarks/2), "f:500000:3: " + marks},
		{"brackets", strings.Repeat("[{\n", maxMarks/2), "f:333334:2: " + marks},
		{"depth of blocks", strings.Repeat("- ", 100), "f:1:65: lists and mappings lie more than 32 deep in one another"},
	} {
		_, err := Parse("f", []byte(test.file))
		if got := fmt.Sprint(err); got != test.want && (err != nil || test.want != "") {
			t.Errorf("%s: %.300s", test.name, got)
		}
	}
}
