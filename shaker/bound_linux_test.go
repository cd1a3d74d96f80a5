package shaker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// TestMemoryBounds: where tcp_mem allows four probes in flight, no more are. The others wait, their timeouts not begun, and end with
// their context without having sent anything.
func TestMemoryBounds(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes, bound, timeout = 20, 4, 30 * time.Millisecond
		mute := silent(t, f.loopback(0))
		tap := testnet.NewTap(t, "lo", nil)
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{tcpMem: func() tcpMemory { return tcpMemory{pressure: 2*bound + 1} }}})
		s := e.Stats()
		want := fmt.Sprintf("4: asked for 8192, descriptors allow %d, tcp_mem 4", s.InFlightBound.Descriptors)
		if s.MaxInFlight != bound || s.InFlightBound.Memory != bound || s.MaxInFlightDetail != want {
			t.Fatalf("%d in flight at most, %q, want %q", s.MaxInFlight, s.MaxInFlightDetail, want)
		}
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: timeout} }))
		if err != nil {
			t.Fatal(err)
		}
		results := collect(t, batch, probes)
		for i, r := range results {
			if waited := time.Duration(i/bound) * timeout; r.Outcome != TimedOut || r.Elapsed < timeout || r.Queued < waited {
				t.Errorf("probe %d: %s, queued %s, elapsed %s; want at least %s and %s", i, r.String(), r.Queued, r.Elapsed, waited, timeout)
			}
		}
		if n := onTheWire(t, e, tap, results, "SYN"); n != probes {
			t.Errorf("%d SYNs on the wire, want %d", n, probes)
		}

		cause := errors.New("the caller went away")
		ctx, cancel := context.WithCancelCause(patient(t))
		if batch, err = e.Submit(ctx, probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} })); err != nil {
			t.Fatal(err)
		}
		// The last place is kept for another batch.
		eventually(t, "all but one place are taken", func() bool { return e.Stats().InFlight == bound-1 })
		cancel(cause)
		sent := 0
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Canceled || !errors.Is(r.Err, cause) {
				t.Error(r.String())
			}
			if r.Sent() {
				sent++
			}
		}
		if sent != bound-1 {
			t.Errorf("%d had sent a SYN, want %d", sent, bound-1)
		}
	})
}

// TestTCPMemoryIsRead: from the machine's first network namespace, and elsewhere it follows from the memory, near to what the
// kernel has made of that. Both are half of the bound in Stats.
func TestTCPMemoryIsRead(t *testing.T) {
	m := readTCPMemory()
	if _, err := os.Stat("/proc/sys/net/ipv4/tcp_mem"); (err != nil) != m.derived || m.pressure < 128 {
		t.Errorf("%+v; %v", m, err)
	}
	if b := newEngine(t, Config{}).Stats().InFlightBound; b.Memory != clamp(m.pressure/2) || b.MemoryDerived != m.derived {
		t.Errorf("%+v, want half of %+v", b, m)
	}
}

// TestSilenceHoldsAPage: what the bound is made of. A probe that meets silence holds a page of tcp_mem, and gives it back. The
// kernel counts up to 256 pages in each processor before it adds them up (SK_MEMORY_PCPU_RESERVE, include/net/sock.h), and
// for the whole machine, where others come and go meanwhile.
func TestSilenceHoldsAPage(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes, places = 8000, 10_000 // of which one batch may not have all
		mute := silent(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: places, MaxInFlightPerAddress: allPorts})
		if s := e.Stats(); s.MaxInFlight < places {
			testnet.Skip(t, "too few in flight: "+s.MaxInFlightDetail)
		}
		ctx, cancel := context.WithCancel(patient(t))
		before := tcpPages(t)
		batch, err := e.Submit(ctx, probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: time.Hour} }))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "all are in flight", func() bool { return e.Stats().InFlight == probes })
		held := tcpPages(t) - before
		cancel()
		collect(t, batch, probes)
		eventually(t, "their sockets are closed", func() bool { return e.Stats().InFlight == 0 })
		left := tcpPages(t) - before
		t.Logf("%d silent probes hold %d pages of tcp_mem, %.2f each; %d when they are gone", probes, held, float64(held)/probes, left)
		if held < probes/2 || held > probes*3/2 || held-left < probes/2 {
			t.Errorf("%d pages for %d probes, and %d after", held, probes, left)
		}
	})
}

// tcpPages is how many pages TCP holds, on the whole machine: proc(5), /proc/net/sockstat.
func tcpPages(t *testing.T) (pages int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/sockstat")
	if err != nil {
		t.Fatal(err)
	}
	_, tcp, _ := strings.Cut(string(text), "TCP: ")
	_, mem, _ := strings.Cut(tcp, " mem ")
	if _, err := fmt.Sscan(mem, &pages); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return pages
}
