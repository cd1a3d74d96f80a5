package server

import (
	"context"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// Prober makes handshakes. The engine is one (see [FromEngine]); tests bring another, with answers of their choice.
type Prober interface {
	// OpenFor starts a batch of a caller, which ends with ctx. It never blocks and never fails; where the engine is closed, Add
	// says so. Callers are served in turn, whatever the number of their batches.
	OpenFor(ctx context.Context, caller string) Batch
	// Stats tells the engine's mode and its limits.
	Stats() shaker.Stats
}

// Batch is the part of [shaker.Batch] that an RPC uses, with its promises: each accepted probe gives exactly one Result,
// and once the batch's context has ended, or the engine was closed, promptly.
type Batch interface {
	// Add accepts all of probes, or none and returns [shaker.ErrClosed], [shaker.ErrFinished] or a *[shaker.ProbeError]. It
	// never blocks and keeps no reference to probes.
	Add(probes []shaker.Probe) error
	// Finish says that no Add follows.
	Finish()
	// Ready holds a token when Take has something to give.
	Ready() <-chan struct{}
	// Take returns the results that are there; the slice is valid until the next Take. It never blocks.
	Take() (results []shaker.Result, more bool)
}

// FromEngine makes an engine the Prober of a [Config]. The engine stays its owner's, who closes it once no RPC runs.
func FromEngine(e *shaker.Engine) Prober { return engineProber{e} }

type engineProber struct{ *shaker.Engine }

// OpenFor differs from the engine's own in its return type only.
func (p engineProber) OpenFor(ctx context.Context, caller string) Batch {
	return p.Engine.OpenFor(ctx, caller)
}
