package shaker

// queue is a first-in, first-out queue in a ring that grows as needed and is kept. The zero value is empty.
type queue[T any] struct {
	ring  []T // its length is 0 or a power of two
	first int
	size  int
}

func (q *queue[T]) len() int { return q.size }

func (q *queue[T]) push(v T) {
	if q.size == len(q.ring) {
		q.grow()
	}
	q.ring[(q.first+q.size)&(len(q.ring)-1)] = v
	q.size++
}

// front returns the oldest element; the queue must not be empty. The pointer is valid until the next push or pop.
func (q *queue[T]) front() *T { return &q.ring[q.first] }

// pop removes the oldest element and returns it; the queue must not be empty.
func (q *queue[T]) pop() T {
	var zero T
	v := q.ring[q.first]
	q.ring[q.first] = zero
	q.first = (q.first + 1) & (len(q.ring) - 1)
	q.size--
	return v
}

// emptied returns q, which is empty, for another use. A ring of more than most elements is left to
// the garbage collector.
func (q queue[T]) emptied(most int) queue[T] {
	if len(q.ring) > most {
		return queue[T]{}
	}
	return q
}

func (q *queue[T]) grow() {
	ring := make([]T, max(4, 2*len(q.ring)))
	n := copy(ring, q.ring[q.first:])
	copy(ring[n:], q.ring[:q.first])
	q.ring, q.first = ring, 0
}
