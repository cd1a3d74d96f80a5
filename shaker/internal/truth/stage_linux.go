package truth

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
)

// stage is all that stands at the targets, and what the peer noted.
type stage struct {
	config Config
	open   [2][]*testnet.Listener
	closed [2][]*testnet.Listener
	full   [2][]netip.AddrPort
	peer   *testnet.Peer
	notes  []note // by id, of the kinds with truth per knock
	acks   atomic.Int64
	began  time.Time

	tap      *testnet.Tap // on the loopback device; its reader alone touches what follows until it ends
	segments int64
	acked    map[flow][]int64 // clocks of the ACKs of each flow
}

// flow is where a segment of the prober's goes.
type flow struct {
	port uint16
	to   netip.AddrPort
}

// note is what the peer knows of one knock. The SYN's part is written by the peer's reader, the answer's by whoever sends it;
// the judge reads when both have ended.
type note struct {
	port     uint16 // the SYN's source
	syns     uint16 // of this flow
	acks     uint16 // segments with ACK alone
	strange  bool   // a SYN of another flow has come
	sequence uint32
	answered int64 // clock before the first answer was put on the wire; 0: none was
	heard    int64 // clock when the near side's kernel had had it
	rst      bool  // the answer was an RST
}

// clock is the nanoseconds since the stage was set, never 0.
func (s *stage) clock() int64 { return s.at(time.Now()) }

func (s *stage) at(t time.Time) int64 { return int64(t.Sub(s.began)) + 1 }

func newStage(t testing.TB, c Config) *stage {
	t.Helper()
	s := &stage{config: c, notes: make([]note, c.Knocks), began: time.Now(), acked: map[flow][]int64{}}
	for f, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		for range shared {
			s.open[f] = append(s.open[f], testnet.Listen(t, ip))
			s.closed[f] = append(s.closed[f], testnet.Bind(t, ip, 0))
			s.full[f] = append(s.full[f], testnet.Silent(t, ip))
		}
	}
	s.peer = testnet.NewQuietPeer(t, s.script)
	s.tap = testnet.NewTap(t, "lo", s.see)
	return s
}

// close ends peer and tap when they have seen all.
func (s *stage) close() {
	s.peer.Close()
	s.tap.Sync()
	s.tap.Close()
}

// see notes the ACKs that pass the loopback device.
func (s *stage) see(in *testnet.Segment) {
	s.segments++
	if in.Flags&(testnet.SYN|testnet.ACK|testnet.RST) == testnet.ACK {
		s.acks.Add(1)
		f := flow{in.From.Port(), in.To}
		s.acked[f] = append(s.acked[f], s.clock())
	}
}

// unreachables are the ICMP and ICMPv6 errors of the unreachable targets, by the target's number.
var unreachables = [2][][2]byte{
	{{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 9}, {3, 10}, {3, 13}, {11, 0}},
	{{1, 0}, {1, 1}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {3, 0}},
}

// router sends them.
func router(v6 bool) netip.Addr { return host(v6, kinds, 1) }

// script is what the peer does with a segment.
func (s *stage) script(p *testnet.Peer, in *testnet.Segment) {
	kind, n := target(in.To.Addr())
	switch in.Flags & (testnet.SYN | testnet.ACK | testnet.RST | testnet.FIN) {
	case testnet.SYN:
	case testnet.ACK:
		s.acks.Add(1)
		if kind == Lossy || kind == Slow {
			s.noteOf(n, in).acks++
		}
		return
	default:
		return
	}
	v6 := in.To.Addr().Is6()
	switch kind {
	case Unreachable:
		m := unreachables[family(v6)]
		e := m[int(n)%len(m)]
		p.ICMP(in, router(v6), e[0], e[1])
	case Lossy, Slow:
		s.decide(p, in, kind, n)
	default: // a black hole
	}
}

func (s *stage) noteOf(n uint32, in *testnet.Segment) *note {
	return &s.notes[n<<perHost|uint32(in.To.Port()-1024)]
}

// decide answers a SYN, or not, as its fate has it.
func (s *stage) decide(p *testnet.Peer, in *testnet.Segment, kind Kind, n uint32) {
	x := s.noteOf(n, in)
	switch {
	case x.syns == 0:
		x.port, x.sequence = in.From.Port(), in.Seq
	case x.port != in.From.Port() || x.sequence != in.Seq:
		x.strange = true
		return
	}
	fate := fateOf(s.config.Seed, kind, in.From.Port(), in.Seq, int(x.syns))
	x.syns++
	if fate.lost || kind == Slow && x.syns > 1 {
		return
	}
	answer, first := in.SYNACK(true), x.answered == 0
	if fate.rst {
		answer = in.RST()
	}
	send := func() {
		answered := s.clock()
		heard := p.Send(answer)
		if first {
			x.answered, x.heard, x.rst = answered, s.at(heard), fate.rst
		}
	}
	if kind == Lossy {
		send()
		return
	}
	timeout := s.knock(n<<perHost | uint32(in.To.Port()-1024)).Timeout
	p.After(timeout*2*time.Duration(fate.permil)/1000, send)
}
