package controls

import (
	"strings"
	"testing"
)

// TestOnlyAFailedCheckIsRed: the control of the controls.
func TestOnlyAFailedCheckIsRed(t *testing.T) {
	seen := check{test: "TestX/reuse/ipv4", says: "noticed"}
	behind := check{test: "TestX/reuse/ipv4", says: "unexpected goroutines", afterwards: true}
	const failed = "    x_test.go:1: 5 noticed\n--- FAIL: TestX (0.1s)\n    --- FAIL: TestX/reuse/ipv4 (0.1s)\nFAIL\n"
	const passed = "--- PASS: TestX (0.1s)\n    --- PASS: TestX/reuse/ipv4 (0.1s)\nPASS\n"
	for _, c := range []struct {
		check  check
		code   int
		output string
		why    string // it is not red; empty where it is
	}{
		{seen, 1, failed, ""},
		{seen, 0, passed, "exit code 0"},
		{seen, 2, failed, "exit code 2"},
		{seen, 1, passed, "did not see it"},
		{seen, 1, strings.ReplaceAll(failed, "reuse", "fresh"), "did not see it"},
		{seen, 1, strings.ReplaceAll(failed, "/ipv4", "/ipv4#01"), "did not see it"},
		{seen, 1, strings.ReplaceAll(failed, "noticed", "bananas"), "nothing said"},
		{seen, 1, failed + "panic: runtime error", "by accident"},
		{seen, 1, failed + "panic: test timed out after 1s", "by accident"},
		{seen, 1, failed + "WARNING: DATA RACE", "by accident"},
		{seen, 1, "testnet: no namespace of our own: EPERM\n" + failed, "by accident"},
		{behind, 1, passed + "found unexpected goroutines", ""},
		{behind, 1, failed + "found unexpected goroutines", "did not pass"},
		{behind, 1, passed, "nothing said"},
	} {
		o := outcome{code: c.code, output: c.output}
		switch err := o.red(c.check); {
		case (err == nil) != (c.why == ""), err != nil && !strings.Contains(err.Error(), c.why):
			t.Errorf("code %d, %q: %v, want %q", c.code, c.output, err, c.why)
		}
		green := strings.Contains(c.output, "PASS") && (c.code == 0 || !c.check.afterwards)
		if err := o.green(c.check); (err == nil) != green {
			t.Errorf("code %d, %q: %v", c.code, c.output, err)
		}
	}
}

// TestAnEditFindsItsPlaceOrSaysSo: what has changed since an edit was written is told by the fault's name.
func TestAnEditFindsItsPlaceOrSaysSo(t *testing.T) {
	source := map[string]string{"a.go": "one two two three"}
	one := func(name string, edits ...edit) fault { return fault{name: name, edits: edits} }
	for _, c := range []struct {
		faults []fault
		text   string
		err    string
	}{
		{[]fault{one("x", edit{"a.go", "three", "3"}), one("y", edit{"a.go", "one", "1"})}, "1 two two 3", ""},
		{[]fault{one("x", edit{"a.go", "four", "4"})}, "", `fault "x" must be brought up to date: "four" stands 0 times in a.go`},
		{[]fault{one("x", edit{"a.go", "two", "2"})}, "", `fault "x" must be brought up to date: "two" stands 2 times in a.go`},
		{
			[]fault{one("x", edit{"a.go", "one two", "1"}), one("y", edit{"a.go", "two two", "2"})},
			"", `faults "x" and "y" edit the same text`,
		},
	} {
		edited, err := apply(source, c.faults)
		if edited["a.go"] != c.text || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q, %v, want %q, %q", edited["a.go"], err, c.text, c.err)
		}
	}
}
