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

// note is what the peer knows of one knock: of its handshake and, as a prober may ask again where it is told an RST, of those that
// follow. Too many, or another after no RST, is strange.
type note struct {
	shakes  [4]handshake
	strange bool
}

// handshake is what the peer knows of one. The SYN's part is written by the peer's reader, the answer's by whoever sends it; the judge
// reads when both have ended.
type handshake struct {
	port     uint16 // the SYN's source
	syns     uint16
	acks     uint16 // segments with ACK alone
	sequence uint32
	answered int64       // clock before the first answer was put on the wire; 0: none was
	heard    int64       // clock when the near side's kernel had had it
	rst      atomic.Bool // the answer was an RST
}

// of returns the handshake that a segment belongs to, or begins; nil where it is strange.
func (x *note) of(in *testnet.Segment, syn bool) *handshake {
	for i := range x.shakes {
		h := &x.shakes[i]
		switch {
		case h.syns > 0 && h.port == in.From.Port() && (!syn || h.sequence == in.Seq):
			return h
		case h.syns == 0 && syn && (i == 0 || x.shakes[i-1].rst.Load()):
			h.port, h.sequence = in.From.Port(), in.Seq
			return h
		}
	}
	x.strange = x.strange || syn
	return nil
}

// last returns the handshake that was answered for.
func (x *note) last() *handshake {
	last := &x.shakes[0]
	for i := range x.shakes {
		if x.shakes[i].syns > 0 {
			last = &x.shakes[i]
		}
	}
	return last
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

// icmpOf is the error of an unreachable target. A router sends it.
func icmpOf(to netip.Addr) ICMPError {
	_, n := target(to)
	m := unreachables[family(to.Is6())]
	e := m[int(n)%len(m)]
	return ICMPError{e[0], e[1], host(to.Is6(), kinds, 1)}
}

// script is what the peer does with a segment.
func (s *stage) script(p *testnet.Peer, in *testnet.Segment) {
	kind, n := target(in.To.Addr())
	switch in.Flags & (testnet.SYN | testnet.ACK | testnet.RST | testnet.FIN) {
	case testnet.SYN:
	case testnet.ACK:
		s.acks.Add(1)
		if kind == Lossy || kind == Slow {
			if x := s.noteOf(n, in).of(in, false); x != nil {
				x.acks++
			}
		}
		return
	default:
		return
	}
	switch kind {
	case Unreachable:
		m := icmpOf(in.To.Addr())
		p.ICMP(in, m.From, m.Type, m.Code)
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
	x := s.noteOf(n, in).of(in, true)
	if x == nil {
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
		if first {
			x.rst.Store(fate.rst)
		}
		heard := p.Send(answer)
		if first {
			x.answered, x.heard = answered, s.at(heard)
		}
	}
	if kind == Lossy {
		send()
		return
	}
	timeout := s.knock(n<<perHost | uint32(in.To.Port()-1024)).Timeout
	p.After(timeout*2*time.Duration(fate.permil)/1000, send)
}
