package shaker

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// idleWorth is what an idle engine may use of a processor, with the process that it is in.
const idleWorth = 0.001

// idleness is what an engine did while it had nothing to do.
type idleness struct{ Turns, Wakes uint64 }

// TestIdleCostsNothing: an engine that has had work of every kind, and has retired its idle sockets, makes no turn any more until
// it gets work again, and uses no processor. It is in a process of its own, and its time is read from outside, so that nothing
// else is measured: what it takes to ask and to wait would be a fifth of what is allowed, and at times all of it.
func TestIdleCostsNothing(t *testing.T) {
	var me struct{ Mode Mode }
	if isProcess(t, &me) {
		idleProber(t, me.Mode)
		return
	}
	testnet.Private(t)
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			p := startProcess(t, "TestIdleCostsNothing", struct{ Mode Mode }{mode})
			p.await(t, "idle")
			<-time.NewTimer(50 * time.Millisecond).C // what it took to say so is no idleness
			length := time.Second
			if long() {
				length = 20 * time.Second // less than patience
			}
			before, began := processorTime(t, p.Process.Pid), time.Now()
			if before == 0 {
				t.Fatal("it has worked without a processor: this kernel does not tell")
			}
			<-time.NewTimer(length).C
			used, took := processorTime(t, p.Process.Pid)-before, time.Since(began)
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			var idle idleness
			if err := json.NewDecoder(p.out).Decode(&idle); err != nil {
				t.Fatal(err)
			}
			p.rest(t)
			t.Logf("idle for %s: %d turns, %d wakes, %s of processor time", took, idle.Turns, idle.Wakes, used)
			if idle.Turns != 0 || idle.Wakes != 0 {
				t.Errorf("%d turns and %d wakes without anything to do", idle.Turns, idle.Wakes)
			}
			if most := time.Duration(idleWorth * float64(took)); used > most {
				t.Errorf("%s of processor time without anything to do, want at most %s", used, most)
			}
		})
	}
}

// idleProber works, is idle until its input ends (a signal could reach a loop, which would make a turn), says what it did meanwhile, and works again.
func idleProber(t *testing.T, mode Mode) {
	f := families[0]
	open, closed, mute := listen(t, f.loopback(0)), bound(t, f.loopback(0)), silent(t, f.loopback(0))
	e := newEngine(t, Config{Mode: mode, Shards: 2, Rate: 10_000, hooks: hooks{idle: 20 * time.Millisecond}})
	work := func() {
		b, err := e.Submit(patient(t), probesOf(300, func(i int) Probe {
			switch i % 3 {
			case 0:
				return Probe{Addr: open.Addr, Timeout: patience}
			case 1:
				return Probe{Addr: closed.Addr, Timeout: patience}
			default:
				return Probe{Addr: mute, Timeout: 10 * time.Millisecond}
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		collect(t, b, 300)
	}
	work()
	eventually(t, "idle sockets are retired", func() bool {
		s := e.Stats()
		return s.Pooled+s.InFlight+s.Queued == 0
	})
	<-time.NewTimer(50 * time.Millisecond).C // the last turns, and Go's own work after so many goroutines
	before := e.Stats()
	fmt.Println("idle")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	after := e.Stats()
	if err := json.NewEncoder(os.Stdout).Encode(idleness{after.Turns - before.Turns, after.Wakes - before.Wakes}); err != nil {
		t.Fatal(err)
	}
	work()
}

// processorTime is what all threads of a process have used, by the clock that clock_getcpuclockid(3) names.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|unix.CLOCK_PROCESS_CPUTIME_ID), &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}
