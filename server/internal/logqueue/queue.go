package logqueue

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Bounds of a Queue. Lines that are being written count until they are written. Its memory may be
// three times MaxBytes.
const (
	MaxLines = 10_000
	MaxBytes = 4 << 20
)

// atOnce is how many bytes of short lines go into one call of the writer. What other processes
// write to the same pipe does not come between them: PIPE_BUF, pipe(7).
const atOnce = 4096

// keep is how much memory for text stays allocated, twice, while no line waits.
const keep = 256 << 10

// Queue is an io.Writer that never waits. A goroutine passes the lines on, whole and in order. Make
// one with New, and end it with Close. It is safe for concurrent use.
type Queue struct {
	out      outlet
	maxLines int
	maxBytes int
	dropped  atomic.Uint64

	mu      sync.Mutex
	more    sync.Cond // signaled when text, entries, gap or closed change
	text    []byte    // of entries
	entries []entry   // the writer has not yet taken these
	lines   int       // that wait or are being written
	bytes   int       // of lines
	gap     uint64    // lines dropped behind the last entry; above 0 until there is room again
	closed  bool

	ended chan struct{} // closed when the goroutine has returned
}

// entry is one line, or a gap: that many lines were dropped here.
type entry struct {
	bytes int
	gap   uint64
}

// New returns a Queue in front of w. report makes the line that stands in the place of dropped
// lines; it is called from one goroutine, and not before a line was dropped.
func New(w io.Writer, report func(dropped uint64) []byte) *Queue {
	return newQueue(w, report, MaxLines, MaxBytes)
}

func newQueue(w io.Writer, report func(dropped uint64) []byte, maxLines, maxBytes int) *Queue {
	q := &Queue{
		out: outlet{w: w, report: report}, maxLines: maxLines, maxBytes: maxBytes,
		ended: make(chan struct{}),
	}
	q.more.L = &q.mu
	go q.run()
	return q
}

// Dropped returns how many lines were dropped since New: because the queue was full or closed, or
// because the writer failed.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Write takes line, which is one call of a log, or drops it if the queue is full. A queue that was
// full takes nothing until a quarter of it is free, so that reports stay rare. Write always
// returns len(line) and nil.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		q.dropped.Add(1)
		return len(line), nil
	case q.gap > 0 || q.lines >= q.maxLines || q.bytes+len(line) > q.maxBytes:
		q.dropped.Add(1)
		q.gap++
	default:
		q.text = append(q.text, line...)
		q.entries = append(q.entries, entry{bytes: len(line)})
		q.lines++
		q.bytes += len(line)
	}
	q.more.Signal()
	return len(line), nil
}

// Close makes the queue take no further line, and waits until all lines were written, or ctx ends.
// It reports whether they were written; those that failed count. It may be called more than once.
func (q *Queue) Close(ctx context.Context) bool {
	q.mu.Lock()
	q.closed = true
	q.more.Signal()
	q.mu.Unlock()
	select {
	case <-q.ended:
		return true
	default:
	}
	select {
	case <-q.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// run passes lines on until the queue is closed and empty.
func (q *Queue) run() {
	defer close(q.ended)
	var text []byte
	var entries []entry
	for {
		text, entries = q.take(text, entries)
		if len(entries) == 0 {
			return
		}
		q.pass(text, entries)
	}
}

// pass passes on what take has returned.
func (q *Queue) pass(text []byte, entries []entry) {
	for len(entries) > 0 {
		if gap := entries[0].gap; gap > 0 {
			q.out.skip(gap)
			entries = entries[1:]
			continue
		}
		n, size := chunk(entries)
		q.dropped.Add(q.out.pass(text[:size], entries[:n]))
		q.written(n, size)
		text, entries = text[size:], entries[n:]
	}
}

// chunk returns how many lines go into one call of the writer, and their size. The first does
// whatever its size.
func chunk(entries []entry) (lines, size int) {
	for _, e := range entries {
		if e.gap > 0 || lines > 0 && size+e.bytes > atOnce {
			break
		}
		lines++
		size += e.bytes
	}
	return lines, size
}

// take waits for entries and returns them with their text. It leaves the buffers of the batch
// before in their place. It returns no entries when the queue is closed and empty.
func (q *Queue) take(text []byte, entries []entry) ([]byte, []entry) {
	if cap(text) > keep { // after a burst
		text, entries = nil, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		q.endGap()
		if len(q.entries) > 0 || q.closed {
			break
		}
		q.more.Wait()
	}
	text, q.text = q.text, text[:0]
	entries, q.entries = q.entries, entries[:0]
	return text, entries
}

// written frees the places of lines.
func (q *Queue) written(lines, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines -= lines
	q.bytes -= size
	q.endGap()
}

// endGap puts a gap among the entries once a quarter of the queue is free. q.mu must be held.
func (q *Queue) endGap() {
	if q.gap == 0 || q.lines > q.maxLines*3/4 || q.bytes > q.maxBytes/4*3 {
		return
	}
	q.entries = append(q.entries, entry{gap: q.gap})
	q.gap = 0
}

// outlet is the writer, and what the reader does not yet know. The Queue's goroutine alone uses it.
type outlet struct {
	w      io.Writer
	report func(dropped uint64) []byte
	lost   uint64 // lines dropped since the last report
	torn   bool   // the writer failed in the middle of a line
}

// skip notes that n lines were dropped here, and reports them.
func (o *outlet) skip(n uint64) {
	o.lost += n
	o.tell()
}

// pass writes lines, whose text is text, behind the report of those that are missing before them.
// It returns how many were not written. If the report fails, they are not tried.
func (o *outlet) pass(text []byte, lines []entry) (lost uint64) {
	n := 0
	if o.tell() {
		n = o.write(text)
	}
	for _, l := range lines {
		if n -= l.bytes; n < 0 {
			lost++
		}
	}
	o.lost += lost
	return lost
}

// tell reports lost lines, if there are any. It returns false if the report could not be written.
func (o *outlet) tell() bool {
	if o.lost == 0 {
		return true
	}
	line := o.report(o.lost)
	if o.write(line) < len(line) {
		return false
	}
	o.lost = 0
	return true
}

// write makes one call of the writer for text, and returns how many bytes of it were written.
// Behind a torn line, text begins on its own.
func (o *outlet) write(text []byte) int {
	whole := text
	if o.torn {
		whole = append([]byte{'\n'}, text...)
	}
	n, _ := o.w.Write(whole) // what is missing is reported before the next line
	if n > 0 {
		o.torn = whole[n-1] != '\n'
	}
	return max(0, n-(len(whole)-len(text)))
}
