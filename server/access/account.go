package access

import (
	"sync"
	"sync/atomic"
	"time"

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
	turn  chan struct{} // of the RPC that has its turn at the service's rate, closed when that is over; nil: none has
}

// Turn is that of one RPC at the service's rate: of each caller one at a time may wait there, so that no caller can book so much
// ahead that all others wait behind it. View.Turn gives it; nil is the turn of who needs none. Its methods are for the RPC's handler.
type Turn struct {
	account *account
	timer   *time.Timer
	once    sync.Once
}

// End ends the turn, as often as one likes.
func (t *Turn) End() {
	if t == nil {
		return
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.once.Do(t.account.endTurn)
}

// EndAfter ends it after d, or at once if d is not positive, whatever its RPC does meanwhile. Call it once; End may still end it
// before.
func (t *Turn) EndAfter(d time.Duration) {
	switch {
	case t == nil:
	case d <= 0:
		t.End()
	default:
		t.timer = time.AfterFunc(d, func() { t.once.Do(t.account.endTurn) })
	}
}

// takeTurn gives one RPC its turn, where none has it; else over is closed when that is over. Ask again then.
func (a *account) takeTurn() (turn *Turn, over <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.turn != nil {
		return nil, a.turn
	}
	a.turn = make(chan struct{})
	return &Turn{account: a}, nil
}

func (a *account) endTurn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.turn)
	a.turn = nil
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
