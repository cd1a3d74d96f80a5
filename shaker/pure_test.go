package shaker

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzDeadlines plays any order of operations on the heap and on a map that does the same naively.
func FuzzDeadlines(f *testing.F) {
	f.Add([]byte{1, 9, 2, 8, 3, 7, 0, 1, 4, 4, 0, 9})
	f.Add([]byte{7, 7, 7, 6, 7, 5, 0, 0, 7, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var d deadlines
		naive := map[int32]int64{}
		for len(ops) >= 2 {
			slot, at := int32(ops[0]%64), int64(ops[1])
			ops = ops[2:]
			if _, ok := naive[slot]; ok {
				d.remove(slot)
				delete(naive, slot)
			} else {
				d.set(slot, at)
				naive[slot] = at
			}
			d.remove(64 + slot) // one that never had any
			got, ok := d.next()
			if ok != (len(naive) > 0) {
				t.Fatalf("next: %v, want %v", ok, !ok)
			}
			if want := earliest(naive); ok && (got.at != want || naive[got.slot] != want) {
				t.Fatalf("next %+v, want one at %d", got, want)
			}
		}
	})
}

func earliest(m map[int32]int64) int64 {
	least := int64(math.MaxInt64)
	for _, at := range m {
		least = min(least, at)
	}
	return least
}

// FuzzTable plays any order of taking, flying, landing, keeping and vacating on the table, and counts beside it.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 0, 2, 3, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const capacity = 8
		table := table{capacity: capacity}
		shares := []*share{{flying: none, caller: &caller{}}, {flying: none, caller: &caller{}}}
		type flight struct {
			slot  int32
			share *share
		}
		var flights []flight
		var settling []int32
		taken := map[int32]bool{}
		for _, op := range ops {
			v6 := op&4 != 0
			switch op % 4 {
			case 0, 1: // start
				if table.free() == 0 {
					break
				}
				i := table.takeIdle(v6, uint32(op)<<24)
				if i == none {
					if i = table.takeVacant(); i == none {
						i = table.takeIdle(!v6, 0)
						table.vacate(i)
						i = table.takeVacant()
					}
					table.slots[i].v6 = v6
				}
				if taken[i] || table.slots[i].v6 != v6 {
					t.Fatalf("slot %d given twice or of the wrong family", i)
				}
				taken[i] = true
				sh := shares[op>>3&1]
				table.fly(i, sh)
				flights = append(flights, flight{i, sh})
			default: // finish
				if len(flights) == 0 {
					break
				}
				k := int(op>>3) % len(flights)
				i := flights[k].slot
				flights = slices.Delete(flights, k, k+1)
				delete(taken, i)
				table.land(i)
				generation := table.slots[i].generation
				if op%4 == 2 {
					table.keep(i)
				} else if op>>4&1 == 1 {
					table.doom(i)
					settling = append(settling, i)
				} else if table.vacate(i); table.slots[i].generation == generation {
					t.Fatal("a closed socket's events would still be believed")
				}
				if len(settling) > 2 {
					table.settled(settling[0])
					settling = settling[1:]
				}
				if n := len(table.doomed); n > 2 {
					table.vacate(table.doomed[n-1])
					table.doomed = table.doomed[:n-1]
				}
			}
			if table.inFlight != len(flights) || table.inFlight+table.pooled()+table.dying()+len(table.vacant) != len(table.slots) {
				t.Fatalf("%d in flight (want %d), %d pooled, %d vacant of %d", table.inFlight, len(flights),
					table.pooled(), len(table.vacant), len(table.slots))
			}
			for _, sh := range shares {
				n := 0
				for i := sh.flying; i != none; i = table.slots[i].next {
					if !taken[i] || table.slots[i].share != sh {
						t.Fatalf("slot %d in the wrong list", i)
					}
					n++
				}
				if n != sh.inFlight {
					t.Fatalf("%d linked, %d counted", n, sh.inFlight)
				}
			}
		}
	})
}

// FuzzAddresses claims and releases places at random and checks the bound, the order and that nobody is forgotten, against a twin
// that keeps, for each address, the callers in the order of their turns, each with those of its jobs that wait.
func FuzzAddresses(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 3, 2, 2})
	f.Add([]byte{0, 8, 2, 2})                         // the second finds no source port
	f.Add([]byte{0, 0, 0, 0, 0, 32, 64, 2, 2, 2, 67}) // three callers wait, the first with three jobs
	f.Fuzz(func(t *testing.T, ops []byte) {
		const limit = 2
		a := newAddresses(limit)
		shares := []*share{parking(), parking(), parking()}
		var flying []*address
		twin := map[netip.AddrPort]*twinTurns{}
		for n, op := range ops {
			key := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(1+op>>4&1))
			sh := shares[op>>5%3]
			if twin[key] == nil {
				twin[key] = &twinTurns{}
			}
			switch op % 4 {
			case 0, 1:
				if to, ok := a.claim(key); ok && (op&8 == 0 || !a.exhausted(to)) {
					flying = append(flying, to)
				} else {
					to.park(job{id: uint64(n)}, sh)
					twin[key].park(sh.caller, uint64(n))
				}
			case 2:
				if len(flying) == 0 {
					break
				}
				to := flying[0]
				flying = flying[1:]
				key := to.key
				next := a.release(to)
				for _, w := range next {
					if w == nil {
						continue
					}
					if want := twin[key].hand(); w.job.id != want {
						t.Fatalf("%d before %d", w.job.id, want)
					}
					flying = append(flying, to)
				}
				if next[0] == nil && twin[key].waiting() > 0 {
					t.Fatal("a place was free and somebody waited")
				}
			case 3:
				if len(sh.parked) == 0 {
					break
				}
				w := sh.parked[int(op>>4)%len(sh.parked)]
				key := w.address.key
				w.leave()
				a.forget(w.address)
				twin[key].leave(w.job.id)
			}
			inFlight, parked := 0, 0
			for key, to := range a.byAddr {
				n := twin[key].waiting()
				if to.key != key || to.inFlight > limit || to.inFlight == 0 && n > 0 || to.waiting != n || len(to.of) != ringed(to) {
					t.Fatalf("%+v, %d wait", to, n)
				}
				inFlight += to.inFlight
				parked += n
			}
			for _, sh := range shares {
				parked -= len(sh.parked)
				for i, w := range sh.parked {
					if w.index != i {
						t.Fatalf("waiter %d stands at %d", w.index, i)
					}
				}
			}
			if inFlight != len(flying) || parked != 0 {
				t.Fatalf("%d in flight, want %d; %d more wait than are parked", inFlight, len(flying), parked)
			}
			for key, to := range twin {
				if a.byAddr[key] == nil {
					to.lines = nil // it was forgotten
				}
			}
		}
	})
}

func parking() *share { return &share{flying: none, caller: &caller{}} }

// twinTurns is the naive twin of those who wait at an address.
type twinTurns struct{ lines []twinLine }

type twinLine struct {
	caller *caller
	jobs   []uint64
}

func (t *twinTurns) park(c *caller, id uint64) {
	for i := range t.lines {
		if t.lines[i].caller == c {
			t.lines[i].jobs = append(t.lines[i].jobs, id)
			return
		}
	}
	t.lines = append(t.lines, twinLine{c, []uint64{id}})
}

func (t *twinTurns) hand() uint64 {
	first := t.lines[0]
	t.lines = t.lines[1:]
	if len(first.jobs) > 1 {
		t.lines = append(t.lines, twinLine{first.caller, first.jobs[1:]})
	}
	return first.jobs[0]
}

func (t *twinTurns) leave(id uint64) {
	for i := range t.lines {
		t.lines[i].jobs = slices.DeleteFunc(t.lines[i].jobs, func(other uint64) bool { return other == id })
	}
	t.lines = slices.DeleteFunc(t.lines, func(l twinLine) bool { return len(l.jobs) == 0 })
}

func (t *twinTurns) waiting() (n int) {
	for _, line := range t.lines {
		n += len(line.jobs)
	}
	return n
}

// ringed is how many lines an address has, each with somebody in it.
func ringed(to *address) (n int) {
	for l := to.lines.first; l != nil && l.who.first != nil && (n == 0 || l != to.lines.first); l = l.next {
		n++
	}
	return n
}

// TestWhoLeavesALineLeavesNothing: as long as the places of an address are held, any number of callers may come, wait and give up;
// nothing is left of them that would have to be looked through when a place is free. Who stays has its turn then.
func TestWhoLeavesALineLeavesNothing(t *testing.T) {
	a := newAddresses(1)
	to, _ := a.claim(netip.MustParseAddrPort("127.0.0.1:1"))
	staying := []*share{parking(), parking()}
	for i, sh := range staying {
		to.park(job{id: uint64(i)}, sh)
	}
	for range 10_000 {
		sh := parking()
		to.park(job{}, sh)
		sh.parked[0].leave()
		if n := ringed(to); n != len(staying) || n != len(to.of) {
			t.Fatalf("%d lines, %d of them known, and %d who wait", n, len(to.of), to.waiting)
		}
	}
	for i := range staying {
		if w := a.release(to)[0]; w == nil || w.job.id != uint64(i) {
			t.Fatalf("%v, want the job %d", w, i)
		}
	}
	if a.release(to); len(a.byAddr) != 0 {
		t.Error("the address is not forgotten")
	}
}

// TestWaitingAllocatesNothing: in the steady state a job that waits for a place costs no allocation, though its line and its
// address come and go with it.
func TestWaitingAllocatesNothing(t *testing.T) {
	a := newAddresses(1)
	sh := parking()
	key := netip.MustParseAddrPort("127.0.0.1:1")
	once := func() {
		to, _ := a.claim(key)
		to.park(job{}, sh)
		a.release(to)[0].free()
		a.release(to)
	}
	once()
	if n := testing.AllocsPerRun(100, once); n != 0 || len(a.byAddr) != 0 {
		t.Errorf("%v allocations a job; %d addresses left", n, len(a.byAddr))
	}
}

// TestSparesAreBounded: what a burst needed is not kept for ever.
func TestSparesAreBounded(t *testing.T) {
	for most, want := range map[int]int{0: mostSpares, 3: 3} {
		s := spares[job]{most: most}
		for range 2 * mostSpares {
			s.keep(new(job))
		}
		if len(s.kept) != want {
			t.Errorf("%d kept, want %d", len(s.kept), want)
		}
		for range 2 * mostSpares {
			s.take()
		}
		if len(s.kept) != 0 {
			t.Errorf("%d left", len(s.kept))
		}
	}
}

// TestExhaustedWaitsOnlyForItsOwn: after EADDRNOTAVAIL nothing starts at an address until one of our own there has ended;
// where none of our own is there, waiting would be for ever.
func TestExhaustedWaitsOnlyForItsOwn(t *testing.T) {
	a := newAddresses(10)
	key := netip.MustParseAddrPort("127.0.0.1:1")
	first, _ := a.claim(key)
	second, _ := a.claim(key)
	if !a.exhausted(second) {
		t.Fatal("one is in flight, so waiting helps")
	}
	if _, ok := a.claim(key); ok {
		t.Fatal("a place at an address that has no source port left")
	}
	if a.release(first); len(a.byAddr) != 0 {
		t.Fatal("not forgotten")
	}
	only, ok := a.claim(key)
	if !ok {
		t.Fatal("still full after the end of the one in flight")
	}
	if a.exhausted(only) {
		t.Fatal("nothing else of ours is in flight, so waiting does not help")
	}
	if a.release(only); len(a.byAddr) != 0 {
		t.Fatal("not forgotten")
	}
}

// TestAnAddressRecovers: after an EADDRNOTAVAIL with many waiting, the places at the address fill up again as long as it does not
// come back.
func TestAnAddressRecovers(t *testing.T) {
	const limit = 16
	a := newAddresses(limit)
	key := netip.MustParseAddrPort("127.0.0.1:1")
	sh := parking()
	to, _ := a.claim(key)
	second, _ := a.claim(key)
	if !a.exhausted(second) {
		t.Fatal("one is in flight, so waiting helps")
	}
	for range 500 {
		to.park(job{}, sh)
	}
	most := 0
	for len(sh.parked) > 0 {
		a.release(to)
		most = max(most, to.inFlight)
	}
	if most != limit {
		t.Errorf("never more than %d in flight, of %d", most, limit)
	}
}

// TestPaceIsSmooth runs the pace on a clock of its own: over any window no more starts than the rate allows and 2 ms' worth
// more, and in the long run no fewer.
func TestPaceIsSmooth(t *testing.T) {
	for _, rate := range []float64{0.5, 7, 1000, 20_000, 3_000_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			var p pace
			p.set(rate)
			var starts []int64
			now := int64(1)
			for len(starts) < 5000 {
				switch retry := p.take(now); {
				case retry == 0:
					starts = append(starts, now)
				case retry <= now:
					t.Fatalf("told at %d to come back at %d", now, retry)
				default:
					now = retry
				}
			}
			interval := 1e9 / rate
			burst := int(2e6/interval) + 2
			for i := burst; i < len(starts); i++ {
				if gap := float64(starts[i] - starts[i-burst]); gap < interval*0.99 {
					t.Fatalf("%d starts within %.0f ns", burst+1, gap)
				}
			}
			took := float64(starts[len(starts)-1] - starts[0])
			if want := interval * float64(len(starts)-1); took > want*1.05 || took+2e6 < want*0.99 {
				t.Fatalf("took %.0f ns, want %.0f", took, want)
			}
		})
	}
	var unlimited pace
	unlimited.set(0)
	for range 1000 {
		if unlimited.take(1) != 0 {
			t.Fatal("a limit without a rate")
		}
	}
	var slowest pace
	slowest.set(math.SmallestNonzeroFloat64)
	if slowest.take(1) != 0 || slowest.take(2) <= 2 {
		t.Fatal("the slowest rate grants one start and then none for years")
	}
}

// TestLaterIsNeverEarlier: whoever tells of an earlier time later changes nothing.
func TestLaterIsNeverEarlier(t *testing.T) {
	var at atomic.Int64
	for _, step := range []struct{ to, is int64 }{{5, 5}, {3, 5}, {9, 9}} {
		if later(&at, step.to); at.Load() != step.is {
			t.Errorf("%d after %d: set back", at.Load(), step.to)
		}
	}
	d := newDoors()
	if d.crossed(2000, 1) || d.crossed(80, 1) || !d.quiet(80) {
		t.Error("nobody has knocked yet")
	}
	d.knock(2000)
	d.leave(2000)
	if d.knock(65535); !d.crossed(65535, never) || !d.crossed(2000, 0) || d.crossed(2000, never) {
		t.Error("who knocks may answer, and who left since")
	}
}

// TestHalfOpen: a pair of ends is known until an RST comes between them, or another pair of the same cell puts it out.
func TestHalfOpen(t *testing.T) {
	h := newHalfOpen()
	to := func(i int) *job {
		return &job{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(1+i>>8))}
	}
	_, cell := h.of(40_000, to(0))
	same := 1
	for ; ; same++ {
		if _, other := h.of(40_000, to(same)); other == cell {
			break
		}
	}
	if h.reset(40_000, to(0)) {
		t.Error("there was no handshake")
	}
	h.left(40_000, to(0))
	zoned := *to(0)
	zoned.scope = 2
	if h.reset(40_001, to(0)) || h.reset(40_000, to(same)) || h.reset(40_000, &zoned) {
		t.Error("not between these ends")
	}
	if !h.reset(40_000, to(0)) || h.reset(40_000, to(0)) {
		t.Error("one RST can be for the handshake, and no other")
	}
	h.left(40_000, to(0))
	h.left(40_000, to(same))
	if h.reset(40_000, to(0)) || !h.reset(40_000, to(same)) {
		t.Error("a cell is for the last of its pairs")
	}
}

// TestSilenceNeedsAllThree: PROVEN only if the counters show no ACK, and nothing can have sent one after they were read: neither the
// timer, as the time since the SYN-ACK is too short, and is the time since the SYN-ACK; nor a segment, as none was dropped or taken.
func TestSilenceNeedsAllThree(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		counters
		leaving
		want Silence
	}{
		{counters{1, 0, 1, 0, false}, leaving{50 * time.Microsecond, false, false, false, false}, Proven},
		{counters{3, 2, 1, 10 * ms, false}, leaving{ms, false, false, false, false}, Proven}, // two SYNs more, no ACK
		{counters{1, 0, 1, 189 * ms, false}, leaving{ms / 2, false, false, false, false}, Proven},
		{counters{1, 0, 1, 189 * ms, false}, leaving{ms, false, false, false, false}, Unproven},
		{counters{1, 0, 1, 0, false}, leaving{50 * ms, false, false, false, false}, Proven},  // stopped between reading and leaving
		{counters{1, 0, 1, 0, false}, leaving{50 * ms, false, true, false, false}, Unproven}, // and something came
		{counters{1, 0, 1, 0, false}, leaving{ms, false, false, true, false}, Unproven},      // no guard
		{counters{1, 0, 1, 0, true}, leaving{ms, false, false, true, false}, Proven},         // but it was reset before
		{counters{1, 0, 1, 0, false}, leaving{190 * ms, false, false, false, false}, Unproven},
		{counters{1, 0, 1, time.Second, false}, leaving{}, Unproven},
		{counters{1, 0, 2, 0, false}, leaving{}, Unproven},                               // something came after the SYN-ACK
		{counters{1, 0, 1, 0, false}, leaving{0, true, false, false, false}, Unproven},   // a duplicate SYN-ACK came, perhaps after the reading
		{counters{1, 0, 1, 0, false}, leaving{-1, false, false, false, false}, Unproven}, // never left
		{counters{1, 0, 2, time.Second, true}, leaving{-1, true, false, false, false}, Proven},
		{counters{2, 0, 1, 0, false}, leaving{}, Broken}, // a duplicate SYN-ACK
		{counters{3, 1, 1, 0, false}, leaving{}, Broken},
		{counters{2, 0, 2, time.Second, true}, leaving{time.Second, true, false, false, false}, Broken},
	} {
		if got := silence(c.counters, c.leaving); got != c.want {
			t.Errorf("silence(%+v, %+v) = %s, want %s", c.counters, c.leaving, got, c.want)
		}
	}
}

// TestICMPIsClassedByTypeAndCode goes through the table of the documentation.
func TestICMPIsClassedByTypeAndCode(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	want := map[Cause][]ICMP{
		Prohibited:     {{3, 9, v4}, {3, 10, v4}, {3, 13, v4}, {1, 1, v6}, {1, 5, v6}, {1, 6, v6}},
		NetUnreachable: {{3, 0, v4}, {3, 5, v4}, {3, 6, v4}, {3, 8, v4}, {3, 11, v4}, {1, 0, v6}},
		HostUnreachable: {
			{3, 1, v4},
			{3, 2, v4},
			{3, 7, v4},
			{3, 12, v4},
			{3, 14, v4},
			{11, 0, v4},
			{11, 1, v4},
			{12, 0, v4},
			{1, 2, v6},
			{1, 3, v6},
			{3, 0, v6},
			{4, 0, v6},
		},
		PortUnreachable: {{3, 3, v4}, {1, 4, v6}},
	}
	for cause, messages := range want {
		for _, m := range messages {
			if got := m.cause(); got != cause {
				t.Errorf("%s: %s, want %s", m, got, cause)
			}
		}
	}
}

// TestResultsKeepTheirOrderAndPlace: blocks of any size, read at any time, give each result once, in order, and a slice
// that was taken does not change until the next take. What was read is used again, so the room follows what is owed, and not
// what has been.
func TestResultsKeepTheirOrderAndPlace(t *testing.T) {
	const most = 64 // owed at a time
	rng := rand.New(rand.NewPCG(1, 2))
	var q results
	var put, taken, owed uint64
	for taken < 300_000 {
		switch n := rng.IntN(40); {
		case n < 5:
			size := 1 + rng.IntN(50)
			if owed+uint64(size) > most {
				break
			}
			if !q.promise(size) {
				q.expect(newBlock(size), size)
			}
			owed += uint64(size)
		case n < 30 && owed > 0:
			q.put(&Result{ID: put})
			put++
			owed--
		default:
			got, more := q.take()
			for range min(owed, 3) { // written behind what the reader holds
				q.put(&Result{ID: put})
				put++
				owed--
			}
			for _, r := range got {
				if r.ID != taken {
					t.Fatalf("result %d, want %d", r.ID, taken)
				}
				taken++
			}
			if more && taken == put {
				t.Fatal("more is promised than there is")
			}
		}
		if put-taken == 0 { // all that was put has been read, so what is left is room
			room := 0
			for _, list := range []*block{q.head, q.spare} {
				for b := list; b != nil; b = b.next {
					room += cap(b.results)
				}
			}
			if room > 20*most {
				t.Fatalf("room for %d after %d results, with never more than %d owed", room, put, most)
			}
		}
	}
}

// TestQueueKeepsOrder compares the ring with a slice.
func TestQueueKeepsOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var q queue[int]
	var naive []int
	for n := range 10_000 {
		if len(naive) == 0 || rng.IntN(5) < 3-n/6000 {
			q.push(n)
			naive = append(naive, n)
		} else {
			if *q.front() != naive[0] || q.pop() != naive[0] {
				t.Fatal("out of order")
			}
			naive = naive[1:]
		}
		if q.len() != len(naive) {
			t.Fatalf("length %d, want %d", q.len(), len(naive))
		}
	}
}

// TestConfigSaysAllThatIsWrong: every field out of range is named, in one error.
func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := New(Config{Shards: -1, MaxInFlight: -5, MaxInFlightPerAddress: -6, ReservedDescriptors: -2, Rate: math.NaN(), Mode: 9})
	for _, field := range []string{"shards -1", "max in flight -5", "max in flight per address -6", "reserved descriptors -2", "rate NaN", "mode 9"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not name %q", err, field)
		}
	}
	for _, c := range []Config{{Shards: MaxShards + 1}, {MaxInFlightPerAddress: MaxMaxInFlightPerAddress + 1}, {Rate: math.Inf(1)}, {Rate: -1}, {Rate: 2 * MaxRate}} {
		if c.validate() == nil {
			t.Errorf("%+v accepted", c)
		}
	}
	if c := (Config{}).withDefaults(); c.MaxInFlight != DefaultMaxInFlight || c.MaxInFlightPerAddress != 128 || c.ReservedDescriptors != 64 || c.Shards < 1 {
		t.Errorf("%+v", c)
	}
}

// TestProbesAreCheckedBeforeAnyIsTaken: the error names the first bad one.
func TestProbesAreCheckedBeforeAnyIsTaken(t *testing.T) {
	good := Probe{Addr: netip.MustParseAddrPort("127.0.0.1:80")}
	for name, bad := range map[string]Probe{
		"no address":       {Addr: netip.AddrPortFrom(netip.Addr{}, 80)},
		"no port":          {Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0)},
		"negative timeout": {Addr: good.Addr, Timeout: -1},
		"zone":             {Addr: netip.MustParseAddrPort("[fe80::1%no-such-interface]:80")},
	} {
		_, err := newJobs([]Probe{good, good, bad, good}, 0)
		var probe *ProbeError
		if !errors.As(err, &probe) || probe.Index != 2 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j, err := newJob(&Probe{Addr: netip.MustParseAddrPort("[::ffff:192.0.2.7]:80")}, 0, new(zones))
	if err != nil || j.addr != netip.MustParseAddrPort("192.0.2.7:80") || j.timeout != DefaultTimeout {
		t.Errorf("%+v %v", j, err)
	}
	if j, err = newJob(&Probe{Addr: netip.MustParseAddrPort("[fe80::1%7]:80")}, 0, new(zones)); err != nil || j.scope != 7 || j.addr.Addr().Zone() != "7" {
		t.Errorf("%+v %v", j, err)
	}
}

// TestTheLongestTimeout does not end before it begins.
func TestTheLongestTimeout(t *testing.T) {
	for _, now := range []int64{0, 1, never - 1} {
		if at := after(now, math.MaxInt64); at < now {
			t.Errorf("%d and the longest timeout give %d", now, at)
		}
	}
	if at := after(5, 7); at != 12 {
		t.Errorf("5 and 7 give %d", at)
	}
}

// TestNames: every value has a name of its own, and one that is not known does not panic.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []fmt.Stringer{
		Unspecified, Open, Refused, Unreachable, TimedOut, Canceled, LocalError, HostUnreachable, NetUnreachable,
		PortUnreachable, Prohibited, NoRoute, LocalResources, LocalFiltered, Proven, Broken, Unproven, Auto, Reuse, Fresh,
		Outcome(200), Timestamps | SACK,
		ICMP{3, 1, netip.MustParseAddr("192.0.2.1")},
	} {
		if name := s.String(); name == "" || seen[name] {
			t.Errorf("%T %q: empty or twice", s, name)
		} else {
			seen[name] = true
		}
	}
	for _, s := range []fmt.Stringer{NoCause, NoSilence, Options(0), ICMP{}} {
		if s.String() != "" {
			t.Errorf("%T: %q", s, s)
		}
	}
}
