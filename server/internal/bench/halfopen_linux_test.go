package bench

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// compileC makes the C program, and returns its path, or none and why.
func compileC(tb testing.TB) (binary, why string) {
	tb.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", "the C program, as there is no cc here"
	}
	binary = filepath.Join(scratch, "halfopen")
	out, err := exec.CommandContext(tb.Context(), cc, "-O2", "-pthread", "-o", binary, "testdata/halfopen.c").CombinedOutput()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", cc, err, out)
	}
	return binary, ""
}

// cLine runs it. Refused targets cost it a getsockopt(2) more, which clears their error.
func cLine(binary, mode, family, answer string, probes, perThread, threads int) line {
	args := []string{mode, family, answer, strconv.Itoa(probes), strconv.Itoa(perThread), strconv.Itoa(threads)}
	name := strings.Join([]string{"C", mode, family, answer, strconv.Itoa(threads)}, " ")
	return line{name: name, run: func(tb testing.TB) figures {
		ctx, cancel := context.WithTimeout(tb.Context(), patience)
		defer cancel()
		return measure(tb, bounded(exec.CommandContext(ctx, binary, args...), 1))
	}}
}
