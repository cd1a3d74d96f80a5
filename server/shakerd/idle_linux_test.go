package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// What an idle daemon may use: of a processor a thousandth, and of memory 25 MB, the binary's own pages included.
const (
	idleWorth = 0.001
	idleRSS   = 25 << 20
)

// TestIdleCostsNothing: a daemon that has served, with its caller still connected, uses next to no processor and little memory.
func TestIdleCostsNothing(t *testing.T) {
	length := 2 * time.Second
	if os.Getenv("TRUTH") == "long" {
		length = time.Minute
	}
	p, start := spawn(t, nil, nil, "--listen", "127.0.0.1:0")
	address := start.addresses(t)[0]
	client := dial(t, address)
	targets := make([]string, 1000)
	for i := range targets {
		targets[i] = address
	}
	got, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.Results {
		if r.Verdict != tcpshakerv1.Verdict_VERDICT_REACHABLE {
			t.Fatalf("%v", r)
		}
	}
	<-time.NewTimer(100 * time.Millisecond).C // what follows upon an RPC is no idleness
	before, began := processorTime(t, p.Process.Pid), time.Now()
	if before == 0 {
		t.Fatal("it has served without a processor: this kernel does not tell")
	}
	<-time.NewTimer(length).C
	used, took := processorTime(t, p.Process.Pid)-before, time.Since(began)
	rss := residentBytes(t, p.Process.Pid)
	t.Logf("idle for %s: %s of processor time; %.1f MB resident", took, used, float64(rss)/(1<<20))
	if most := time.Duration(idleWorth * float64(took)); used > most {
		t.Errorf("%s of processor time in %s without anything to do, want at most %s", used, took, most)
	}
	if rss > idleRSS && !raced {
		t.Errorf("%d bytes resident, want at most %d", rss, idleRSS)
	}
	p.signal(t, syscall.SIGTERM)
	p.exit(t)
}

// processorTime is what the threads of a process have used: the first number of each /proc/PID/task/TID/schedstat, in ns
// (Documentation/scheduler/sched-stats.rst). /proc/PID/stat has it in hundredths of a second.
func processorTime(t *testing.T, pid int) (used time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		var ns int64
		if err == nil {
			_, err = fmt.Sscan(string(text), &ns)
		}
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(ns)
	}
	return used
}

// residentBytes is VmRSS of proc(5).
func residentBytes(t *testing.T, pid int) (bytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return bytes << 10
}
