package shaker

import (
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// TestErrorsStayBehind: an ICMP message that comes after the SYN-ACK leaves its errno in the
// socket. The next target on that socket is silent, and is called nothing else.
func TestErrorsStayBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		unreachable, code := byte(3), byte(13)
		if f.v6 {
			unreachable, code = 1, 1
		}
		sent := make(chan struct{}, 1)
		open, router := f.target(1), f.target(250).Addr()
		testnet.NewPeer(t, func(p *testnet.Peer, s *testnet.Segment) {
			if s.Flags != testnet.SYN || s.To != open {
				return
			}
			p.Send(s.SYNACK(true))
			// What a stateful firewall says to the bare ACK that it expects, and what comes late.
			p.ICMPQuoting(testnet.Segment{From: s.From, To: s.To, Flags: testnet.ACK, Seq: s.Seq + 1}, router, unreachable, code)
			sent <- struct{}{}
		})
		e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1, hooks: hooks{stall: func() { <-sent }}})
		for k := range 20 {
			check(t, e, patient(t), open, patience, Open)
			if r := check(t, e, patient(t), f.target(2), 5*time.Millisecond, TimedOut); r.Errno != 0 || r.Cause != NoCause {
				t.Fatalf("silent target %d: %s", k, r.String())
			}
		}
	})
}

// TestErrnosAfterTheSYN: a SYN that cannot be sent again is our own trouble by the kernel's word
// alone, without netlink; the engine says what it then cannot see.
func TestErrnosAfterTheSYN(t *testing.T) {
	blind := hooks{witness: func() (*witness, error) { return nil, os.NewSyscallError("socket", unix.EAFNOSUPPORT) }}
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: blind})
		if detail := e.Stats().ModeDetail; detail != "as configured; events of this host's own network are not seen "+
			"(socket: address family not supported by protocol)" {
			t.Errorf("mode detail %q", detail)
		}
		came := make(chan struct{}, 10)
		w := testnet.NewWire(t, 1, func(*testnet.Peer, *testnet.Segment) { came <- struct{}{} })
		b, err := e.Submit(patient(t), []Probe{{Addr: netip.AddrPortFrom(w.Target(f.v6), 443), Timeout: 1200 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		<-came
		if err := w.DeleteRoute(f.v6); err != nil {
			t.Fatal(err)
		}
		if r := collect(t, b, 1)[0]; r.Outcome != LocalError || r.Cause != NoRoute || r.Event != RouteLost || !r.Sent() {
			t.Errorf("%s", r.String())
		}
	})
}

// TestPatienceIsTheProbes: the kernel goes on as long as the probe's timeout says, whatever
// net.ipv4.tcp_syn_retries does.
func TestPatienceIsTheProbes(t *testing.T) {
	testnet.Private(t)
	testnet.Sysctl(t, "net/ipv4/tcp_syn_retries", "1")
	if _, err := os.Stat("/proc/sys/net/ipv4/tcp_syn_linear_timeouts"); err == nil {
		testnet.Sysctl(t, "net/ipv4/tcp_syn_linear_timeouts", "0")
	}
	const answer, timeout = 3300 * time.Millisecond, 6 * time.Second // one SYN more means 3 s
	testnet.NewPeer(t, func(p *testnet.Peer, s *testnet.Segment) {
		if s.Flags == testnet.SYN && p.SYNs(s) == 1 {
			p.After(answer, func() { p.Send(s.SYNACK(false)) })
		}
	})
	var batches []*Batch
	var engines []*Engine
	for _, mode := range modes {
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		engines = append(engines, e)
		var probes []Probe
		for i, f := range families {
			probes = append(probes, Probe{ID: uint64(i), Addr: f.target(1), Timeout: timeout})
		}
		b, err := e.Submit(patient(t), probes)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	for i, b := range batches {
		for _, r := range collect(t, b, len(families)) {
			if r.Outcome != Open || r.Elapsed < answer {
				t.Errorf("%s: %s after %s", modes[i], r.String(), r.Elapsed)
			}
		}
		engines[i].Close() // which a later one's count of open files would find
	}
}

// TestNoAddressToSendFrom: a host without an address of a family, or with one to which the target
// cannot answer, has no way to the target. That is neither the target's silence nor a want of
// ports. An answer to a link-local address is one all the same.
func TestNoAddressToSendFrom(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			e := newEngine(t, Config{Mode: mode, Shards: 1})
			var answers atomic.Bool
			w := testnet.NewWire(t, 1, func(p *testnet.Peer, s *testnet.Segment) {
				if s.Flags == testnet.SYN && answers.Load() {
					p.Send(s.SYNACK(true))
				}
			})
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			noSource := func(what string, addr netip.AddrPort) {
				t.Helper()
				r, err := e.Check(patient(t), addr, 5*time.Millisecond)
				if err != nil || r.Outcome != LocalError || r.Cause != NoRoute || r.Event != NoSource {
					t.Errorf("%s: %s from %s, %v", what, r.String(), r.Source, err)
				}
			}
			must(w.DeleteAddress(w.Own4))
			must(w.FreeRoute(false))
			must(w.DeleteAddress(w.Own6))
			must(w.AddAddress(netip.MustParseAddr("fe80::5")))
			must(w.FreeRoute(true))
			to4, to6 := netip.AddrPortFrom(w.Target4, 443), netip.AddrPortFrom(w.Target6, 443)
			noSource("from 0.0.0.0", to4)
			noSource("from a link-local address", to6)
			answers.Store(true)
			noSource("from 0.0.0.0, to which the kernel lets nobody answer", to4)
			if r := check(t, e, patient(t), to6, patience, Open); !r.Source.Addr().IsLinkLocalUnicast() {
				t.Errorf("sent from %s", r.Source)
			}
			answers.Store(false) // a router translates the address: one has answered
			check(t, e, patient(t), to6, 5*time.Millisecond, TimedOut)
			testnet.Sysctl(t, "net/ipv6/conf/all/disable_ipv6", "1")
			noSource("IPv6 disabled", netip.MustParseAddrPort("[::1]:443"))
			if n := e.Stats().PortsExhausted; n != 0 {
				t.Errorf("%d ports exhausted", n)
			}
		})
	}
}
