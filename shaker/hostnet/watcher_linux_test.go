package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	os.Exit(testnet.Main(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}))
}

// find judges one packet by a Look of its own.
func find(w *Watcher, p *Packet) Finding {
	l := w.Look()
	return l.Find(p)
}

func watch(t *testing.T) (*Watcher, func() int64) {
	t.Helper()
	began := time.Now()
	now := func() int64 { return int64(time.Since(began)) }
	w, err := Open(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, now
}

// TestRealNetwork: what this kernel reports is found, for a packet that left before, and not for
// one that leaves after.
func TestRealNetwork(t *testing.T) {
	w, now := watch(t)
	wire := testnet.NewWire(t, 1, func(*testnet.Peer, *testnet.Segment) {})
	for _, v6 := range []bool{false, true} {
		packet := func() *Packet {
			return &Packet{Source: netip.AddrPortFrom(wire.Own(v6), 40000), Target: netip.AddrPortFrom(wire.Target(v6), 443), Since: now()}
		}
		for _, c := range []struct {
			name    string
			do      func() error
			undo    func() error
			want    Loss
			passing Loss // once it is undone
		}{
			{"address", func() error { return wire.DeleteAddress(wire.Own(v6)) }, func() error { return wire.Mend(v6) }, AddressLost, AddressLost},
			{"route", func() error { return wire.DeleteRoute(v6) }, func() error { return wire.AddRoute(v6) }, RouteLost, RouteLost},
			{"carrier", func() error { return wire.SetCarrier(false) }, func() error { return wire.SetCarrier(true) }, CarrierLost, CarrierLost},
			{"link", func() error { return wire.SetUp(false) }, func() error {
				return errors.Join(wire.SetUp(true), wire.Mend(false), wire.Mend(true))
			}, LinkDown, LinkDown},
		} {
			// A message about the carrier can be a second late. It counts from when it comes, so a
			// new wire is quiet only then.
			await(t, "a quiet wire before "+c.name, func() bool { return find(w, packet()) == Finding{} })
			p := packet()
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			if got := find(w, p); got.Loss != c.want {
				t.Errorf("%s, IPv6 %t: %v, want %v", c.name, v6, got, c.want)
			}
			if err := c.undo(); err != nil {
				t.Fatal(err)
			}
			if got := find(w, p); got.Loss != c.passing {
				t.Errorf("%s and back, IPv6 %t: %v, want %v", c.name, v6, got, c.passing)
			}
		}
	}
	for ip, own := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "100.64.1.1": true, "100.64.1.2": false, "192.0.2.1": false, "2001:db8:64:1::1": true,
	} {
		w.Look() // reads what has come
		if got := w.State().Own(netip.MustParseAddr(ip)); got != own {
			t.Errorf("%s: own %t", ip, got)
		}
	}
}

// TestLostMessagesAreNoticed: when the kernel has dropped messages, what was under way is unsure,
// and the new state is right.
func TestLostMessagesAreNoticed(t *testing.T) {
	wire := testnet.NewWire(t, 1, func(*testnet.Peer, *testnet.Segment) {})
	w, now := watch(t)
	p := Packet{Source: netip.AddrPortFrom(wire.Own4, 40000), Target: netip.AddrPortFrom(wire.Target4, 443), Since: now()}
	w.mu.Lock() // nobody reads meanwhile
	for range 4000 {
		if err := wire.AddAddress(wire.Other4); err != nil {
			t.Fatal(err)
		}
		if err := wire.DeleteAddress(wire.Other4); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Unlock()
	if got := find(w, &p); got.Loss != Unsure {
		t.Fatalf("%v, want unsure: did the buffer hold all of it?", got)
	}
	p.Since = now()
	if got := find(w, &p); got != (Finding{}) {
		t.Errorf("a packet that left later: %v", got)
	}
	if s := w.State(); !s.Own(wire.Own4) || s.Own(wire.Other4) {
		t.Error("the state is not the host's")
	}
}

// TestFailedReadingIsMadeAgain: if the host cannot be read after messages were lost, everything is
// unsure until it can.
func TestFailedReadingIsMadeAgain(t *testing.T) {
	wire := testnet.NewWire(t, 1, func(*testnet.Peer, *testnet.Segment) {})
	w, now := watch(t)
	packet := func() *Packet {
		return &Packet{Source: netip.AddrPortFrom(wire.Other4, 40000), Target: netip.AddrPortFrom(wire.Target4, 443), Since: now()}
	}
	w.mu.Lock()
	if err := wire.AddAddress(wire.Other4); err != nil {
		t.Fatal(err)
	}
	w.discard() // the message of the new address is lost
	works := w.query
	w.query = &query{fd: -1, answer: works.answer}
	w.latest.Store(w.again(w.latest.Load()))
	w.mu.Unlock()
	if got := find(w, packet()); got.Loss != Unsure {
		t.Errorf("while the host cannot be read: %v", got)
	}
	w.mu.Lock()
	w.query = works
	w.mu.Unlock()
	before := packet()
	if got := find(w, before); got.Loss != Unsure {
		t.Errorf("a packet that left before the reading: %v", got)
	}
	if got := find(w, packet()); got != (Finding{}) || !w.State().Own(wire.Other4) {
		t.Errorf("a packet that left after it: %v", got)
	}
}

// TestOnlyTheKernelIsBelieved: a message of another process does not change the state.
func TestOnlyTheKernelIsBelieved(t *testing.T) {
	w, _ := watch(t)
	name, err := unix.Getsockname(w.events)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	forged := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	forged[0], forged[4] = byte(len(forged)), unix.RTM_DELLINK
	forged[unix.SizeofNlMsghdr+4] = 1
	before := w.State()
	if err := unix.Sendto(fd, forged, 0, name); err != nil {
		t.Fatal(err)
	}
	w.Look()
	if _, ok := w.State().links[1]; !ok || w.State() != before {
		t.Error("the forged message was believed")
	}
}

// FuzzMessages: whatever comes changes the state or not, and ends.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{36, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 8, 0, 48, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{16, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newState()
		for _, kind := range []uint16{unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWROUTE, unix.RTM_DELROUTE} {
			apply(s, kind, unix.NLM_F_REPLACE, b, 1)
		}
		eachMessage(b, func(h *unix.NlMsghdr, body []byte) { apply(s, h.Type, h.Flags, body, 2) })
		for prefix, n := range s.locals {
			if n < 1 || !prefix.IsValid() {
				t.Fatalf("%s is there %d times", prefix, n)
			}
		}
	})
}

// await waits for something that is bound to happen.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		if happened() {
			return
		}
		<-tick.C
	}
	t.Fatalf("not within 30 s: %s", what)
}
