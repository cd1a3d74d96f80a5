//go:build !linux

package hostnet

import (
	"errors"
	"fmt"
	"runtime"
)

// Watcher has no form here: rtnetlink is Linux's.
type Watcher struct{}

// Open returns an error that wraps errors.ErrUnsupported.
func Open(func() int64) (*Watcher, error) {
	return nil, fmt.Errorf("rtnetlink on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Close does nothing.
func (*Watcher) Close() {}

// State returns the zero State.
func (*Watcher) State() *State { return &State{} }

// Look finds nothing.
func (*Watcher) Look() Look { return Look{state: &State{}} }
