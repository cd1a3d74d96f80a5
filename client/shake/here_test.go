package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Elsewhere than on Linux there is no engine, and shake says what to do.
func TestHereElsewhere(t *testing.T) {
	err := noEngine(fmt.Errorf("shaker: %w", errors.ErrUnsupported))
	if exitCodeOf(t.Context(), err) != exitFailed || !strings.Contains(err.Error(), "--server") {
		t.Error(err)
	}
	if runtime.GOOS == "linux" {
		return
	}
	if o := shakeWith(t, nil, "127.0.0.1:1"); o.code != exitFailed || !strings.Contains(o.stderr, "--server") {
		t.Errorf("%+v", o)
	}
}
