package shaker

// results is a queue of Result with room made in advance: whoever will put n results calls promise or expect for them first, and
// put then neither allocates nor moves anything. It is a list of blocks, written at fill and read at head; blocks that were
// read are filled again. The zero value is empty; it has no lock of its own.
type results struct {
	head, fill, tail *block
	spare            *block
	room             int // for results, from fill on, that nobody was promised
}

// block has room for cap(results) results, of which len(results) are there and taken have been read.
type block struct {
	results []Result
	taken   int
	next    *block
}

// newBlock makes room for n results. It is called without the lock that put needs.
func newBlock(n int) *block { return &block{results: make([]Result, 0, n)} }

// promise finds room for n results in what there is, unused or read before, and reports whether there was enough.
func (q *results) promise(n int) bool {
	for q.room < n && q.spare != nil {
		b := q.spare
		q.spare = b.next
		*b = block{results: b.results[:0]}
		q.add(b)
	}
	if q.room < n {
		return false
	}
	q.room -= n
	return true
}

// expect adds room for n results, and promises it.
func (q *results) expect(b *block, n int) {
	q.add(b)
	q.room -= n
}

func (q *results) add(b *block) {
	if q.tail == nil {
		q.head, q.fill = b, b
	} else {
		q.tail.next = b
	}
	q.tail = b
	q.room += cap(b.results)
}

// put adds a result that was promised room.
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
