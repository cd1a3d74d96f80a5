package shaker

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// family is one of the two versions of the Internet Protocol, for tests that hold for both.
type family struct {
	name string
	v6   bool
}

var families = []family{{"ipv4", false}, {"ipv6", true}}

// loopback returns the k-th loopback address of the family; IPv6 has but one.
func (f family) loopback(k int) netip.Addr {
	if f.v6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + k)})
}

var modes = []Mode{Reuse, Fresh}

// everywhere runs a test over both modes and both families.
func everywhere(t *testing.T, test func(t *testing.T, mode Mode, f family)) {
	for _, mode := range modes {
		for _, f := range families {
			t.Run(mode.String()+"/"+f.name, func(t *testing.T) { test(t, mode, f) })
		}
	}
}

// allPorts as Config.MaxInFlightPerAddress leaves half the range of local ports as the only bound.
const allPorts = MaxMaxInFlightPerAddress

// newEngine starts an engine that ends with the test and then has left nothing open.
func newEngine(t testing.TB, c Config) *Engine {
	t.Helper()
	before := openFiles(t)
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if now := openFiles(t); now > before {
			t.Errorf("%d files open after Close, %d before New", now, before)
		}
	})
	return e
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// The sockets that tests knock at, see package testnet.
type listener = testnet.Listener

func listen(t testing.TB, ip netip.Addr) *listener { return testnet.Listen(t, ip) }

func bound(t testing.TB, ip netip.Addr) *listener { return testnet.Bind(t, ip, unix.IPPROTO_TCP) }

func silent(t testing.TB, ip netip.Addr) netip.AddrPort { return testnet.Silent(t, ip) }

func portOf(ip netip.Addr, port int) netip.AddrPort { return netip.AddrPortFrom(ip, uint16(port)) }

// collect reads a batch to its end and returns its results by ID, of which each must be there once.
func collect(t testing.TB, b *Batch, n int) []Result {
	t.Helper()
	all := make([]Result, n)
	count := 0
	const quiet = patience / 4 // without a result
	late := time.NewTimer(quiet)
	defer late.Stop()
	for more := true; more; {
		var results []Result
		results, more = b.Take()
		for i := range results {
			r := &results[i]
			if r.ID >= uint64(n) || all[r.ID].Outcome != Unspecified {
				t.Fatalf("result %d: unasked for, or a second time", r.ID)
			}
			if r.Outcome == Unspecified {
				t.Fatalf("result %d: no outcome", r.ID)
			}
			all[r.ID] = *r
			count++
		}
		if more {
			select {
			case <-b.Ready():
				late.Reset(quiet)
			case <-late.C:
				t.Fatalf("no more results after %d of %d", count, n)
			}
		}
	}
	if count != n {
		t.Fatalf("%d results of %d", count, n)
	}
	return all
}

// patience bounds what a test waits for; it is reached only by a failure.
const patience = 30 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
