package shaker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// target returns the k-th host behind the tun device.
func (f family) target(k int) netip.AddrPort {
	if f.v6 {
		return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:2::%x", 0x100+k)), 443)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 1, byte(k)}), 443)
}

func (f family) unspecified() netip.Addr {
	if f.v6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// router is a host of the network that nobody probes.
func (f family) router() netip.Addr {
	if f.v6 {
		return netip.MustParseAddr("2001:2::ffff")
	}
	return netip.AddrFrom4([4]byte{198, 18, 255, 254})
}

// prohibited is the message of a firewall.
func (f family) prohibited() ICMP {
	if f.v6 {
		return ICMP{1, 1, f.router()}
	}
	return ICMP{3, 13, f.router()}
}

// onlySYN makes a script for the SYNs alone.
func onlySYN(answer func(p *testnet.Peer, syn *testnet.Segment)) func(*testnet.Peer, *testnet.Segment) {
	return func(p *testnet.Peer, s *testnet.Segment) {
		if s.Flags&(testnet.SYN|testnet.ACK) == testnet.SYN {
			answer(p, s)
		}
	}
}

// TestOnTheWire: an open port sees SYN, SYN-ACK, RST, and never an ACK; a closed one SYN and RST; a silent one a SYN.
func TestOnTheWire(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open, closed, mute := f.target(1), f.target(2), f.target(3)
		peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			switch syn.To {
			case open:
				p.Send(syn.SYNACK(true))
			case closed:
				p.Send(syn.RST())
			}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for range 5 {
			for _, c := range []struct {
				to      netip.AddrPort
				timeout time.Duration
				outcome Outcome
				wire    []string
			}{
				{open, patience, Open, []string{"SYN", "SYN-ACK", "RST"}},
				{closed, patience, Refused, []string{"SYN", "RST"}},
				{mute, 20 * time.Millisecond, TimedOut, []string{"SYN"}},
			} {
				r, err := e.Check(patient(t), c.to, c.timeout)
				if err != nil || r.Outcome != c.outcome || c.outcome == Open && r.Silence != Proven && !stopped(e) {
					t.Fatalf("%s, silence %s, %v", r.String(), r.Silence, err)
				}
				if c.outcome == Open && r.Silence != Proven {
					continue // the loop was stopped: there may be an ACK
				}
				eventually(t, fmt.Sprintf("%v on the wire", c.wire), func() bool {
					wire := peer.Flow(r.Source, c.to)
					if len(wire) > len(c.wire) || !slices.Equal(wire, c.wire[:len(wire)]) {
						t.Fatalf("%v on the wire, want %v; silence %s", wire, c.wire, r.Silence)
					}
					return len(wire) == len(c.wire)
				})
			}
		}
	})
}

// TestICMPOnTheWire: every type and code that ends a handshake, from a router, gives its cause, its sender and its numbers, and
// the next probes of the shard, to a black hole and to an open port, are right.
func TestICMPOnTheWire(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		open, mute := f.target(1), f.target(2)
		messages := [][2]byte{{11, 0}, {12, 0}}
		for code := range byte(16) {
			if code != 4 { // fragmentation needed is no end
				messages = append(messages, [2]byte{3, code})
			}
		}
		if f.v6 {
			messages = [][2]byte{{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {3, 0}, {4, 0}}
		}
		answers := map[netip.AddrPort][2]byte{}
		for k, m := range messages {
			answers[f.target(10+k)] = m
		}
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			if syn.To == open {
				p.Send(syn.SYNACK(true))
			} else if m, ok := answers[syn.To]; ok {
				p.ICMP(syn, f.router(), m[0], m[1])
			}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for to, m := range answers {
			r, err := e.Check(patient(t), to, patience)
			want := ICMP{m[0], m[1], f.router()}
			if err != nil || r.Outcome != Unreachable || r.ICMP != want || r.Cause != want.cause() || r.Errno == 0 {
				t.Errorf("%s: %s, icmp %s, %v", want, r.String(), r.ICMP, err)
			}
			if n := e.Stats().Pooled; n != 0 { // another message can be in its queue
				t.Errorf("%s: %d sockets in the pool", want, n)
			}
			check(t, e, patient(t), mute, 5*time.Millisecond, TimedOut)
			check(t, e, patient(t), open, patience, Open)
		}
	})
}

// TestRoutesThatLeadNowhere: nothing is sent, so it is our own trouble.
func TestRoutesThatLeadNowhere(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		testnet.NewPeer(t, func(*testnet.Peer, *testnet.Segment) {})
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		away := netip.MustParseAddrPort("192.0.2.1:80")
		if f.v6 {
			away = netip.MustParseAddrPort("[2001:db8::1]:80")
		}
		r, err := e.Check(patient(t), away, patience)
		if err != nil || r.Outcome != LocalError || r.Cause != NoRoute || r.Errno != unix.ENETUNREACH || r.Sent() {
			t.Errorf("no route: %s, %v", r.String(), err)
		}
		for k, c := range []struct {
			kind  testnet.RouteKind
			errno unix.Errno
			cause Cause
		}{
			{testnet.Blackhole, unix.EINVAL, NoRoute},
			{testnet.Unreachable, unix.EHOSTUNREACH, NoRoute},
			{testnet.Prohibit, unix.EACCES, LocalFiltered},
		} {
			to := f.target(100 + k)
			testnet.Route(t, c.kind, netip.PrefixFrom(to.Addr(), to.Addr().BitLen()))
			r, err := e.Check(patient(t), to, patience)
			if err != nil || r.Outcome != LocalError || r.Cause != c.cause || r.Errno != c.errno || r.Sent() {
				t.Errorf("route of kind %d: %s, %v", c.kind, r.String(), err)
			}
		}
	})
}

// TestOptionsAreThoseOfThisHandshake: a socket that was used with a peer of many options says nothing of them of one that has
// none.
func TestOptionsAreThoseOfThisHandshake(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			rich := f.target(1)
			testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
				answer := syn.SYNACK(syn.To == rich)
				if syn.To == rich {
					answer.Options = append(answer.Options, 4, 2, 3, 3, 7) // SACK permitted, window scale
				} else {
					answer.Options, answer.Window = nil, 0
				}
				p.Send(answer)
			}))
			e := newEngine(t, Config{Mode: Reuse, Shards: 1, MaxInFlight: 1})
			for k := range 3 {
				poor := f.target(2 + k) // another each time: the same would be asked from a fresh socket
				r, err := e.Check(patient(t), rich, patience)
				if err != nil || r.Outcome != Open || r.Options != Timestamps|SACK|WindowScaling {
					t.Errorf("rich: %s, options %s, %v", r.String(), r.Options, err)
				}
				r, err = e.Check(patient(t), poor, patience)
				if err != nil || r.Outcome != Open || r.Options != 0 {
					t.Errorf("poor: %s, options %s, %v", r.String(), r.Options, err)
				}
			}
			if opened := e.Stats().SocketsOpened; opened != 1 {
				t.Errorf("%d sockets: this test is about one", opened)
			}
		})
	}
}

// TestDuplicateSYNACKBreaksTheSilence: the kernel answers it with an ACK at once, and the counters tell.
func TestDuplicateSYNACKBreaksTheSilence(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		to := f.target(1)
		answered := make(chan struct{}, 1)
		peer := testnet.NewPeer(t, func(p *testnet.Peer, s *testnet.Segment) {
			switch {
			case s.Flags&(testnet.SYN|testnet.ACK) == testnet.SYN:
				p.Send(s.SYNACK(true))
				p.Send(s.SYNACK(true))
			case s.Kind() == "ACK":
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
		// The loop is stopped before it reads the counters, until both have come.
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{beforeReading: func() { <-answered }}})
		r, err := e.Check(patient(t), to, patience)
		if err != nil || r.Outcome != Open || r.Silence != Broken {
			t.Errorf("%s, silence %s, %v", r.String(), r.Silence, err)
		}
		if wire := peer.Flow(r.Source, to); !slices.Contains(wire, "ACK") {
			t.Errorf("no ACK in %v: there was no fault to see", wire)
		}
	})
}

// TestRSTAfterSYNACKIsOpen: the port answered, whatever it said next.
func TestRSTAfterSYNACKIsOpen(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		to := f.target(1)
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			answer := syn.SYNACK(true)
			p.Send(answer)
			p.Send(testnet.Segment{From: syn.To, To: syn.From, Flags: testnet.RST, Seq: answer.Seq + 1})
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for range 20 {
			check(t, e, patient(t), to, patience, Open)
		}
	})
}

// TestBareSYNIsNoAnswer: a peer that answers with a SYN of its own has not acknowledged ours, whatever comes after it.
func TestBareSYNIsNoAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		mute, rude := f.target(1), f.target(2)
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			p.Send(testnet.Segment{From: syn.To, To: syn.From, Flags: testnet.SYN, Seq: 1000, Window: 1000})
			if syn.To == rude {
				rst := testnet.Segment{From: syn.To, To: syn.From, Flags: testnet.RST | testnet.ACK, Seq: 1001, Ack: syn.Seq + 1}
				p.After(10*time.Millisecond, func() { p.Send(rst) })
			}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		check(t, e, patient(t), mute, 30*time.Millisecond, TimedOut)
		check(t, e, patient(t), rude, patience, Refused)
		if s := e.Stats(); s.Pooled != 0 {
			t.Errorf("%d sockets kept", s.Pooled)
		}
	})
}

// TestStoppedLoopIsNotTheTargetsFault: a loop that is stopped while an answer comes, and beyond the deadline of its probe,
// finds the answer and not a timeout; a probe that nobody answered has timed out all the same.
func TestStoppedLoopIsNotTheTargetsFault(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		quick, slow, mute := f.target(1), f.target(2), f.target(3)
		const timeout = 250 * time.Millisecond
		// The loop stops when it is to read the answer of the quick one, until the deadlines of all three have long passed. The slow
		// one answers meanwhile.
		stopped := make(chan struct{})
		var once sync.Once
		stall := func() { once.Do(func() { close(stopped); stop(2 * timeout) }) }
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			answer := syn.SYNACK(true)
			switch syn.To {
			case quick:
				p.Send(answer)
			case slow:
				p.After(0, func() { <-stopped; p.Send(answer) })
			}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{beforeReading: stall}})
		batch, err := e.Submit(patient(t), []Probe{
			{ID: 0, Addr: quick, Timeout: timeout}, {ID: 1, Addr: slow, Timeout: timeout}, {ID: 2, Addr: mute, Timeout: timeout},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range collect(t, batch, 3) {
			want := []Outcome{Open, Open, TimedOut}[i]
			if r.Outcome != want || i > 0 && r.Elapsed < timeout {
				t.Errorf("%s after %s, want %s", r.String(), r.Elapsed, want)
			}
		}
		if e.Stats().LongestTurn < 2*timeout {
			t.Error("the loop was not stopped: this proves nothing")
		}
	})
}

// TestSelfConnectIsRefused: with few ports to choose from, the kernel picks the target's own as source every so often, and
// connects the probe to itself. Nobody listens there.
func TestSelfConnectIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50019")
		const probes = 4000
		e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1})
		batch, err := e.Submit(patient(t), probesOf(probes, func(i int) Probe {
			ip := f.loopback(0)
			switch i % 3 { // which is all the same for the kernel
			case 0:
				ip = f.unspecified()
			case 1:
				if f.v6 {
					ip = f.unspecified().WithZone("lo")
				}
			}
			return Probe{Addr: netip.AddrPortFrom(ip, uint16(50000+i/3%20)), Timeout: patience}
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Refused || r.Addr.Addr().WithZone("") != f.loopback(0) {
				t.Fatal(r.String())
			}
		}
		if e.Stats().SelfConnects == 0 {
			t.Error("the kernel never did it: this proves nothing")
		}
	})
}

// TestExhaustedAddressIsNotForgotten: where the source ports toward an address are taken away while probes wait there, each of
// them has its answer all the same, and later ones their turn.
func TestExhaustedAddressIsNotForgotten(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const probes = 12
		mute, open := silent(t, f.loopback(0)), listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(10)}})
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: 300 * time.Millisecond} }))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "five are in flight", func() bool { return e.Stats().InFlight == 5 })
		t.Run("reserved", func(t *testing.T) {
			testnet.Sysctl(t, "net/ipv4/ip_local_reserved_ports", "40000-40009")
			count := map[Outcome]int{}
			for _, r := range collect(t, batch, probes) {
				count[r.Outcome]++
			}
			if count[TimedOut]+count[LocalError] != probes || count[TimedOut] < 5 || count[LocalError] == 0 {
				t.Errorf("%v", count)
			}
		})
		check(t, e, patient(t), mute, time.Millisecond, TimedOut)
		check(t, e, patient(t), open.Addr, patience, Open)
	})
}

// TestZoneDoesNotStick: a probe of a link-local address with a zone binds its socket to that interface for life, so that socket
// is not used again: the next probe would leave by the wrong interface, and a healthy target would be silent.
func TestZoneDoesNotStick(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			f := families[1]
			testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) { p.Send(syn.SYNACK(true)) }))
			e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 1})
			zoned := netip.AddrPortFrom(netip.MustParseAddr("fe80::aaaa%peer0"), 443)
			local := listen(t, f.loopback(0))
			for range 3 {
				r, err := e.Check(patient(t), zoned, patience)
				if err != nil || r.Outcome != Open || r.Addr != zoned {
					t.Errorf("%s, %v", r.String(), err)
				}
				check(t, e, patient(t), local.Addr, patience, Open)
				check(t, e, patient(t), f.target(1), patience, Open)
			}
		})
	}
}

// TestAnswerWhileWeAsk: an RST or an ICMP message that comes at the very moment in which a loop asks a socket at its deadline, after
// its error was read and before its state was, is the target's answer, and no trouble of ours.
func TestAnswerWhileWeAsk(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		asked, answered := make(chan struct{}), make(chan struct{})
		closed, prohibited := f.target(1), f.target(2)
		testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			if p.SYNs(syn) > 1 {
				return
			}
			<-asked
			if syn.To == closed {
				p.Send(syn.RST())
			} else {
				p.ICMP(syn, f.router(), f.prohibited().Type, f.prohibited().Code)
			}
			answered <- struct{}{}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{asking: func() {
			asked <- struct{}{}
			<-answered
		}}})
		check(t, e, patient(t), closed, 10*time.Millisecond, Refused)
		r, err := e.Check(patient(t), prohibited, 10*time.Millisecond)
		if err != nil || r.Outcome != Unreachable || r.Cause != Prohibited || r.ICMP != f.prohibited() {
			t.Errorf("%s, %v", r.String(), err)
		}
	})
}

// TestWrongAcknowledgment: a SYN-ACK that acknowledges what we have not sent is no answer, and the kernel resets it; a right one that
// follows is.
func TestWrongAcknowledgment(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		wrong, both := f.target(1), f.target(2)
		peer := testnet.NewPeer(t, onlySYN(func(p *testnet.Peer, syn *testnet.Segment) {
			answer := syn.SYNACK(true)
			answer.Ack += 1000
			p.Send(answer)
			if syn.To == both {
				p.Send(syn.SYNACK(true))
			}
		}))
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		for range 3 {
			r, err := e.Check(patient(t), wrong, 20*time.Millisecond)
			if err != nil || r.Outcome != TimedOut {
				t.Errorf("%s, %v", r.String(), err)
			}
			// The kernel resets, and sends its SYN again.
			var wire []string
			eventually(t, "three segments are on the wire", func() bool {
				wire = peer.Flow(r.Source, wrong)
				return len(wire) >= 3
			})
			if one := []string{"SYN", "SYN-ACK", "RST"}; !slices.Equal(wire[:3], one) || slices.Contains(wire, "ACK") {
				t.Errorf("%v on the wire", wire)
			}
			check(t, e, patient(t), both, patience, Open)
		}
	})
}
