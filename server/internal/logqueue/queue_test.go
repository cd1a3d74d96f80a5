package logqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a writer that can be stuck, and can fail. It keeps each call's text.
type sink struct {
	gate chan struct{} // each Write takes one; nil: none is needed
	fail func(call int, p []byte) (n int, err error)

	mu    sync.Mutex
	calls int
	wrote []string
}

func (s *sink) Write(p []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if n, err := s.fail(s.calls, p); err != nil {
			s.wrote = append(s.wrote, string(p[:n]))
			return n, err
		}
	}
	s.wrote = append(s.wrote, string(p))
	return len(p), nil
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.wrote, "")
}

func report(dropped uint64) []byte { return fmt.Appendf(nil, "%d_dropped\n", dropped) }

func line(i int) string { return fmt.Sprintf("line %d\n", i) }

// long returns a line that has a call of the writer for itself.
func long(i int) string { return fmt.Sprintf("%d %s\n", i, strings.Repeat("x", atOnce)) }

// lines returns the lines from first to last.
func lines(first, last int) string {
	var all strings.Builder
	for i := first; i <= last; i++ {
		all.WriteString(line(i))
	}
	return all.String()
}

func put(t *testing.T, q *Queue, text string) {
	t.Helper()
	if n, err := io.WriteString(q, text); n != len(text) || err != nil {
		t.Fatalf("Write: %d, %v; want %d, and no error", n, err, len(text))
	}
}

func closed(t *testing.T, q *Queue) {
	t.Helper()
	if !q.Close(t.Context()) {
		t.Error("Close says that lines are left")
	}
}

// TestOrder: what many goroutines log comes whole, whole lines in each call of the writer, and of
// each goroutine in order.
func TestOrder(t *testing.T) {
	s := new(sink)
	q := New(s, report)
	const writers, each = 8, 500
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				put(t, q, fmt.Sprintf("%d %d\n", w, i))
			}
		})
	}
	group.Wait()
	closed(t, q)
	next := make([]int, writers)
	got := 0
	for _, call := range s.wrote {
		if len(call) > atOnce || !strings.HasSuffix(call, "\n") {
			t.Errorf("a call of %d bytes, the last of them %q", len(call), call[len(call)-1])
		}
		for l := range strings.Lines(call) {
			var w, i int
			if _, err := fmt.Sscanf(l, "%d %d\n", &w, &i); err != nil || i != next[w] {
				t.Fatalf("%q, want line %d of that writer", l, next[w])
			}
			next[w]++
			got++
		}
	}
	if got != writers*each || q.Dropped() != 0 {
		t.Errorf("%d lines, %d dropped; want %d, and none", got, q.Dropped(), writers*each)
	}
}

// TestBounds: a stuck writer costs what exceeds 10,000 lines or 4 MiB, whichever comes first, and
// nobody waits for it. The reader gets the rest in order, and one line that says how many are
// missing, at their place.
func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		size int
		most int
	}{
		{1, MaxLines},
		{4096, MaxBytes / 4096},
		{MaxBytes / MaxLines, MaxLines},
		{MaxBytes/MaxLines + 1, MaxBytes / (MaxBytes/MaxLines + 1)},
		{MaxBytes, 1},
		{MaxBytes + 1, 0},
	} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{gate: make(chan struct{})}
				q := New(s, report)
				text := strings.Repeat("x", tt.size-1) + "\n"
				const over = 7
				for range tt.most + over {
					put(t, q, text)
					synctest.Wait() // the line being written counts
				}
				if q.Dropped() != over {
					t.Errorf("%d dropped, want %d", q.Dropped(), over)
				}
				close(s.gate)
				synctest.Wait()
				put(t, q, "last\n")
				closed(t, q)
				got := slices.Collect(strings.Lines(s.text()))
				want := slices.Repeat([]string{text}, tt.most)
				want = append(want, "7_dropped\n", "last\n")
				if tt.most == 0 { // the first is reported at once, the others then
					want = []string{"1_dropped\n", "6_dropped\n", "last\n"}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d lines, the last of them %q; want %d and %q", len(got), tail(got), len(want), tail(want))
				}
			})
		})
	}
}

func tail(lines []string) []string {
	lines = slices.Clone(lines[max(0, len(lines)-3):])
	for i := range lines {
		lines[i] = lines[i][:min(len(lines[i]), 20)]
	}
	return lines
}

// TestRoomAgain: a queue that was full takes nothing until a quarter is free, so a slow reader does
// not get a report for each line.
func TestRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := newQueue(s, report, 8, 1<<20)
		i := 0
		log := func(n int) {
			for range n {
				i++
				put(t, q, long(i))
				synctest.Wait()
			}
		}
		read := func(n int) {
			for range n {
				s.gate <- struct{}{}
				synctest.Wait()
			}
		}
		log(10) // 1 to 8 wait, 9 and 10 are dropped
		read(1) // seven wait: no room yet
		log(1)  // 11 is dropped
		read(1) // six wait: room
		log(3)  // 12 and 13 are taken, 14 is dropped
		if q.Dropped() != 4 {
			t.Errorf("%d dropped, want 4", q.Dropped())
		}
		close(s.gate)
		closed(t, q)
		var got []string
		for l := range strings.Lines(s.text()) {
			number, _, _ := strings.Cut(l, " x")
			got = append(got, strings.TrimSpace(number))
		}
		if want := strings.Fields("1 2 3 4 5 6 7 8 3_dropped 12 13 1_dropped"); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestReportWithoutAnotherLine: the reader learns of dropped lines as soon as it has read the rest.
func TestReportWithoutAnotherLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := newQueue(s, report, 2, 1000)
		for i := range 5 {
			put(t, q, line(i+1))
		}
		close(s.gate)
		synctest.Wait()
		if want := lines(1, 2) + "3_dropped\n"; s.text() != want {
			t.Errorf("%q, want %q", s.text(), want)
		}
		closed(t, q)
	})
}

// TestWriterFails: lines that the writer refuses count as dropped, each next one is tried, and the
// first that goes through stands behind a report. A line that was torn does not run into the next.
func TestWriterFails(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, tt := range []struct {
		name string
		fail func(call int, p []byte) (int, error)
		want string
	}{
		{"for a while", func(call int, _ []byte) (int, error) {
			if call >= 2 && call <= 4 {
				return 0, broken
			}
			return 0, nil
		}, line(1) + "3_dropped\n" + lines(5, 6)},
		{"torn", func(call int, _ []byte) (int, error) {
			if call == 2 {
				return 3, broken
			}
			return 0, nil
		}, line(1) + "lin\n1_dropped\n" + lines(3, 6)},
		{"torn at its newline", func(call int, p []byte) (int, error) {
			if call == 2 {
				return len(p) - 1, broken
			}
			return 0, nil
		}, line(1) + "line 2\n1_dropped\n" + lines(3, 6)},
		{"for ever", func(int, []byte) (int, error) { return 0, broken }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{fail: tt.fail}
				q := New(s, report)
				for i := range 6 {
					put(t, q, line(i+1))
					synctest.Wait() // each line is a call of its own
				}
				closed(t, q)
				if s.text() != tt.want {
					t.Errorf("%q, want %q", s.text(), tt.want)
				}
				want := 6 - uint64(strings.Count(tt.want, "line ")-strings.Count(tt.want, "line 2\n1_dropped"))
				if q.Dropped() != want {
					t.Errorf("%d dropped, want %d", q.Dropped(), want)
				}
				if s.calls > 7 {
					t.Errorf("%d calls for 6 lines and one report", s.calls)
				}
			})
		})
	}
}

// TestWriterFailsAmidLines: of several lines in one call those that were written whole do not count
// as dropped.
func TestWriterFailsAmidLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{}), fail: func(call int, p []byte) (int, error) {
			if call == 2 {
				return len(lines(2, 3)) + 2, errors.New("no space left on device")
			}
			return 0, nil
		}}
		q := New(s, report)
		put(t, q, line(1))
		synctest.Wait()
		for i := 2; i <= 6; i++ {
			put(t, q, line(i))
		}
		close(s.gate)
		synctest.Wait()
		put(t, q, line(7))
		closed(t, q)
		if want := lines(1, 3) + "li\n3_dropped\n" + line(7); s.text() != want || q.Dropped() != 3 {
			t.Errorf("%q and %d dropped, want %q and 3", s.text(), q.Dropped(), want)
		}
	})
}

// TestClose: it waits for a slow writer, but no longer than its context, and then nothing is taken
// any more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := New(s, report)
		put(t, q, line(1))
		put(t, q, line(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if q.Close(ctx) || time.Since(began) != time.Second {
			t.Errorf("Close of a stuck queue returned after %v, and says that all was written", time.Since(began))
		}
		put(t, q, "late\n")
		if q.Dropped() != 1 {
			t.Errorf("%d dropped, want the line behind Close", q.Dropped())
		}
		close(s.gate)
		closed(t, q)
		closed(t, q)
		if s.text() != lines(1, 2) {
			t.Errorf("%q, want %q", s.text(), lines(1, 2))
		}
	})
}

// TestMemory: after a burst the queue gives its memory back.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{gate: make(chan struct{})}
		q := New(s, report)
		for range 2 * MaxLines {
			put(t, q, strings.Repeat("x", 200)+"\n")
		}
		close(s.gate)
		for range 3 {
			synctest.Wait()
			put(t, q, "x\n")
		}
		synctest.Wait()
		q.mu.Lock()
		if held := cap(q.text); held > keep {
			t.Errorf("%d bytes held by an empty queue", held)
		}
		q.mu.Unlock()
		closed(t, q)
	})
}
