package client

import (
	"cmp"
	"slices"
	"sync"
)

// pending holds the targets of one call that were taken on and not answered, over all the streams of the call. A result is
// believed only if it takes a target out of here, and the end of the call only if none is left. Safe for concurrent use: the
// sender adds, the receiver takes.
type pending struct {
	mu     sync.Mutex             // guards those below
	sent   map[uint64]givenTarget // on the present stream, by their index there
	again  []givenTarget          // to be sent first, in the order of the call: the unanswered ones of streams that ended
	wire   uint64                 // the index on the present stream of the next target
	next   uint64                 // the index in the call of the next target
	closed bool                   // the last target was sent on the present stream
}

// givenTarget is one target of the call.
type givenTarget struct {
	index uint64 // in the call
	text  string
}

func newPending() *pending { return &pending{sent: make(map[uint64]givenTarget)} }

// add takes targets on. Call it before they are sent, since the answer may come before Send returns.
func (p *pending) add(targets []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range targets {
		p.put(givenTarget{p.next, text})
		p.next++
	}
}

// put is called with mu held.
func (p *pending) put(t givenTarget) {
	p.sent[p.wire] = t
	p.wire++
}

// resend returns the next targets to be sent again, up to maxBatch, and counts them as sent. Nil: there is none.
func (p *pending) resend() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(len(p.again), maxBatch)
	if n == 0 {
		p.again = nil
		return nil
	}
	targets := make([]string, n)
	for i, t := range p.again[:n] {
		p.put(t)
		targets[i] = t.text
	}
	p.again = p.again[n:]
	return targets
}

// waiting reports whether there are targets to be sent again.
func (p *pending) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.again) > 0
}

// close says that all targets were sent. Call it before the half-close.
func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// take removes the target that has the index on the present stream, and returns it.
func (p *pending) take(index uint64) (givenTarget, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	target, ok := p.sent[index]
	switch {
	case ok:
		delete(p.sent, index)
		return target, nil
	case index < p.wire:
		return givenTarget{}, broken("result %d came twice", index)
	default:
		return givenTarget{}, broken("result %d of %d targets", index, p.wire)
	}
}

// restore takes back a take whose result is none.
func (p *pending) restore(index uint64, target givenTarget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[index] = target
}

// rewind prepares for another stream: what the present one has not answered is to be sent again. It reports whether that is
// anything.
func (p *pending) rewind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = p.unanswered()
	clear(p.sent)
	p.wire, p.closed = 0, false
	return len(p.again) > 0
}

// unanswered returns all targets without an answer, in the order of the call. It is called with mu held.
func (p *pending) unanswered() []givenTarget {
	all := slices.Clone(p.again)
	for _, t := range p.sent {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b givenTarget) int { return cmp.Compare(a.index, b.index) })
	return all
}

// rest returns all targets without an answer, in the order of the call. The last of them are batch, which was not sent.
func (p *pending) rest(batch []string) []UnansweredTarget {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []UnansweredTarget
	for _, t := range p.unanswered() {
		rest = append(rest, UnansweredTarget{t.index, t.text})
	}
	for i, text := range batch {
		rest = append(rest, UnansweredTarget{p.next + uint64(i), text})
	}
	return rest
}

// complete returns nil if the service may end the stream with OK.
func (p *pending) complete() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.sent) > 0:
		return broken("the stream ended with %d of %d targets unanswered", len(p.sent), p.wire)
	case !p.closed:
		return broken("the stream ended before the last target was sent")
	default:
		return nil
	}
}
