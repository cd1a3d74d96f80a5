package shaker

import (
	"context"
	"testing"
	"time"
)

// turnedByHand returns a shard without a loop, whose turns a test makes itself, and a share for one probe.
func turnedByHand(t *testing.T, mode Mode) (*shard, *share) {
	t.Helper()
	e := newEngine(t, Config{Mode: mode, Shards: 1})
	s, err := newShard(e, 1, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.retire()
		s.free()
	})
	b := e.Open(context.Background())
	b.results.expect(newBlock(1), 1)
	return s, s.join(b)
}

// TestGapPutsDeadlinesOff: a loop that was stopped beyond the deadline of a probe, with all else on this machine, does not
// believe the first poll after that, as an answer may still be on its way through the kernel, and does believe a later one.
func TestGapPutsDeadlinesOff(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		s, sh := turnedByHand(t, mode)
		mute := silent(t, f.loopback(0))
		at, _ := s.addresses.claim(mute)
		s.polled = clock()
		s.begin(sh, &job{addr: mute, timeout: time.Millisecond}, at)
		stop(2 * time.Duration(gap))
		s.poll(0)
		s.expire()
		if s.table.inFlight != 1 {
			t.Fatal("expired at the first poll after the gap")
		}
		for since := s.asked; s.table.inFlight > 0; {
			s.poll(0)
			s.expire()
			after := time.Duration(s.asked - since)
			if early := after < time.Duration(grace); s.table.inFlight == 0 && early || after > patience {
				t.Fatalf("%d in flight %s after that", s.table.inFlight, after)
			}
		}
		if len(s.doubts) != 1 || s.doubts[0].result.Outcome != TimedOut {
			t.Errorf("%v", s.doubts)
		}
	})
}

// TestDeadlineAsksOnceMore: an answer that no event has told of is found at the deadline.
func TestDeadlineAsksOnceMore(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for _, c := range []struct {
			to   *listener
			want Outcome
		}{
			{listen(t, f.loopback(0)), Open},
			{bound(t, f.loopback(0)), Refused},
		} {
			s, sh := turnedByHand(t, mode)
			at, _ := s.addresses.claim(c.to.Addr)
			s.begin(sh, &job{addr: c.to.Addr, timeout: patience}, at) // over loopback the answer is there when connect(2) returns
			s.expired(sh.flying)
			results, _ := sh.batch.Take()
			for i := range s.doubts { // of a silence
				results = append(results, s.doubts[i].result)
			}
			if len(results) != 1 {
				t.Fatalf("%d results", len(results))
			}
			if r := &results[0]; r.Outcome != c.want {
				t.Errorf("%s, want %s", r.String(), c.want)
			}
		}
	})
}

// TestLongestTurnIsMeasured: it tells of every stop, and counts no sleep as one. Other tests forgive an ACK that left where it
// tells of a long stop, so if it told too much they would forgive everything.
func TestLongestTurnIsMeasured(t *testing.T) {
	const asleep, away = 30 * time.Millisecond, 10 * time.Millisecond
	for {
		s, _ := turnedByHand(t, Reuse)
		began := clock()
		s.polled = began
		s.poll(0)
		s.poll(int(asleep / time.Millisecond))
		rest := time.Duration(clock()-began) - asleep
		if rest < 0 { // a signal ended the sleep
			continue
		}
		if longest := s.counters.LongestTurn; longest > rest {
			t.Errorf("longest turn %s, of %s that it was awake", longest, rest)
		}
		stop(away)
		s.poll(0)
		if longest := s.counters.LongestTurn; longest < away {
			t.Errorf("longest turn %s, and it was stopped for %s", longest, away)
		}
		return
	}
}
