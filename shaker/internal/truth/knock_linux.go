package truth

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Kind is what stands at a target.
type Kind uint8

// The kinds, see the package's doc.
const (
	Open Kind = iota
	Closed
	Full
	BlackHole
	Unreachable
	Lossy
	Slow
	kinds
)

var kindNames = [kinds]string{"open", "closed", "full", "black hole", "unreachable", "lossy", "slow"}

// String returns the kind in words.
func (k Kind) String() string { return kindNames[k] }

// shares is how many of a hundred knocks go to each kind.
var shares = [kinds]uint64{Open: 35, Closed: 15, Full: 5, BlackHole: 15, Unreachable: 10, Lossy: 10, Slow: 10}

// shared is how many targets there are of a kind that has truth per target.
const shared = 64

// Knock is one question.
type Knock struct {
	Addr    netip.AddrPort
	Timeout time.Duration

	id   uint32
	kind Kind
}

// ample is a timeout that only a fault lets pass.
const ample = 20 * time.Second

// tight is a timeout that races: 50 to 200 µs, or 3 ms.
func tight(rng *rand.Rand) time.Duration {
	if rng.IntN(2) == 0 {
		return 3 * time.Millisecond
	}
	return time.Duration(50+rng.IntN(150)) * time.Microsecond
}

// knock returns the id-th question. It follows from seed and id alone.
func (s *stage) knock(id uint32) Knock {
	rng := rand.New(rand.NewPCG(s.config.Seed, uint64(id)))
	k := Knock{id: id, Timeout: ample}
	v6 := !s.config.IPv4Only && rng.IntN(2) == 0
	for dice := rng.Uint64N(100); dice >= shares[k.kind]; k.kind++ {
		dice -= shares[k.kind]
	}
	switch which := rng.IntN(shared); k.kind {
	case Open:
		k.Addr = s.open[family(v6)][which%len(s.open[0])].Addr
	case Closed:
		k.Addr = s.closed[family(v6)][which%len(s.closed[0])].Addr
	case Full:
		k.Addr, k.Timeout = s.full[family(v6)][which%len(s.full[0])], tight(rng)
	case BlackHole, Unreachable:
		k.Addr = netip.AddrPortFrom(host(v6, k.kind, uint32(which)), 443)
		if k.kind == BlackHole {
			k.Timeout = tight(rng)
		}
	case Lossy, Slow:
		k.Addr = netip.AddrPortFrom(host(v6, k.kind, id>>perHost), uint16(1024+id&(1<<perHost-1)))
		k.Timeout = time.Duration(1+rng.IntN(20)) * time.Millisecond
		if k.kind == Lossy && rng.IntN(200) == 0 {
			k.Timeout = 1500 * time.Millisecond // long enough for a second SYN
		}
	}
	return k
}

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// perHost is the logarithm of how many ports of one host have a knock of their own. They stay below the ports that probes are sent
// from: an answer to such a probe may be doubted and asked for again, and then there is more than one handshake.
const perHost = 14

// host returns an address behind the peer, which tells the kind and number of the target: in 198.18.0.0/15, and in
// 2001:2::1:0/112 and above, each kind has room for 2^13 hosts.
func host(v6 bool, kind Kind, n uint32) netip.Addr {
	word := uint32(kind)<<13 | n
	if v6 {
		a := netip.MustParseAddr("2001:2::").As16()
		binary.BigEndian.PutUint32(a[12:], word+1<<16)
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 198<<24|18<<16|word)))
}

// target reads kind and number of the target from its address.
func target(a netip.Addr) (kind Kind, n uint32) {
	raw := a.AsSlice()
	word := binary.BigEndian.Uint32(raw[len(raw)-4:])
	if a.Is6() {
		word -= 1 << 16
	} else {
		word -= 198<<24 | 18<<16
	}
	return Kind(word >> 13), word & (1<<13 - 1)
}

// fate is what the peer decides about one SYN.
type fate struct {
	lost   bool
	rst    bool
	permil uint64 // of twice the timeout, the delay of a slow one
}

// fateOf follows from the key, the SYN's source port and sequence number, and how many of its flow came before: the sender
// cannot know it, and the judge can find it again.
func fateOf(key uint64, kind Kind, port uint16, sequence uint32, nth int) fate {
	h := fnv.New64a()
	var b [23]byte
	binary.LittleEndian.PutUint64(b[0:], key)
	binary.LittleEndian.PutUint16(b[8:], port)
	binary.LittleEndian.PutUint32(b[10:], sequence)
	binary.LittleEndian.PutUint64(b[14:], uint64(nth))
	b[22] = byte(kind)
	h.Write(b[:])
	x := rand.New(rand.NewPCG(h.Sum64(), key))
	return fate{lost: kind == Lossy && x.IntN(100) < 40, rst: kind == Slow && x.IntN(4) == 0, permil: x.Uint64N(1000)}
}
