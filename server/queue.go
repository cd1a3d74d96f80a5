package server

// queue is first in, first out. The zero value is empty. What it once held of memory it keeps until it is empty.
type queue[T any] struct {
	items []T
	head  int // items before it have left
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) { q.items = append(q.items, item) }

// front is the next item to leave; the queue must not be empty.
func (q *queue[T]) front() *T { return &q.items[q.head] }

// pop removes the front; the queue must not be empty. Each item is moved at most once on average.
func (q *queue[T]) pop() T {
	var none T
	item := q.items[q.head]
	q.items[q.head] = none
	q.head++
	if 2*q.head >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}

func (q *queue[T]) clear() { *q = queue[T]{} }
