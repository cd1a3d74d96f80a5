package controls

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds the build, and a run without a fault; patienceWithFault is when a run with one ends itself, with a word on
// where it hangs. Both are reached only by a failure: no check may need a timeout to see its fault. (On a busy machine some need 15 s.)
const (
	patience          = 5 * time.Minute
	patienceWithFault = time.Minute
)

// outcome is what a run of the binary came to.
type outcome struct {
	code   int
	output string
	took   time.Duration
}

// run runs some tests of the binary with some faults in force.
func run(t *testing.T, binary string, forced []string, checks []check) outcome {
	t.Helper()
	limit := patience
	if len(forced) > 0 {
		limit = patienceWithFault
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout="+limit.String(), "-test.run="+pattern(checks))
	cmd.Dir = engine
	cmd.Env = append(os.Environ(), chosen+"="+strings.Join(forced, ","))
	began := time.Now()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), string(out), time.Since(began)}
}

// pattern is the -test.run that matches the checks, each of them and its parents alone.
func pattern(checks []check) string {
	all := []string{"^$"}
	for _, c := range checks {
		parts := strings.Split(c.test, "/")
		for i, part := range parts {
			parts[i] = "^" + regexp.QuoteMeta(part) + "$"
		}
		all = append(all, strings.Join(parts, "/"))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "|")
}

// noNamespace is what package testnet says where it cannot make one.
const noNamespace = "no namespace of our own"

// accidents are ways to fail that are no check's.
var accidents = []string{"panic:", "fatal error:", "DATA RACE", "test timed out", noNamespace}

// red returns why a check was not red as a check is, nil where it was.
func (o *outcome) red(c check) error {
	for _, accident := range accidents {
		if strings.Contains(o.output, accident) {
			return fmt.Errorf("failed by accident: %s", accident)
		}
	}
	switch {
	case o.code != 1:
		return fmt.Errorf("exit code %d, want 1", o.code)
	case c.afterwards && !o.has("PASS", c.test):
		return fmt.Errorf("%s did not pass", c.test)
	case !c.afterwards && !o.has("FAIL", c.test):
		return fmt.Errorf("%s did not see it", c.test)
	case !strings.Contains(o.output, c.says):
		return fmt.Errorf("%s failed, but nothing said %q", c.test, c.says)
	default:
		return nil
	}
}

// green returns why a check was not green, nil where it was. Others of the same run may have been red.
func (o *outcome) green(c check) error {
	switch {
	case !o.has("PASS", c.test):
		return fmt.Errorf("%s did not pass", c.test)
	case c.afterwards && o.code != 0:
		return fmt.Errorf("exit code %d, want 0", o.code)
	default:
		return nil
	}
}

func (o *outcome) has(result, test string) bool {
	return strings.Contains(o.output, "--- "+result+": "+test+" (")
}
