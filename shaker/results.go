package shaker

// results is a queue of Result with room made in advance: whoever expects n results more calls expect(n) first, and put then
// neither allocates nor moves anything. It is a list of blocks, written at fill and read at head; blocks that were read are
// filled again. The zero value is empty; it has no lock of its own.
type results struct {
	head, fill, tail *block
	spare            *block
}

// block has room for cap(results) results, of which len(results) are there and taken have been read.
type block struct {
	results []Result
	taken   int
	next    *block
}

// newBlock makes room for n results, in a block that was read before if it is large enough. What it allocates it allocates
// before the caller takes the lock that put needs.
func newBlock(n int) *block { return &block{results: make([]Result, 0, n)} }

// reuse returns a spare block with room for n results, nil if there is none.
func (q *results) reuse(n int) *block {
	b := q.spare
	if b == nil {
		return nil
	}
	q.spare = b.next
	if cap(b.results) < n {
		return nil
	}
	*b = block{results: b.results[:0]}
	return b
}

// expect adds room.
func (q *results) expect(b *block) {
	if q.tail == nil {
		q.head, q.fill = b, b
	} else {
		q.tail.next = b
	}
	q.tail = b
}

// put adds a result, for which there must be room.
func (q *results) put(r *Result) {
	for len(q.fill.results) == cap(q.fill.results) {
		q.fill = q.fill.next
	}
	q.fill.results = append(q.fill.results, *r)
}

// take returns the oldest results that were not taken yet, in one slice, which stays as it is until the next take. More says
// that there are others behind them.
func (q *results) take() (taken []Result, more bool) {
	for q.head != nil && q.head.taken == cap(q.head.results) && q.head.next != nil {
		read := q.head
		q.head = read.next
		if q.fill == read {
			q.fill = q.head
		}
		read.next, q.spare = q.spare, read
	}
	b := q.head
	if b == nil {
		return nil, false
	}
	taken = b.results[b.taken:len(b.results):len(b.results)]
	b.taken = len(b.results)
	return taken, b.taken == cap(b.results) && b.next != nil && len(b.next.results) > 0
}
