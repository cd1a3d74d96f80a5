package client

import "sync"

// pending are the targets of one stream that were sent and not answered. It is what keeps the service honest: a result is
// believed only if it takes a target out of here, and the end only if none is left. Safe for concurrent use: the sender
// adds, the receiver takes.
type pending struct {
	mu      sync.Mutex // guards those below
	targets map[uint64]string
	next    uint64 // the index of the next target
	ended   bool   // no more are added
}

func newPending() *pending { return &pending{targets: make(map[uint64]string)} }

// add counts targets on; to be called before they are sent, since the answer may come before Send returns.
func (p *pending) add(targets []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, target := range targets {
		p.targets[p.next] = target
		p.next++
	}
}

// end says that all targets were added; to be called before the half-close.
func (p *pending) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// take removes the target with the index and returns it.
func (p *pending) take(index uint64) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	target, ok := p.targets[index]
	switch {
	case ok:
		delete(p.targets, index)
		return target, nil
	case index < p.next:
		return "", broken("result %d came twice", index)
	default:
		return "", broken("result %d of %d targets", index, p.next)
	}
}

// complete returns nil where the service may end the stream with OK.
func (p *pending) complete() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.targets) > 0:
		return broken("the stream ended with %d of %d targets unanswered", len(p.targets), p.next)
	case !p.ended:
		return broken("the stream ended before the last target was sent")
	default:
		return nil
	}
}
