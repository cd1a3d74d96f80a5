package config

import (
	"syscall"
	"testing"
	"time"
)

// TestManyRulesLoadFast: 100,000 rules in well under 2 s of processor time, which others on the machine do not lengthen much. (The
// race detector does.)
func TestManyRulesLoadFast(t *testing.T) {
	data := rulesFile(100_000)
	began := processorTime(t)
	c, err := Parse("f", data)
	if err != nil || len(c.Callers[0].Allow) != 100_000 {
		t.Fatal(err)
	}
	took := processorTime(t) - began
	t.Logf("%v for %.1f MB", took, float64(len(data))/1e6)
	if took > 2*time.Second && !raced {
		t.Error("too slow")
	}
}

// processorTime is that of this process so far (getrusage(2)).
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
