package testnet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The networks on whose far side a Peer stands, and the near side's own address in each.
var (
	Net4, Own4 = netip.MustParsePrefix("198.18.0.0/15"), netip.MustParseAddr("198.18.0.1")
	Net6, Own6 = netip.MustParsePrefix("2001:2::/48"), netip.MustParseAddr("2001:2::1")
)

// Peer is the far side of a tun device: every host of Net4 and Net6, answering as a script says. It sees all that is sent to
// them, and logs it with its own answers in the order of the wire, so it is the wire tap too, and one that drops nothing.
type Peer struct {
	t      testing.TB
	tun    *os.File
	script func(*Peer, *Segment)
	quiet  bool
	done   chan struct{}
	timers sync.WaitGroup

	mu   sync.Mutex
	log  []Segment
	syns map[flow]int
}

type flow struct{ from, to netip.AddrPort }

// NewPeer makes the device and starts answering. The script is called for each TCP segment, from one goroutine. There can be
// one Peer at a time; it ends with the test.
func NewPeer(t testing.TB, script func(*Peer, *Segment)) *Peer {
	t.Helper()
	return newPeer(t, "peer0", near{netip.PrefixFrom(Own4, Net4.Bits()), netip.PrefixFrom(Own6, Net6.Bits())}, script, false)
}

// NewQuietPeer makes a Peer that logs nothing and counts no SYNs, for millions of segments: the script keeps what it needs.
// A Segment is the script's only until it returns.
func NewQuietPeer(t testing.TB, script func(*Peer, *Segment)) *Peer {
	t.Helper()
	return newPeer(t, "peer0", near{netip.PrefixFrom(Own4, Net4.Bits()), netip.PrefixFrom(Own6, Net6.Bits())}, script, true)
}

// near is the near side's own addresses, each with the length of the network that the device leads to.
type near struct{ ip4, ip6 netip.Prefix }

func newPeer(t testing.TB, name string, own near, script func(*Peer, *Segment), quiet bool) *Peer {
	t.Helper()
	Private(t)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/net/tun: %v", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		t.Fatalf("TUNSETIFF: %v", err)
	}
	started := false
	p := &Peer{t: t, tun: os.NewFile(uintptr(fd), "tun"), script: script, quiet: quiet, done: make(chan struct{}), syns: map[flow]int{}}
	t.Cleanup(func() {
		if !started {
			close(p.done)
		}
		p.Close()
	})
	for _, err := range []error{
		setUp(name),
		addAddress(name, own.ip4),
		addAddress(name, own.ip6),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	awaitLocal(t, own.ip6.Addr())
	started = true
	go p.read()
	return p
}

// Close ends the peer: the reader first, which starts timers, and then waits for those; what they still send is lost. The end of
// the test does so at the latest.
func (p *Peer) Close() {
	p.tun.Close()
	<-p.done
	p.timers.Wait()
}

func (p *Peer) read() {
	defer close(p.done)
	buffer := make([]byte, 65536)
	for {
		n, err := p.tun.Read(buffer)
		if err != nil {
			return
		}
		packet := buffer[:n]
		if !p.quiet {
			packet = append([]byte(nil), packet...)
		}
		s, ok := parseSegment(packet)
		if !ok {
			continue
		}
		s.At = time.Now()
		p.note(s)
		p.script(p, s)
	}
}

func (p *Peer) note(s *Segment) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, *s)
	if s.Flags&(SYN|ACK) == SYN {
		p.syns[flow{s.From, s.To}]++
	}
}

// SYNs returns how often the SYN of a segment's flow has come.
func (p *Peer) SYNs(s *Segment) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.syns[flow{s.From, s.To}]
}

// Log returns all segments of both directions so far.
func (p *Peer) Log() []Segment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Segment(nil), p.log...)
}

// Flow returns the kinds of the segments between two ends so far, in order: that of the Peer's own is when it means to send them,
// perhaps before it has seen what was on its way to it by then.
func (p *Peer) Flow(from, to netip.AddrPort) []string {
	return flowOf(p.Log(), from, to)
}

// Sent returns the kinds of the segments that one end has sent to the other so far, in order.
func (p *Peer) Sent(from, to netip.AddrPort) []string {
	return kindsOf(p.Log(), func(s *Segment) bool { return s.From == from && s.To == to })
}

// After calls f after a delay. The Peer waits for it before it ends.
func (p *Peer) After(delay time.Duration, f func()) {
	p.timers.Add(1)
	time.AfterFunc(delay, func() {
		defer p.timers.Done()
		f()
	})
}

// Send puts a segment on the wire, and returns when the near side's kernel has had it: what it does to a socket is done, unless
// that is in the middle of a system call, which then does it at its end.
func (p *Peer) Send(s Segment) (done time.Time) {
	packet := s.packet()
	s.At = time.Now()
	p.note(&s)
	return p.write(packet)
}

func (p *Peer) write(packet []byte) (done time.Time) {
	if _, err := p.tun.Write(packet); err != nil && !errors.Is(err, os.ErrClosed) {
		p.t.Errorf("tun: %v", err)
	}
	return time.Now()
}

// SYNACK returns the answer of an open port to a SYN: MSS, and timestamps if the SYN has them and asked for.
func (s *Segment) SYNACK(timestamps bool) Segment {
	answer := Segment{From: s.To, To: s.From, Flags: SYN | ACK, Seq: 77_000, Ack: s.Seq + 1, Window: 64_000, Options: []byte{2, 4, 5, 0xb4}}
	if value, ok := s.Timestamp(); ok && timestamps {
		answer.Options = append(answer.Options, 8, 10)
		answer.Options = binary.BigEndian.AppendUint32(answer.Options, 1)
		answer.Options = binary.BigEndian.AppendUint32(answer.Options, value)
	}
	return answer
}

// RST returns the answer of a closed port to a SYN.
func (s *Segment) RST() Segment {
	return Segment{From: s.To, To: s.From, Flags: RST | ACK, Ack: s.Seq + 1}
}

// ICMP answers a segment with an ICMP or ICMPv6 error from a host.
func (p *Peer) ICMP(about *Segment, from netip.Addr, kind, code byte) (done time.Time) {
	return p.write(icmpPacket(from, about.From.Addr(), kind, code, about.raw))
}

// ICMPQuoting sends an error from a host about a segment of the near side's, which need not have been sent.
func (p *Peer) ICMPQuoting(about Segment, from netip.Addr, kind, code byte) (done time.Time) {
	about.raw = about.packet()
	return p.ICMP(&about, from, kind, code)
}
