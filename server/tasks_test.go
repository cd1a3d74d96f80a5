package server

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestAccounts: attempted counts SYNs that left, completed SYN-ACKs, and elapsed is from the first SYN to the last end so far,
// by the engine's readings: neither waiting before the SYN nor waiting for the reader is part of it.
func TestAccounts(t *testing.T) {
	task := &task{options: &options{attempts: 3}}
	if task.elapsed() != 0 {
		t.Errorf("elapsed %v before anything", task.elapsed())
	}
	for _, step := range []struct {
		added  time.Duration
		result shaker.Result

		completed, attempted uint32
		elapsed              time.Duration
	}{
		{5, shaker.Result{Outcome: shaker.LocalError, Queued: 100}, 0, 0, 0},
		{10, shaker.Result{Outcome: shaker.TimedOut, Queued: 200, Elapsed: 50}, 0, 1, 50},  // SYN at 210
		{20, shaker.Result{Outcome: shaker.Refused, Queued: 0, Elapsed: 30}, 0, 2, 240},    // SYN at 20, before the other
		{300, shaker.Result{Outcome: shaker.Open, Queued: 100, Elapsed: 7}, 1, 3, 387},     // ends at 407
		{310, shaker.Result{Outcome: shaker.Canceled, Queued: 200, Elapsed: 0}, 1, 3, 490}, // never sent
		{310, shaker.Result{Outcome: shaker.Open, Queued: 0, Elapsed: time.Second}, 2, 4, 1e9 + 290},
	} {
		task.account(&step.result, step.added)
		if task.completed != step.completed || task.attempted != step.attempted || task.elapsed() != step.elapsed {
			t.Errorf("%v: completed %d, attempted %d, elapsed %d; want %d, %d, %d", &step.result,
				task.completed, task.attempted, task.elapsed(), step.completed, step.attempted, step.elapsed)
		}
	}
}

func TestProbeIDs(t *testing.T) {
	for _, place := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		for _, address := range []int{0, 1, maxAddresses - 1} {
			for _, attempt := range []int{0, 1, maxAttempts - 1} {
				if p, a, n := splitProbeID(probeID(place, address, attempt)); p != place || a != address || n != attempt {
					t.Errorf("%d %d %d became %d %d %d", place, address, attempt, p, a, n)
				}
			}
		}
	}
}

// TestSlab: a task stays at its place, a place is given to one target at a time, and is empty when it is given.
func TestSlab(t *testing.T) {
	var s slab
	taken := make(map[uint32]*task)
	for i := range 1000 {
		task := s.take(1000 - i)
		if taken[task.place] != nil || s.tasks[task.place] != task || task.text != "" || task.decided {
			t.Fatalf("place %d given wrongly", task.place)
		}
		taken[task.place], task.text, task.decided = task, "x", true
		if i%3 == 0 {
			delete(taken, task.place)
			s.put(task)
		}
		if s.used != len(taken) {
			t.Fatalf("used %d, want %d", s.used, len(taken))
		}
	}
	for place, task := range taken {
		if s.tasks[place] != task {
			t.Fatalf("place %d moved", place)
		}
	}
}

// TestSchedule: whatever the order in which attempts are scheduled, the earliest one leaves first,
// and none is lost.
func TestSchedule(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	var s schedule
	var naive []time.Duration
	pop := func() {
		slices.Sort(naive)
		if got := s.pop(); got.at != naive[0] || got.index != uint64(got.at) {
			t.Fatalf("seed %d: attempt %d due at %v left, want %v", seed, got.index, got.at, naive[0])
		}
		naive = naive[1:]
	}
	for range 3000 {
		if at := time.Duration(random.IntN(100)); random.IntN(3) > 0 {
			s.push(delayed{at: at, index: uint64(at)})
			naive = append(naive, at)
		} else if len(naive) > 0 {
			pop()
		}
		if len(s) != len(naive) || len(s) > 0 && s[0].at != slices.Min(naive) {
			t.Fatalf("seed %d: %d attempts, want %d", seed, len(s), len(naive))
		}
	}
	for len(naive) > 0 {
		pop()
	}
	if s.clear(); len(s) != 0 {
		t.Errorf("%d attempts left", len(s))
	}
}
