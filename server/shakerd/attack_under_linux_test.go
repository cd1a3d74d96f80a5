//go:build !race

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// What an attack may do to the service: its memory stays below attackedRSS, and comes back to at most heapSlack above what the heap
// was before; an honest Check of one target is answered within its deadline.
const (
	// 200,000 outstanding targets of 1 KB are the most that a caller may hold by default; twice, for the collector; and the daemon.
	attackedRSS = 512 << 20
	heapSlack   = 48 << 20
	fdSlack     = 40              // idle sockets of the engine, which has more or fewer of them from one moment to the next
	honestTime  = 5 * time.Second // by far, also where a machine of two cores has another's work to do; the slowest is printed
	backTime    = 30 * time.Second
)

// holdings are what a process holds.
type holdings struct {
	connections                   int // of the evil peer
	descriptors, goroutines, heap int
}

func (s *served) holdings() holdings {
	s.t.Helper()
	// The scrape's own connection and goroutines are among them, before and after.
	h := holdings{
		connections: s.evilConnections(), goroutines: int(s.metric("go_goroutines")), heap: int(s.metric("go_memstats_heap_inuse_bytes")),
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	h.descriptors = len(entries)
	return h
}

// evilConnections counts the service's sockets whose other end is the evil peer, by proc(5)'s net/tcp: a socket that a process
// still holds has an inode. Those that were reset are not there; they stand among the descriptors.
func (s *served) evilConnections() (n int) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	local := fmt.Sprintf("0100007F:%04X", netip.MustParseAddrPort(s.address).Port())
	for l := range strings.Lines(string(text)) {
		f := strings.Fields(l)
		if len(f) > 9 && f[1] == local && strings.HasPrefix(f[2], "0200007F:") && f[9] != "0" {
			n++
		}
	}
	return n
}

// honesty is what an honest caller saw.
type honesty struct {
	checks int
	worst  time.Duration
	err    error
}

// honest makes Checks of one target, each with its deadline, until ctx ends. Between them it lets 2 ms pass.
func (s *served) honest(ctx context.Context, client tcpshakerv1.ShakerServiceClient) (h honesty) {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil && h.err == nil {
		h.err = s.check(client, &h)
		<-pause.C
	}
	return h
}

func (s *served) check(client tcpshakerv1.ShakerServiceClient, h *honesty) error {
	ctx, cancel := context.WithTimeout(context.Background(), honestTime)
	defer cancel()
	began := time.Now()
	targets := []string{s.address, s.place.denied.Addr().String()}
	got, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: targets})
	h.checks++
	h.worst = max(h.worst, time.Since(began))
	switch {
	case err != nil:
		return err
	case got.Results[0].Reason != tcpshakerv1.Reason_REASON_SYN_ACK:
		return fmt.Errorf("the open target: %v", got.Results[0])
	case got.Results[1].Reason != tcpshakerv1.Reason_REASON_POLICY_DENIED:
		return fmt.Errorf("the denied target: %v", got.Results[1])
	}
	return nil
}

// underAttack runs attack, which ends by itself, while an honest caller goes on; and then waits until the service has let go of all that
// it held for the attacker.
func (s *served) underAttack(t *testing.T, attack func(t *testing.T)) {
	t.Helper()
	client := s.client()
	s.settle(t, client)
	before := s.holdings()
	if s.atFirst == 0 {
		s.atFirst = before.descriptors
	}
	first := residentBytes(t, s.pid)

	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	var seen honesty
	group.Go(func() { seen = s.honest(ctx, client) })
	peak := first
	group.Go(func() {
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for ctx.Err() == nil {
			peak = max(peak, residentBytes(t, s.pid))
			<-look.C
		}
	})
	began := time.Now()
	attack(t)
	length := time.Since(began)
	s.comesBack(t, client, before)
	cancel()
	group.Wait()

	t.Logf("%v; RSS %d MB before, at most %d MB; %d honest checks, the slowest %v",
		length.Round(time.Millisecond), first>>20, peak>>20, seen.checks, seen.worst.Round(100*time.Microsecond))
	if now := s.holdings().descriptors; now > s.atFirst+fdSlack {
		t.Errorf("%d descriptors, and %d before the first attack", now, s.atFirst)
	}
	if seen.err != nil {
		t.Errorf("the honest caller's check %d: %v", seen.checks, seen.err)
	}
	if peak > attackedRSS && !raced {
		t.Errorf("%d MB resident, want at most %d", peak>>20, attackedRSS>>20)
	}
}

// settle makes what the service keeps for ever, such as its sockets for probes, be there.
func (s *served) settle(t *testing.T, client tcpshakerv1.ShakerServiceClient) {
	t.Helper()
	targets := make([]string, 5000)
	for i := range targets {
		targets[i] = s.address
	}
	if _, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targets}); err != nil {
		t.Fatal(err)
	}
}

// comesBack waits until the service holds what it held before. Checks meanwhile make garbage, so that it is collected.
func (s *served) comesBack(t *testing.T, client tcpshakerv1.ShakerServiceClient, before holdings) {
	t.Helper()
	const few = 10 // of net/http's, and of the service's timers
	began := time.Now()
	for {
		now := s.holdings()
		if now.connections <= before.connections && now.descriptors <= before.descriptors+fdSlack &&
			now.goroutines <= before.goroutines+few && now.heap <= before.heap+heapSlack {
			t.Logf("back after %v: %+v, was %+v; RSS %d MB", time.Since(began).Round(time.Millisecond), now, before,
				residentBytes(t, s.pid)>>20)
			return
		}
		if time.Since(began) > backTime {
			t.Errorf("not back after %v: %+v, was %+v", backTime, now, before)
			return
		}
		s.settle(t, client)
	}
}
