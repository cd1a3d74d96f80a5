package shaker

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOutcomes: an open port, a closed one and one that is silent, told apart, each with all that belongs to it. Twice, so
// that in mode Reuse the second round meets sockets that have been used.
func TestOutcomes(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open, closed, mute := listen(t, f.loopback(0)), bound(t, f.loopback(0)), silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for range 3 {
			r, err := e.Check(patient(t), open.Addr, time.Minute)
			if err != nil || r.Outcome != Open || r.Cause != NoCause || r.Err != nil || r.Errno != 0 {
				t.Fatalf("open: %s, %v", r.String(), err)
			}
			if r.Silence != Proven && !stopped(e) || r.Retransmits != 0 || r.RTT <= 0 || r.RTT > r.Elapsed+time.Millisecond {
				t.Errorf("open: silence %s, %d retransmits, RTT %s of %s", r.Silence, r.Retransmits, r.RTT, r.Elapsed)
			}
			if r.Addr != open.Addr || r.Source.Addr() != open.Addr.Addr() || r.Source.Port() == 0 {
				t.Errorf("open: from %s to %s", r.Source, r.Addr)
			}
			if r.Options&(Timestamps|SACK|WindowScaling) == 0 {
				t.Errorf("open: options %s", r.Options)
			}

			r, err = e.Check(patient(t), closed.Addr, time.Minute)
			if err != nil || r.Outcome != Refused || r.Errno != unix.ECONNREFUSED || r.Silence != NoSilence || r.RTT != 0 {
				t.Fatalf("closed: %s, %v", r.String(), err)
			}

			const timeout = 30 * time.Millisecond
			r, err = e.Check(patient(t), mute, timeout)
			if err != nil || r.Outcome != TimedOut || r.Silence != NoSilence || r.RTT != 0 || !r.Source.IsValid() {
				t.Fatalf("silent: %s, %v", r.String(), err)
			}
			if r.Elapsed < timeout {
				t.Errorf("a timeout of %s was cut short after %s", timeout, r.Elapsed)
			}
		}
		if n := open.Noticed(t); n != 0 && !stopped(e) {
			t.Errorf("%d handshakes were noticed", n)
		}
	})
}

// TestNobodyNotices is the promise itself: a listener that is asked after thousands of handshakes has nobody to accept, and
// each handshake's silence is proven.
func TestNobodyNotices(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 5000
		listeners := []*listener{listen(t, f.loopback(0)), listen(t, f.loopback(1)), listen(t, f.loopback(2))}
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 512})
		batch, err := e.Submit(patient(t), probesOf(probes, func(i int) Probe {
			return Probe{Addr: listeners[i%len(listeners)].Addr, Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		unproven := 0
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Open || r.Silence == Broken && !stopped(e) {
				t.Fatalf("%s, silence %s", r.String(), r.Silence)
			}
			if r.Silence != Proven {
				unproven++
			}
		}
		noticed := 0
		for _, l := range listeners {
			noticed += l.Noticed(t)
		}
		s := e.Stats()
		if noticed > unproven || unproven > 0 && !stopped(e) { // what was noticed is not among what it calls proven
			t.Errorf("%d of %d handshakes were noticed, %d not proven silent, longest turn %s", noticed, probes, unproven, s.LongestTurn)
		}
		if s.Done[Open] != probes || s.Started != probes || s.SilenceProven != uint64(probes-unproven) || s.InFlight+s.Queued != 0 {
			t.Errorf("%+v", s)
		}
		if reused := s.SocketsOpened < probes/10; reused != (mode == Reuse) {
			t.Errorf("%d sockets for %d probes in mode %s", s.SocketsOpened, probes, mode)
		}
	})
}

// stopped reports whether a machine that is busy with other things has stopped a loop for so long that no silence can be
// promised. The engine knows that too, and calls nothing proven that was not.
func stopped(e *Engine) bool { return e.Stats().LongestTurn > 100*time.Millisecond }

// TestStallIsNotSilence is the control of the one above: a loop that is stopped for longer than the kernel holds back the ACK
// is noticed, and does not call that silence proven.
func TestStallIsNotSilence(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		l := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{stall: func() { stop(400 * time.Millisecond) }}})
		r, err := e.Check(patient(t), l.Addr, patience)
		if err != nil || r.Outcome != Open || r.Silence == Proven {
			t.Errorf("%s, silence %s, %v", r.String(), r.Silence, err)
		}
		if n := l.Noticed(t); n != 1 {
			t.Errorf("noticed %d times: the fault was not there, so its absence elsewhere proves nothing", n)
		}
	})
}

// stop keeps the calling thread from doing anything, as a stopped process or machine would. The runtime's preemption signal
// ends a poll(2) early, which the kernel never restarts (signal(7)).
func stop(d time.Duration) {
	for until := clock() + int64(d); clock() < until; {
		_, _ = unix.Poll(nil, int((until-clock()+int64(time.Millisecond)-1)/int64(time.Millisecond)))
	}
}

// TestStopIsWhole: what the tests stop with is not cut short by signals, of which Go's runtime sends many.
func TestStopIsWhole(t *testing.T) {
	const whole = 40 * time.Millisecond
	self, done := unix.Getpid(), make(chan struct{})
	thread := make(chan int)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		began := clock()
		stop(whole)
		if took := time.Duration(clock() - began); took < whole {
			t.Errorf("stopped for %s, want %s", took, whole)
		}
	}()
	for tid := <-thread; ; {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
			if err := unix.Tgkill(self, tid, unix.SIGURG); err != nil && !errors.Is(err, unix.ESRCH) {
				t.Fatal(err)
			}
		}
	}
}

// TestOnlyAnAnsweredSocketIsUsedAgain: a socket that met silence is closed; its next sequence number is so near that a server
// still in SYN_RECV would answer the next handshake with an RST.
func TestOnlyAnAnsweredSocketIsUsedAgain(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			open, closed, mute := listen(t, f.loopback(0)), bound(t, f.loopback(0)), silent(t, f.loopback(0))
			other := silent(t, f.loopback(0)) // one that was never asked, and so may be asked from a reused socket
			e := newEngine(t, Config{Mode: Reuse, Shards: 1})
			for _, c := range []struct {
				name   string
				probe  func()
				pooled int
			}{
				{"a SYN-ACK", func() { check(t, e, patient(t), open.Addr, patience, Open) }, 1},
				{"an RST", func() { check(t, e, patient(t), closed.Addr, patience, Refused) }, 1},
				{"silence", func() { check(t, e, patient(t), mute, 5*time.Millisecond, TimedOut) }, 0},
				{"another SYN-ACK", func() { check(t, e, patient(t), open.Addr, patience, Open) }, 1},
				{"a cancel", func() {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					batch, err := e.Submit(ctx, []Probe{{Addr: other, Timeout: patience}})
					if err != nil {
						t.Fatal(err)
					}
					eventually(t, "it is in flight", func() bool { return e.Stats().InFlight == 1 })
					cancel()
					if r := collect(t, batch, 1)[0]; r.Outcome != Canceled {
						t.Error(r.String())
					}
				}, 0},
			} {
				before := e.Stats().SocketsOpened
				c.probe()
				eventually(t, "the socket is in the pool or closed", func() bool { return e.Stats().InFlight == 0 })
				s := e.Stats()
				if s.Pooled != c.pooled {
					t.Errorf("after %s %d sockets in the pool, want %d", c.name, s.Pooled, c.pooled)
				}
				if opened := s.SocketsOpened - before; opened > 1 {
					t.Errorf("%s opened %d sockets", c.name, opened)
				}
			}
		})
	}
}

func check(t *testing.T, e *Engine, ctx context.Context, addr netip.AddrPort, timeout time.Duration, want Outcome) Result {
	t.Helper()
	r, err := e.Check(ctx, addr, timeout)
	if err != nil || r.Outcome != want {
		t.Errorf("%s, want %s (%v)", r.String(), want, err)
	}
	return r
}

// TestSocketsAreRetired: none is used more than mostUses times.
func TestSocketsAreRetired(t *testing.T) {
	const probes = 20 * mostUses
	l := listen(t, families[0].loopback(0))
	e := newEngine(t, Config{Mode: Reuse, Shards: 1, MaxInFlight: 1})
	batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr} }))
	if err != nil {
		t.Fatal(err)
	}
	collect(t, batch, probes)
	opened := e.Stats().SocketsOpened
	if opened < probes/mostUses || opened > probes/leastUses+1 {
		t.Errorf("%d sockets for %d probes, want %d to %d", opened, probes, probes/mostUses, probes/leastUses+1)
	}
}

// TestIdleSocketsAreClosed: an engine with nothing to do gives its sockets back, and both families may have all of them.
func TestIdleSocketsAreClosed(t *testing.T) {
	e := newEngine(t, Config{Mode: Reuse, Shards: 1, MaxInFlight: 4, hooks: hooks{idle: 20 * time.Millisecond}})
	for range 3 {
		for _, f := range families { // four of one family take the places of four of the other
			l := listen(t, f.loopback(0))
			batch, err := e.Submit(patient(t), probesOf(100, func(i int) Probe { return Probe{ID: uint64(i), Addr: l.Addr} }))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range collect(t, batch, 100) {
				if r.Outcome != Open {
					t.Fatal(r.String())
				}
			}
		}
	}
	eventually(t, "the pool is empty", func() bool { return e.Stats().Pooled == 0 })
	check(t, e, patient(t), listen(t, families[0].loopback(0)).Addr, patience, Open)
}

// eventually waits for something that is bound to happen, by asking every millisecond.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// TestWaitingDoesNotCount: probes beyond the bound wait their turn, and their timeouts begin with their SYN.
func TestWaitingDoesNotCount(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes, timeout = 4, 20 * time.Millisecond
		mute := silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1})
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: timeout} }))
		if err != nil {
			t.Fatal(err)
		}
		var queued time.Duration
		for i, r := range collect(t, batch, probes) {
			if r.Outcome != TimedOut || r.Elapsed < timeout || r.Queued < queued || r.Queued < time.Duration(i)*timeout {
				t.Errorf("probe %d: %s, queued %s, elapsed %s", i, r.String(), r.Queued, r.Elapsed)
			}
			queued = r.Queued
		}
	})
}

// TestCancelFreesSocketsAtOnce: the end of the context answers what is in flight, what waits for a place in flight and what
// waits for a place at its address, and closes the sockets, long before any timeout.
func TestCancelFreesSocketsAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 3000
		mute := silent(t, f.loopback(0))
		cause := errors.New("the caller went away")
		for _, ports := range []int{5000, 200} { // more and fewer than may be in flight
			e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 1000, MaxInFlightPerAddress: allPorts, hooks: hooks{ports: narrow(ports)}})
			fds := openFiles(t)
			ctx, cancel := context.WithCancelCause(patient(t))
			batch, err := e.Submit(ctx, probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
			if err != nil {
				t.Fatal(err)
			}
			enough := min(800, ports/4)
			eventually(t, "many are in flight", func() bool { return e.Stats().InFlight >= enough })
			began := time.Now()
			cancel(cause)
			for _, r := range collect(t, batch, probes) {
				if r.Outcome != Canceled || !errors.Is(r.Err, cause) || r.Sent() != r.Source.IsValid() {
					t.Fatalf("%s, source %s", r.String(), r.Source)
				}
			}
			t.Logf("%d answered after %s", probes, time.Since(began))
			eventually(t, "the counters say so", func() bool {
				s := e.Stats()
				return s.InFlight == 0 && s.Queued == 0 && s.Done[Canceled] == probes
			})
			if now := openFiles(t); now > fds {
				t.Errorf("%d files open, %d before", now, fds)
			}
			check(t, e, patient(t), listen(t, f.loopback(0)).Addr, patience, Open)
		}
	})
}

// narrow gives the engine n ports to send from.
func narrow(n int) func() (int, int) {
	return func() (int, int) { return 40_000, 40_000 + n - 1 }
}

// TestCanceledBeforeItBegan: probes of a context that has ended are accepted and answered.
func TestCanceledBeforeItBegan(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			e := newEngine(t, Config{Mode: mode})
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			b, to := e.Open(ctx), silent(t, families[0].loopback(0))
			for range 3 {
				if err := b.Add(probesOf(100, func(int) Probe { return Probe{Addr: to} })); err != nil {
					t.Fatal(err)
				}
			}
			b.Finish()
			n := 0
			for r := range b.All() {
				if r.Outcome != Canceled || !errors.Is(r.Err, context.Canceled) {
					t.Fatal(r.String())
				}
				n++
			}
			if n != 300 {
				t.Fatalf("%d answers to 300 probes", n)
			}
		})
	}
}

// TestCloseAnswersEverything: what is in flight and what waits is answered with ErrClosed, what comes later refused, nothing
// is left open, and Close may be called again.
func TestCloseAnswersEverything(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 2000
		fds := openFiles(t)
		mute := silent(t, f.loopback(0))
		open := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 500, MaxInFlightPerAddress: allPorts, hooks: hooks{ports: narrow(1000)}})
		check(t, e, patient(t), open.Addr, patience, Open)
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
		if err != nil {
			t.Fatal(err)
		}
		growing := e.Open(patient(t))
		eventually(t, "many are in flight", func() bool { return e.Stats().InFlight >= 100 })
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() { e.Close() })
		}
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Canceled || !errors.Is(r.Err, ErrClosed) {
				t.Fatal(r.String())
			}
		}
		closers.Wait()
		if _, err := e.Submit(patient(t), []Probe{{Addr: open.Addr}}); !errors.Is(err, ErrClosed) {
			t.Errorf("Submit after Close: %v", err)
		}
		if err := growing.Add([]Probe{{Addr: open.Addr}}); !errors.Is(err, ErrClosed) {
			t.Errorf("Add after Close: %v", err)
		}
		if s := e.Stats(); s.InFlight+s.Queued+s.Pooled != 0 {
			t.Errorf("left: %+v", s)
		}
		if now := openFiles(t); now != fds+3 { // the listener, the silent one and its connection
			t.Errorf("%d files open, %d before", now, fds+3)
		}
	})
}

// TestTimeoutsComeOnABusyMachine: a loop that is late at every turn, because other goroutines want the only processor, still ends
// what nobody answers.
func TestTimeoutsComeOnABusyMachine(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			mute := silent(t, families[0].loopback(0))
			e := newEngine(t, Config{Mode: mode, Shards: 1})
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			var idle atomic.Bool
			var hogs sync.WaitGroup
			for range 6 {
				hogs.Go(func() {
					for !idle.Load() {
					}
				})
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience/3)
			defer cancel()
			check(t, e, ctx, mute, 50*time.Millisecond, TimedOut)
			idle.Store(true)
			hogs.Wait()
		})
	}
}

// TestManyBatchesEndAtOnce: the end of a context that very many batches share does not keep a loop from looking for answers.
func TestManyBatchesEndAtOnce(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			const batches = 50_000
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 100})
			mute := silent(t, families[0].loopback(0))
			ctx, cancel := context.WithCancel(patient(t))
			all := make([]*Batch, batches)
			for i := range all {
				var err error
				if all[i], err = e.Submit(ctx, []Probe{{Addr: mute, Timeout: time.Hour}}); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			for _, b := range all {
				for r := range b.All() {
					if r.Outcome != Canceled {
						t.Fatal(r.String())
					}
				}
			}
			t.Logf("longest turn %s", e.Stats().LongestTurn)
		})
	}
}

// TestNewcomersAreNotKeptWaiting: a caller with far more than fits in flight, all of it silent, leaves room for one with a
// single probe; and so does one whose probes all wait for a place at one address.
func TestNewcomersAreNotKeptWaiting(t *testing.T) {
	for _, ports := range []int{10_000, 40} {
		everywhere(t, func(t *testing.T, mode Mode, f family) {
			mute, open := silent(t, f.loopback(0)), listen(t, f.loopback(0))
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 100, MaxInFlightPerAddress: allPorts, hooks: hooks{ports: narrow(ports)}})
			ctx, cancel := context.WithCancel(patient(t))
			greedy, err := e.Submit(ctx, probesOf(10_000, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the greedy one has what it gets", func() bool { return e.Stats().InFlight >= min(80, ports/2) })
			newcomer, err := e.Submit(patient(t), []Probe{{Addr: open.Addr, Timeout: patience}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "a newcomer is answered", func() bool {
				if e.Stats().InFlight == 100 {
					t.Fatal("one batch holds every place")
				}
				results, _ := newcomer.Take()
				return len(results) == 1
			})
			for range 50 {
				check(t, e, patient(t), open.Addr, patience, Open)
			}
			cancel()
			drain(greedy)
		})
	}
}

// drain reads a batch to its end, where there is nothing to say of its results.
func drain(b *Batch) {
	for ok := true; ok; {
		_, ok = b.Next()
	}
}

// TestHalfThePortsToOneAddress: with ten source ports, five probes are in flight to one address, never an EADDRNOTAVAIL, and
// the rest have their turn after them; other addresses do not wait.
func TestHalfThePortsToOneAddress(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 40
		mute, other := silent(t, f.loopback(0)), silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(10)}})
		if got := e.Stats().MaxInFlightPerTarget; got != 5 {
			t.Fatalf("%d allowed in flight to one address", got)
		}
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		keep, err := e.Submit(ctx, probesOf(probes, func(int) Probe { return Probe{Addr: other, Timeout: time.Hour} }))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "five are in flight", func() bool { return e.Stats().InFlight >= 5 })
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: 2 * time.Millisecond} }))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != TimedOut {
				t.Errorf("%s", r.String())
			}
		}
		if s := e.Stats(); s.PortsExhausted != 0 {
			t.Fatalf("%+v", s)
		}
		eventually(t, "the other five are in flight alone", func() bool { return e.Stats().InFlight == 5 })
		cancel()
		drain(keep)
	})
}

// TestExhaustedPortsAreOurTrouble: where others hold every source port toward an address, a probe of it is LocalError with
// EADDRNOTAVAIL, and only of it.
func TestExhaustedPortsAreOurTrouble(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		mute, open := silent(t, f.loopback(0)), listen(t, f.loopback(0))
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		var kept []*Batch
		var holders []*Engine
		for range 2 { // five ports each
			e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(10)}})
			b, err := e.Submit(ctx, probesOf(5, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "five are in flight", func() bool { return e.Stats().InFlight == 5 })
			kept, holders = append(kept, b), append(holders, e)
		}
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(10)}})
		r, err := e.Check(patient(t), mute, patience)
		if err != nil || r.Outcome != LocalError || r.Cause != LocalResources || r.Errno != unix.EADDRNOTAVAIL || r.Sent() {
			t.Fatalf("%s, %v", r.String(), err)
		}
		check(t, e, patient(t), open.Addr, patience, Open)
		if s := e.Stats(); s.PortsExhausted != 1 {
			t.Errorf("%d times exhausted", s.PortsExhausted)
		}

		// One that has probes of its own in flight there waits for them instead.
		waiting, err := holders[0].Submit(patient(t), []Probe{{Addr: mute, Timeout: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		for _, r := range collect(t, waiting, 1) {
			if r.Outcome != TimedOut {
				t.Errorf("%s", r.String())
			}
		}
		for _, b := range kept {
			drain(b)
		}
	})
}

// TestDescriptorsExhaustedAreOurTrouble: a probe that finds no descriptor free is LocalError, and the engine recovers.
func TestDescriptorsExhaustedAreOurTrouble(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		var old unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		lowered := old
		lowered.Cur = 3 // every new descriptor is above it
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lowered); err != nil {
			t.Fatal(err)
		}
		r, err := e.Check(patient(t), open.Addr, patience)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		if err != nil || r.Outcome != LocalError || r.Cause != LocalResources || r.Errno != unix.EMFILE {
			t.Errorf("%s, %v", r.String(), err)
		}
		check(t, e, patient(t), open.Addr, patience, Open)
	})
}

// TestPaceHolds: 200 starts at 1,000 a second take at least as long as they must, by any number of shards.
func TestPaceHolds(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			const probes, rate = 200, 1000
			l := listen(t, families[0].loopback(0))
			e := newEngine(t, Config{Mode: mode, Shards: 3, Rate: rate})
			began := time.Now()
			batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
			if err != nil {
				t.Fatal(err)
			}
			collect(t, batch, probes)
			least := time.Duration(probes-1)*time.Second/rate - time.Duration(paceBurst)
			if took := time.Since(began); took < least {
				t.Errorf("%d starts at %d a second took %s, want at least %s", probes, rate, took, least)
			}
		})
	}
}

// TestSelfCheckFallsBack: where the self-check fails, the engine works with fresh sockets, and says why.
func TestSelfCheckFallsBack(t *testing.T) {
	e := newEngine(t, Config{hooks: hooks{selfCheck: func() error { return errors.New("the kernel is odd") }}})
	s := e.Stats()
	if s.Mode != Fresh || s.ModeDetail != "sockets cannot be used again: self-check: the kernel is odd" {
		t.Errorf("mode %s: %s", s.Mode, s.ModeDetail)
	}
	l := listen(t, families[0].loopback(0))
	for range 3 {
		check(t, e, patient(t), l.Addr, patience, Open)
	}
	if s = e.Stats(); s.SocketsOpened != 3 || s.Pooled != 0 || s.SilenceProven != 3 && !stopped(e) {
		t.Errorf("%+v", s)
	}
	if s = newEngine(t, Config{}).Stats(); s.Mode != Reuse || s.ModeDetail == "" {
		t.Errorf("on this kernel the self-check should pass: mode %s: %s", s.Mode, s.ModeDetail)
	}
}

// TestMappedAddressIsItsIPv4: ::ffff:127.0.0.1 is 127.0.0.1, and the result says so.
func TestMappedAddressIsItsIPv4(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			l := listen(t, families[0].loopback(0))
			e := newEngine(t, Config{Mode: mode})
			mapped := netip.AddrPortFrom(netip.AddrFrom16(l.Addr.Addr().As16()), l.Addr.Port())
			r, err := e.Check(patient(t), mapped, patience)
			if err != nil || r.Outcome != Open || r.Addr != l.Addr {
				t.Errorf("%s, %v", r.String(), err)
			}
		})
	}
}

// TestRetransmitsAreCounted: a full accept queue is silence, as the kernel drops SYNs then, and the SYN that is sent again
// after a second is counted.
func TestRetransmitsAreCounted(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		r, err := e.Check(patient(t), silent(t, f.loopback(0)), 1500*time.Millisecond)
		if err != nil || r.Outcome != TimedOut || r.Retransmits != 1 {
			t.Errorf("%s, %d retransmits, %v", r.String(), r.Retransmits, err)
		}
	})
}

// probesOf makes n probes; their IDs are their indexes.
func probesOf(n int, probe func(i int) Probe) []Probe {
	probes := make([]Probe, n)
	for i := range probes {
		probes[i] = probe(i)
		probes[i].ID = uint64(i)
	}
	return probes
}

// TestIdleSocketsSpeakToo: a socket that was disconnected and put into the pool reports a hang-up. It is nobody's answer.
func TestIdleSocketsSpeakToo(t *testing.T) {
	open, closed := listen(t, families[0].loopback(0)), bound(t, families[0].loopback(0))
	e := newEngine(t, Config{Mode: Reuse, Shards: 1})
	eventually(t, "an idle socket speaks", func() bool {
		check(t, e, patient(t), open.Addr, patience, Open)
		check(t, e, patient(t), closed.Addr, patience, Refused)
		return e.Stats().IdleEvents > 0
	})
}

// TestNoStaleEvent: an event of a socket that its slot has no more is dropped, whatever the slot is at.
func TestNoStaleEvent(t *testing.T) {
	e := newEngine(t, Config{Mode: Reuse, Shards: 1})
	s, err := newShard(e, 1, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.free()
	i := s.table.takeVacant()
	s.table.vacate(i) // the socket of generation 0 is gone
	i = s.table.takeVacant()
	b := e.Open(context.Background())
	b.results.expect(newBlock(1), 1)
	s.table.slots[i].address, _ = s.addresses.claim(netip.MustParseAddrPort("127.0.0.1:1"))
	s.table.fly(i, s.join(b))
	s.poller.events[0] = unix.EpollEvent{Events: unix.EPOLLOUT, Fd: i, Pad: 0}
	s.read(1)
	if s.counters.StaleEvents != 1 || s.table.slots[i].state != flying || s.counters.Done[Open] != 0 {
		t.Errorf("%d stale, state %d", s.counters.StaleEvents, s.table.slots[i].state)
	}
}

// TestSteadyStateAllocatesNothing: a batch that goes on allocates per message, not per probe.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			const size, rounds = 1000, 20
			l, mute := listen(t, families[0].loopback(0)), silent(t, families[0].loopback(0))
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 256, MaxInFlightPerAddress: 100})
			probes := probesOf(size, func(i int) Probe {
				if i%2 == 0 { // where all but 100 wait for a place at their address
					return Probe{Addr: mute, Timeout: time.Millisecond}
				}
				return Probe{Addr: l.Addr, Timeout: patience}
			})
			b := e.Open(patient(t))
			round := func() {
				if err := b.Add(probes); err != nil {
					t.Fatal(err)
				}
				for n := 0; n < size; {
					results, _ := b.Next()
					n += len(results)
				}
			}
			round()
			if perProbe := testing.AllocsPerRun(rounds, round) / size; perProbe > 0.02 {
				t.Errorf("%.3f allocations a probe", perProbe)
			}
			b.Finish()
			drain(b)
		})
	}
}
