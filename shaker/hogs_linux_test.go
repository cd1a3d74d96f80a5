package shaker

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hog, in the environment of a test binary, makes it do nothing but use a processor, for so long.
const hog = "TCPSHAKER_HOG"

// TestBudgetUnderLoad: at saturation, with eight processes beside that want all processors for themselves, no loop is away from its
// sockets for so long that the kernel sends a held-back ACK: no silence is broken, and none of the listeners notices anybody. A
// thread that only reads the clock tells what this machine does to any thread: where that is kept waiting for 60 ms, three
// such waits in a row, of the threads that a loop moves between, are too long, a loop has no say in it, and the test begins
// again. But what was noticed then is not called proven, and is the few handshakes that such stops have met: a turn
// starts 16.
func TestBudgetUnderLoad(t *testing.T) {
	if text, ok := os.LookupEnv(hog); ok {
		burn(t, text)
		return
	}
	length := 700 * time.Millisecond
	if long() {
		length = 5 * time.Second
	}
	const hogs, tries = 8, 3
	startHogs(t, hogs, 4*tries*length+patience)
	for _, mode := range modes {
		for _, f := range families {
			if (mode == Fresh) == f.v6 || long() {
				t.Run(mode.String()+"/"+f.name, func(t *testing.T) { budget(t, mode, f, length, hogs, tries) })
			}
		}
	}
}

func budget(t *testing.T, mode Mode, f family, length time.Duration, hogs, tries int) {
	for try := 1; ; try++ {
		s := saturate(t, mode, f, length)
		t.Logf("%d probes beside %d hogs: longest turn %s, any thread's longest wait %s; silence proven %d, unproven %d, broken %d; %d noticed",
			s.Started, hogs, s.LongestTurn, s.anyThread, s.SilenceProven, s.SilenceUnproven, s.SilenceBroken, s.noticed)
		if uint64(s.noticed) > s.SilenceBroken+s.SilenceUnproven+s.abandoned {
			t.Fatal("handshakes were noticed whose silence is called proven")
		}
		switch {
		case s.SilenceBroken == 0 && s.noticed == 0:
			return
		case s.anyThread < 60*time.Millisecond || uint64(s.noticed) > max(500, s.Started/10):
			t.Fatalf("%d silences broken, %d handshakes were noticed; longest turn %s", s.SilenceBroken, s.noticed, s.LongestTurn)
		case try == tries:
			t.Log("this machine keeps every thread waiting: this proves nothing")
			return
		}
	}
}

// saturation is what came of probing as fast as can be.
type saturation struct {
	Stats
	noticed   int           // handshakes, by the listeners
	abandoned uint64        // handshakes, at the end: nothing is said of their silence
	anyThread time.Duration // for how long a thread that only reads the clock was not let to
}

// saturate has an engine of two shards probe listeners as fast as it can, for a time.
func saturate(t *testing.T, mode Mode, f family, length time.Duration) (s saturation) {
	t.Helper()
	const listeners, several = 500, 2000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 2)) // as the service has it, and for that thread
	all := make([]*listener, listeners)
	for i := range all {
		all[i] = listen(t, f.loopback(i%100))
	}
	var witness sync.WaitGroup
	var enough atomic.Bool
	witness.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for last := clock(); !enough.Load(); {
			now := clock()
			s.anyThread, last = max(s.anyThread, time.Duration(now-last)), now
		}
	})
	defer func() {
		enough.Store(true) // also where the test ends here
		witness.Wait()
	}()
	e := newEngine(t, Config{Mode: mode, Shards: 2})
	ctx, cancel := context.WithCancel(patient(t))
	b := e.Open(ctx)
	probes := probesOf(several, func(i int) Probe { return Probe{Addr: all[i%listeners].Addr, Timeout: patience} })
	until, over := time.Now().Add(length), false
	for owed := 0; !over || owed > 0; {
		for !over && owed <= 3*several { // so that no loop runs dry
			if err := b.Add(probes); err != nil {
				t.Fatal(err)
			}
			owed += several
		}
		results, _ := b.Next()
		for i := range results {
			r := &results[i]
			switch {
			case over && r.Outcome == Canceled && r.Sent():
				s.abandoned++
			case r.Outcome != Open && !(over && r.Outcome == Canceled):
				t.Fatal(r.String())
			}
		}
		owed -= len(results)
		if !over && time.Now().After(until) {
			over = true
			cancel()
		}
	}
	b.Finish()
	b.Take()
	cancel()
	e.Close()
	enough.Store(true)
	witness.Wait()
	for _, l := range all {
		s.noticed += l.Noticed(t)
	}
	s.Stats = e.Stats()
	return s
}

// startHogs starts processes that use all the processor they get until the test ends, or for as long as is given. Each has a session
// of its own, as services have: those of one session are a group to the scheduler (autogroup, sched(7)), and the tests are in one.
func startHogs(t *testing.T, n int, most time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	running := make([]*exec.Cmd, n)
	t.Cleanup(func() {
		cancel()
		for _, cmd := range running {
			if cmd != nil {
				_ = cmd.Wait() // killed
			}
		}
	})
	for i := range running {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), hog+"="+most.String(), "GOMAXPROCS=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running[i] = cmd
	}
}

// burn is what a hog does. It ends with its parent too.
func burn(t *testing.T, text string) {
	t.Helper()
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	parent := unix.Getppid()
	for until := time.Now().Add(length); time.Now().Before(until) && unix.Getppid() == parent; {
		for range 1_000_000 {
			_ = clock()
		}
	}
}
