package access

import (
	"sync"
	"sync/atomic"

	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// account is what one caller has in use, in all its RPCs together.
type account struct {
	bucket quota.Bucket

	// targets are outstanding. Whoever adds to it by take never passes the limit; add is for what must be told in any case.
	targets atomic.Int64

	mu    sync.Mutex // protects what follows
	rpcs  int
	freed chan struct{} // closed when targets falls; nil where nobody waits for that
}

// enter takes a place among limit RPCs; 0: no limit.
func (a *account) enter(limit int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit > 0 && a.rpcs >= limit {
		return false
	}
	a.rpcs++
	return true
}

func (a *account) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rpcs--
}

// take adds up to n targets, as many as limit leaves, and returns how many; 0: no limit. With whole it is all of n or none.
func (a *account) take(n, limit int, whole bool) int {
	for {
		used := a.targets.Load()
		granted := int64(n)
		if limit > 0 {
			granted = max(0, min(granted, int64(limit)-used))
		}
		if whole && granted < int64(n) {
			return 0
		}
		if granted == 0 || a.targets.CompareAndSwap(used, used+granted) {
			return int(granted)
		}
	}
}

// add adds n targets, which may be negative.
func (a *account) add(n int) {
	if n == 0 {
		return
	}
	a.targets.Add(int64(n))
	if n < 0 {
		a.wake()
	}
}

// wake closes what room has returned.
func (a *account) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
}

// room returns a channel that is closed when targets has fallen, or the limit may be another. Ask again after that: others may have been faster.
func (a *account) room() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.freed == nil {
		a.freed = make(chan struct{})
	}
	return a.freed
}
