//go:build !race

package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNoFileIsDear: the dearest files that the bounds let through cost seconds and a gigabyte or two, and end.
func TestNoFileIsDear(t *testing.T) {
	line := func(item string, lines int) string {
		return strings.Repeat(strings.Repeat(item, (maxLine-8)/len(item))+"\n", lines)
	}
	for name, file := range map[string]string{
		"pairs":    "x: {" + line("a: b,", 4) + "}",
		"nests":    "x: [" + line("[[[a]]],", 1) + "]",
		"mappings": "x: [" + line("{a: b},", 3) + "]",
		"lines":    "x:\n" + strings.Repeat("- a\n", maxMarks-2),
		"keys":     strings.Repeat("#\na: b\n", maxMarks/2-1),
		"errors":   manyKeys(200_000),
	} {
		began := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse("f", []byte(file))
		runtime.ReadMemStats(&after)
		took := time.Since(began)
		t.Logf("%-8s %.1f MB of file, %5.2f s, %4d MB allocated: %.80s", name,
			float64(len(file))/1e6, took.Seconds(), (after.TotalAlloc-before.TotalAlloc)>>20, fmt.Sprint(err))
		if err == nil || took > 60*time.Second { // generous: for others on the machine
			t.Errorf("%s: %v, %.100v", name, took, err)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%x: 1\n", i)
	}
	return b.String()[:min(b.Len(), maxBytes)]
}
