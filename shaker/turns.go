package shaker

// turns is a ring of those who have their turns one after another. Whoever stands in it leaves it in one step, wherever they stand, so
// it holds nobody who has nothing to do in it. The zero value is empty.
type turns[T any] struct {
	first *turn[T] // whose turn it is; nil where nobody stands here
}

// turn is the place of one in turns. The zero value stands nowhere.
type turn[T any] struct {
	who        T
	prev, next *turn[T]
}

func (t *turn[T]) stands() bool { return t.next != nil }

// join gives who, who stands nowhere, the place t behind all others.
func (q *turns[T]) join(t *turn[T], who T) {
	t.who = who
	if q.first == nil {
		q.first, t.prev, t.next = t, t, t
		return
	}
	t.prev, t.next = q.first.prev, q.first
	t.prev.next, t.next.prev = t, t
}

// leave takes out one who stands here. Where it was their turn, it is the next one's.
func (q *turns[T]) leave(t *turn[T]) {
	switch {
	case t.next == t:
		q.first = nil
	case q.first == t:
		q.first = t.next
	}
	t.prev.next, t.next.prev = t.next, t.prev
	*t = turn[T]{}
}

// pass ends the turn of who has it; somebody must stand here.
func (q *turns[T]) pass() { q.first = q.first.next }
