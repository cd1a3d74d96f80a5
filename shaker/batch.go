package shaker

import (
	"context"
	"iter"
	"math/bits"
	"sync"
)

// Batch is a set of probes under one context, and the place where their results arrive. [Engine.Submit] makes one that is
// complete, [Engine.Open] one that grows by Add until Finish.
//
// One answer: each accepted probe gives exactly one Result, also when the context ends, which answers with Canceled all that
// is in flight or waits, and closes its sockets within milliseconds; and when the engine closes. A silence that is being witnessed then
// is answered as what it is, within some 100 ms. A Batch whose reader goes away must have
// its context canceled; otherwise its probes run on to their ends.
//
// Order of cancels: canceled batches are answered in the order in which their contexts end. If
// several end within microseconds, neighbours may change places.
//
// Never wait for a reader: the room for a probe's result is made when the probe is added, so a loop neither blocks nor
// allocates to answer it, however slow the reader is.
//
// Add and Finish may be called from any goroutine; Ready, Take, Next and All from one at a time.
type Batch struct {
	engine  *Engine
	caller  string // whose it is
	ctx     context.Context
	ready   chan struct{} // holds a token when there is something to take, or nothing more to come
	detach  func() bool   // takes our hook off the context; nil where the context cannot end
	age     turn[*Batch]  // stands in engine.cancels until the batch is over or its context has ended
	awaited bool          // by a batch in engine.cancels, which protects it

	mu       sync.Mutex // protects what follows; held for a few instructions, as loops wait for it
	results  results    // answered and not yet taken
	open     int        // probes accepted and not answered
	finished bool
	ended    error                         // why the context has ended, once that was reported
	holders  [(MaxShards + 63) / 64]uint64 // a bit for each shard that owes answers
}

func newBatch(ctx context.Context, e *Engine, caller string) *Batch {
	b := &Batch{engine: e, caller: caller, ctx: ctx, ready: make(chan struct{}, 1)}
	if ctx.Done() != nil {
		e.cancels.join(b)
		b.detach = context.AfterFunc(ctx, b.cancel)
	}
	return b
}

// Add hands probes to the engine: all of them or, with an error, none. It copies them, waits for nobody (the zones of
// addresses it looks up in the kernel), and takes probes of a context that has ended too: they are answered with Canceled.
//
// Errors: ErrClosed, ErrFinished, or a *ProbeError that names the first probe it cannot take.
func (b *Batch) Add(probes []Probe) error {
	jobs, err := newJobs(probes, clock())
	if err != nil {
		return err
	}
	if b.engine.closed.Load() {
		return ErrClosed
	}
	b.mu.Lock()
	if b.finished {
		b.mu.Unlock()
		return ErrFinished
	}
	if len(jobs) == 0 {
		b.mu.Unlock()
		return nil
	}
	b.open += len(jobs)
	enough := b.results.promise(len(jobs))
	b.mu.Unlock()
	if !enough {
		room := newBlock(len(jobs))
		b.mu.Lock()
		b.results.expect(room, len(jobs))
		b.mu.Unlock()
	}
	if b.ctx.Err() != nil {
		b.refuse(jobs, context.Cause(b.ctx))
		return nil
	}
	b.engine.deal(b, jobs)
	return nil
}

// Finish says that no probe will be added. It may be called more than once.
func (b *Batch) Finish() {
	b.mu.Lock()
	b.finished = true
	over := b.open == 0
	b.mu.Unlock()
	if over {
		b.signal()
		b.release()
	}
}

// release lets go of the context of a batch that is over: when it ends, no loop has to hear of it.
func (b *Batch) release() {
	if b.detach != nil {
		b.detach()
		b.engine.cancels.leave(b)
	}
}

// Ready returns a channel that gives a token when Take has something to give, or when the batch is over. Where others are to
// follow, a busy loop gives it up to a millisecond after a result, and for those that came meanwhile together. A token can turn
// out to be for nothing.
func (b *Batch) Ready() <-chan struct{} { return b.ready }

// Take returns results that have come and were not taken yet, in order of completion, without waiting; none if there are
// none. Where it leaves some behind, Ready says so. The slice belongs to the caller until the next Take or Next. More is false
// when the batch is finished and this was the rest of it.
func (b *Batch) Take() (results []Result, more bool) {
	b.mu.Lock()
	results, behind := b.results.take()
	over := b.finished && b.open == 0 && !behind
	b.mu.Unlock()
	switch {
	case behind:
		b.signal()
	case over:
		b.release()
	}
	return results, !over
}

// Next waits for results and returns them as Take does. It returns false, and no results, when the batch is finished and
// all of it has been returned.
func (b *Batch) Next() ([]Result, bool) {
	for {
		results, more := b.Take()
		if len(results) > 0 {
			return results, true
		}
		if !more {
			return nil, false
		}
		<-b.ready
	}
}

// All yields each result as it comes, until the batch is finished and over. A pointer is valid until the loop body ends. Who
// breaks out of the loop loses the rest of the slice that was being read.
func (b *Batch) All() iter.Seq[*Result] {
	return func(yield func(*Result) bool) {
		for results, ok := b.Next(); ok; results, ok = b.Next() {
			for i := range results {
				if !yield(&results[i]) {
					return
				}
			}
		}
	}
}

// cancel is called when the context has ended.
func (b *Batch) cancel() { b.engine.cancels.report(b) }

// end reports the end of the context to the shards that hold probes of the batch.
func (b *Batch) end() {
	why := context.Cause(b.ctx)
	b.mu.Lock()
	b.ended = why
	holders := b.holders
	b.mu.Unlock()
	for i, set := range holders {
		for ; set != 0; set &= set - 1 {
			b.engine.shards[64*i+bits.TrailingZeros64(set)].send(message{batch: b, ended: why})
		}
	}
}

// hold notes that a shard begins to owe answers, and returns why the context has ended. If it has
// not, hold returns nil, and end will send the shard a message. A shard that has not received its
// first probes needs no message.
func (b *Batch) hold(shard int32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holders[shard/64] |= 1 << (shard % 64)
	return b.ended
}

// put takes one answer, from any goroutine. The caller must signal soon after. It names the shard
// that owes no more answers with this one, or none.
func (b *Batch) put(r *Result, done int32) {
	b.mu.Lock()
	b.results.put(r)
	b.open--
	if done != none {
		b.holders[done/64] &^= 1 << (done % 64)
	}
	b.mu.Unlock()
}

// signal wakes the reader, or sees to it that it will not sleep.
func (b *Batch) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}
