package shaker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestOneAnswer lets callers add, finish, cancel, let deadlines pass, read slowly and go away at random while the engine works
// and, at a random moment, closes. Beside each batch runs a twin that does not know how the engine works, only what each probe
// may be answered with at that moment: each accepted probe has exactly one answer, and it is one of those.
func TestOneAnswer(t *testing.T) {
	rounds := 20
	if long() {
		rounds = 200
	}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		open, closed, mute := listen(t, f.loopback(0)), bound(t, f.loopback(1)), silent(t, f.loopback(0))
		world := &world{
			addrs:   []netip.AddrPort{open.Addr, open.Addr, closed.Addr, mute},
			outcome: map[netip.AddrPort]Outcome{open.Addr: Open, closed.Addr: Refused, mute: TimedOut},
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		var noticed int
		var total Counters
		unsure := false
		const runs = 4 // the engine of the last one closes when all is over, the others when a number of probes was accepted
		for run := range runs {
			e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 200, MaxInFlightPerAddress: allPorts, hooks: hooks{ports: narrow(300)}})
			world.e, world.closing = e, new(atomic.Bool)
			world.accepted.Store(0)
			last := rng.Int64N(int64(rounds) * 16 * 60)
			var callers sync.WaitGroup
			for caller := range 16 {
				rng := rand.New(rand.NewPCG(seed, uint64(run*16+caller+1)))
				callers.Go(func() {
					for range rounds {
						newTwin(world, rng).live(t, rng)
					}
				})
			}
			over := make(chan struct{})
			go func() {
				callers.Wait()
				close(over)
			}()
			if run < runs-1 {
				world.await(last, over)
				world.closing.Store(true)
				e.Close()
			}
			<-over
			eventually(t, "nothing is left", func() bool {
				s := e.Stats()
				return s.InFlight+s.Queued == 0
			})
			e.Close()
			s := e.Stats()
			clean(t, e)
			total.add(&s.Counters)
			unsure = unsure || stopped(e)
		}
		noticed = open.Noticed(t)
		if noticed > 0 && (!unsure || uint64(noticed) > total.SilenceBroken+total.SilenceUnproven+total.Done[Canceled]) {
			t.Errorf("%d noticed", noticed)
		}
		t.Logf("%+v", total)
	})
}

// world is what callers share.
type world struct {
	e        *Engine
	addrs    []netip.AddrPort
	outcome  map[netip.AddrPort]Outcome
	accepted atomic.Int64
	closing  *atomic.Bool // the engine may be closed from now on
}

// await returns when so many probes have been accepted, or all is over.
func (w *world) await(accepted int64, over <-chan struct{}) {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for w.accepted.Load() < accepted {
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// twin is a batch and what it may be answered with.
type twin struct {
	*world
	b        *Batch
	cancel   context.CancelFunc
	deadline bool // the context may end by itself
	canceled bool // the context has been ended
	probes   []expected
	answers  int
}

// expected is what the twin knows of a probe.
type expected struct {
	addr     netip.AddrPort
	timeout  time.Duration
	late     bool // added after the context had been ended
	answered bool
}

func newTwin(w *world, rng *rand.Rand) *twin {
	x := &twin{world: w}
	ctx, cancel := context.WithCancel(context.Background())
	if x.deadline = rng.IntN(4) == 0; x.deadline {
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(1+rng.IntN(10))*time.Millisecond)
	}
	x.b, x.cancel = w.e.Open(ctx), cancel
	return x
}

// live is the life of a batch.
func (x *twin) live(t *testing.T, rng *rand.Rand) {
	defer x.cancel()
	for range 1 + rng.IntN(5) {
		if !x.add(t, rng) {
			break
		}
		if rng.IntN(2) == 0 {
			x.read(t)
		}
		if rng.IntN(8) == 0 {
			x.cancel()
			x.canceled = true
		}
	}
	x.b.Finish()
	if err := x.b.Add([]Probe{{Addr: x.addrs[0]}}); !errors.Is(err, ErrFinished) && !(errors.Is(err, ErrClosed) && x.closing.Load()) {
		t.Errorf("Add after Finish: %v", err)
	}
	for x.read(t) {
		<-x.b.Ready()
	}
	if x.answers != len(x.probes) {
		t.Errorf("%d answers to %d probes", x.answers, len(x.probes))
	}
}

func (x *twin) add(t *testing.T, rng *rand.Rand) bool {
	probes := make([]Probe, rng.IntN(60))
	known := len(x.probes)
	for i := range probes {
		p := Probe{ID: uint64(known + i), Addr: x.addrs[rng.IntN(len(x.addrs))], Timeout: patience}
		if x.outcome[p.Addr] == TimedOut {
			p.Timeout = time.Duration(1+rng.IntN(8)) * time.Millisecond
		}
		probes[i] = p
		x.probes = append(x.probes, expected{addr: p.Addr, timeout: p.Timeout, late: x.canceled})
	}
	err := x.b.Add(probes)
	if err != nil {
		x.probes = x.probes[:known]
		if !errors.Is(err, ErrClosed) || !x.closing.Load() {
			t.Error(err)
		}
		return false
	}
	x.accepted.Add(int64(len(probes)))
	return true
}

// read takes what has come. It reports whether there is more to come.
func (x *twin) read(t *testing.T) bool {
	results, more := x.b.Take()
	for i := range results {
		r := &results[i]
		if r.ID >= uint64(len(x.probes)) || x.probes[r.ID].answered {
			t.Errorf("an answer too many: %s", r.String())
			continue
		}
		x.probes[r.ID].answered = true
		x.answers++
		if want := &x.probes[r.ID]; r.Addr != want.addr || !x.may(r, want) {
			t.Errorf("%s after %s, expected of %+v", r.String(), r.Elapsed, want)
		}
	}
	return more
}

// may reports whether a probe may be answered so now.
func (x *twin) may(r *Result, want *expected) bool {
	switch {
	case r.Outcome == Canceled:
		return errors.Is(r.Err, ErrClosed) && x.closing.Load() || errors.Is(r.Err, context.Canceled) && x.canceled ||
			errors.Is(r.Err, context.DeadlineExceeded) && x.deadline
	case r.Err != nil || r.Outcome != x.outcome[want.addr]:
		return false
	case r.Outcome == TimedOut && r.Elapsed < want.timeout:
		return false
	default:
		return !want.late
	}
}

// clean checks that a closed engine has given back all it had: every slot, every place at an address, every job and every
// port it knocked at. Its loops have ended, so their tables may be looked at.
func clean(t *testing.T, e *Engine) {
	t.Helper()
	for k, s := range e.shards {
		if n := &s.table; len(n.vacant) != len(n.slots) || n.pooled()+n.dying()+n.inFlight != 0 {
			t.Errorf("shard %d: %d slots, %d of them vacant, %d pooled, %d doomed, %d in flight", k, len(n.slots), len(n.vacant), n.pooled(),
				len(n.doomed), n.inFlight)
		}
		for i := range s.table.slots {
			if x := &s.table.slots[i]; x.fd != -1 || x.state != vacant || x.share != nil || x.address != nil {
				t.Errorf("shard %d: slot %d: %+v", k, i, x)
			}
		}
		if n := len(s.addresses.byAddr); n != 0 {
			t.Errorf("shard %d: %d addresses", k, n)
		}
		if _, ok := s.deadlines.next(); ok || s.queued != 0 || len(s.live)+s.ending.len() != 0 {
			t.Errorf("shard %d: a deadline %t, %d queued, %d live and %d ending shares", k, ok, s.queued, len(s.live), s.ending.len())
		}
	}
	for i := range e.doors.all {
		if n := e.doors.all[i].knocking.Load(); n != 0 {
			t.Errorf("%d still knock at port %d", n, i)
		}
	}
}

// TestNothingLeaks: after a million probes (fewer in the short form) of all kinds, by many callers some of whom go away, no
// descriptor, goroutine, slot or place is left, and while they go on there are no more descriptors than may be in flight.
func TestNothingLeaks(t *testing.T) {
	probes := 40_000
	if long() {
		probes = 500_000 // a million in each mode
	}
	const callers, each, inFlight = 16, 250, 1000
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open := testnet.ListenAt(t, portOf(f.loopback(0), 0)) // in the range of ports that probes are sent from
		closed, mute := bound(t, f.loopback(0)), silent(t, f.loopback(0))
		addrs := []netip.AddrPort{open.Addr, closed.Addr, open.Addr, closed.Addr, mute}
		fds, goroutines := openFiles(t), runtime.NumGoroutine()
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: inFlight, MaxInFlightPerAddress: allPorts})
		begun := openFiles(t)
		var left atomic.Int64
		left.Store(int64(probes))
		var working sync.WaitGroup
		for range callers {
			working.Go(func() {
				for n := left.Add(-each); n >= 0; n = left.Add(-each) {
					ctx, cancel := context.WithCancel(context.Background())
					batch, err := e.Submit(ctx, probesOf(each, func(i int) Probe {
						return Probe{Addr: addrs[i%len(addrs)], Timeout: 2 * time.Millisecond}
					}))
					if err != nil {
						t.Error(err)
						cancel()
						return
					}
					if n/each%8 == 0 {
						cancel()
					}
					answers := 0
					for range batch.All() {
						answers++
					}
					cancel()
					if answers != each {
						t.Errorf("%d answers to %d probes", answers, each)
					}
				}
			})
		}
		working.Wait()
		if now := openFiles(t); now > begun+inFlight {
			t.Errorf("%d descriptors beside the %d that may be in flight", now-begun, inFlight)
		}
		e.Close()
		clean(t, e)
		if now := openFiles(t); now != fds {
			t.Errorf("%d descriptors, %d before", now, fds)
		}
		eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
		s := e.Stats()
		answered := uint64(0)
		for _, n := range s.Done {
			answered += n
		}
		if answered != uint64(probes) {
			t.Errorf("%d answers counted to %d probes", answered, probes)
		}
		t.Logf("%d sockets opened for %d handshakes", s.SocketsOpened, s.Started)
	})
}

// TestAddWhileClosing: what Add accepts in the moment of Close is answered all the same.
func TestAddWhileClosing(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			mute := silent(t, families[0].loopback(0))
			refused := 0
			for range 50 {
				e := newEngine(t, Config{Mode: mode, Shards: 2})
				b := e.Open(patient(t))
				begun := make(chan struct{})
				var accepted, answered int
				var adder sync.WaitGroup
				adder.Go(func() {
					for begun := sync.OnceFunc(func() { close(begun) }); ; begun() {
						if err := b.Add(probesOf(40, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} })); err != nil {
							break
						}
						accepted += 40
					}
					b.Finish()
				})
				<-begun
				e.Close()
				adder.Wait()
				for r := range b.All() {
					if r.Outcome != Canceled || !errors.Is(r.Err, ErrClosed) {
						t.Fatal(r.String())
					}
					answered++
				}
				if answered != accepted {
					t.Fatalf("%d answers to %d probes", answered, accepted)
				}
				refused += int(e.refused.Load())
				if n := int(e.Stats().Done[Canceled]); n != accepted {
					t.Fatalf("%d counted of %d", n, accepted)
				}
			}
			if refused == 0 {
				t.Error("no shard was ever found closed: this proves nothing")
			}
		})
	}
}
