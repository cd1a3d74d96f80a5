package shaker

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by what is asked of an Engine that was closed, and is the Err of probes that its closing cut short.
var ErrClosed = errors.New("shaker: engine closed")

// ErrFinished is returned by [Batch.Add] after [Batch.Finish].
var ErrFinished = errors.New("shaker: batch finished")

// ProbeError says which probe of a slice could not be accepted, and why. No probe of the slice was.
type ProbeError struct {
	// Index is the probe's place in the slice, from 0.
	Index int
	// Err is what is wrong with it.
	Err error
}

// Error implements error.
func (e *ProbeError) Error() string { return fmt.Sprintf("shaker: probe %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *ProbeError) Unwrap() error { return e.Err }
