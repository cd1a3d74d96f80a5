package server

import "time"

// everyAddress stands in delayed.address for all addresses of an exhaustive target.
const everyAddress = -1

// delayed is an attempt that begins later: one handshake with one address of a target, or with each
// of them.
type delayed struct {
	at      time.Duration // when the attempt begins, on the session's clock
	task    *task
	index   uint64 // the target's index: a task that was freed meanwhile may hold another target
	address int    // the address's place in task.addresses, or everyAddress
}

// stale reports whether the target of d has its answer already, so that the attempt is not made.
func (d *delayed) stale() bool {
	return d.task.options == nil || d.task.index != d.index || d.task.decided
}

// schedule holds the delayed attempts of a session as a binary heap: the first item is the next to
// begin. Delays differ between targets, because each message of a stream has its own options. The
// zero value is empty.
type schedule []delayed

func (s *schedule) push(d delayed) {
	*s = append(*s, d)
	heap := *s
	for child := len(heap) - 1; child > 0; {
		parent := (child - 1) / 2
		if heap[parent].at <= heap[child].at {
			return
		}
		heap[parent], heap[child] = heap[child], heap[parent]
		child = parent
	}
}

// pop removes the next attempt and returns it; the schedule must not be empty.
func (s *schedule) pop() delayed {
	heap := *s
	next, last := heap[0], len(heap)-1
	heap[0], heap[last] = heap[last], delayed{}
	heap = heap[:last]
	*s = heap
	for parent := 0; ; {
		child := 2*parent + 1
		if child+1 < last && heap[child+1].at < heap[child].at {
			child++
		}
		if child >= last || heap[parent].at <= heap[child].at {
			return next
		}
		heap[parent], heap[child] = heap[child], heap[parent]
		parent = child
	}
}

// clear removes all attempts and frees their memory.
func (s *schedule) clear() { *s = nil }
