package shaker

import "sync"

// message is what a loop receives. A caller sends a batch with jobs to do, or without jobs why the
// batch's context has ended. The witness sends back what it was asked to judge, and nothing else.
type message struct {
	batch  *Batch
	jobs   []job
	ended  error
	judged []doubt
}

// inbox hands messages over from callers to one loop. It changes hands whole, and its lock is held for a few instructions on
// either side; a sleeping loop is woken once, however many callers come before it looks. The waking is done under the lock:
// the loop closes what it is woken by only after it has taken the lock and found the inbox closed.
type inbox struct {
	wake func()

	mu       sync.Mutex // protects what follows
	messages []message
	asleep   bool // the loop waits in the kernel and nobody has woken it yet
	closed   bool
}

// put leaves a message, from any goroutine. False: the inbox was closed before.
func (i *inbox) put(m message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.messages = append(i.messages, m)
	i.rouse()
	return true
}

// putBack leaves a message with what the loop itself is owed, from any goroutine. A loop that is owed something lives on, so it
// reads the message also after close.
func (i *inbox) putBack(m message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
	i.rouse()
}

// close refuses all later messages of put, from any goroutine.
func (i *inbox) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.closed {
		i.closed = true
		i.rouse()
	}
}

func (i *inbox) rouse() {
	if i.asleep {
		i.asleep = false
		i.wake()
	}
}

// take gives the loop all messages and leaves spare, emptied, in their place.
func (i *inbox) take(spare []message) (messages []message, closed bool) {
	clear(spare)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asleep = false
	messages, i.messages = i.messages, spare[:0]
	return messages, i.closed
}

// sleep reports whether the loop may wait in the kernel: nothing has come since it took, and who comes now will wake it. A
// loop that saw the closing does not count it as news.
func (i *inbox) sleep(sawClosed bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asleep = len(i.messages) == 0 && i.closed == sawClosed
	return i.asleep
}
