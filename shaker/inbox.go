package shaker

import "sync"

// message is what a caller tells a loop: jobs to do for a share or, without jobs, that the share's context has ended.
type message struct {
	share *share
	jobs  []job
}

// inbox hands messages over from callers to one loop. It changes hands whole, and its lock is held for a few instructions on
// either side. A sleeping loop is woken once, however many callers come before it looks. The zero value is ready.
type inbox struct {
	mu       sync.Mutex
	messages []message
	asleep   bool // the loop waits in the kernel and nobody has woken it yet
	closed   bool
}

// put leaves a message. Wake tells the caller to wake the loop; ok is false where the inbox was closed before.
func (i *inbox) put(m message) (wake, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false, false
	}
	i.messages = append(i.messages, m)
	return i.rouse(), true
}

// close refuses all later messages. Wake is as for put.
func (i *inbox) close() (wake bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	return i.rouse()
}

func (i *inbox) rouse() bool {
	wake := i.asleep
	i.asleep = false
	return wake
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
