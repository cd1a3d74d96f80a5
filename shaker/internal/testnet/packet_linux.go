package testnet

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Flags of a TCP segment, RFC 9293 section 3.1.
const (
	FIN byte = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Segment is a TCP segment of either IP version. Options are as on the wire. The payload is of one to be sent alone.
type Segment struct {
	// At is when a Peer read it off the wire, or just before it put it on it, on the monotonic clock. Of a Tap it is when the kernel
	// did: of a segment that is sent, inside the system call that sends it, whenever the tap gets to read it; on the wall clock.
	At       time.Time
	From, To netip.AddrPort
	Flags    byte
	Seq, Ack uint32
	Window   uint16
	Options  []byte
	Payload  []byte

	raw []byte // as it came; what an ICMP message quotes
}

// Kind names the flags: "SYN", "SYN-ACK", "RST", "ACK", "FIN-ACK" …
func (s *Segment) Kind() string {
	kind := ""
	for _, f := range []struct {
		flag byte
		name string
	}{{SYN, "SYN"}, {FIN, "FIN"}, {RST, "RST"}, {ACK, "ACK"}} {
		if s.Flags&f.flag == 0 || f.flag == ACK && s.Flags&RST != 0 {
			continue
		}
		if kind != "" {
			kind += "-"
		}
		kind += f.name
	}
	return kind
}

// Timestamp returns the value of the timestamps option of RFC 7323, and whether there is one.
func (s *Segment) Timestamp() (uint32, bool) {
	for o := s.Options; len(o) > 0 && o[0] != 0; {
		switch {
		case o[0] == 1:
			o = o[1:]
		case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
			return 0, false
		case o[0] == 8 && o[1] == 10:
			return binary.BigEndian.Uint32(o[2:]), true
		default:
			o = o[o[1]:]
		}
	}
	return 0, false
}

// parseSegment reads an IP packet; false where it holds no TCP.
func parseSegment(p []byte) (*Segment, bool) {
	s := new(Segment)
	return s, s.decode(p)
}

// decode reads an IP packet, of which the end may be missing, without allocating; false where it holds no TCP. The options
// are those of p itself.
func (s *Segment) decode(p []byte) bool {
	if len(p) < 20 {
		return false
	}
	var from, to netip.Addr
	var tcp []byte
	switch header := 4 * int(p[0]&15); {
	case p[0]>>4 == 4 && p[9] == unix.IPPROTO_TCP && header <= len(p):
		from, to = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
		tcp = p[header:]
	case p[0]>>4 == 6 && p[6] == unix.IPPROTO_TCP && 40 <= len(p):
		from, to = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
		tcp = p[40:]
	}
	if len(tcp) < 20 {
		return false
	}
	header := 4 * int(tcp[12]>>4)
	if header < 20 || header > len(tcp) {
		return false
	}
	*s = Segment{
		From:    netip.AddrPortFrom(from, binary.BigEndian.Uint16(tcp)),
		To:      netip.AddrPortFrom(to, binary.BigEndian.Uint16(tcp[2:])),
		Seq:     binary.BigEndian.Uint32(tcp[4:]),
		Ack:     binary.BigEndian.Uint32(tcp[8:]),
		Flags:   tcp[13],
		Window:  binary.BigEndian.Uint16(tcp[14:]),
		Options: tcp[20:header],
		raw:     p,
	}
	return true
}

// packet writes the segment as an IP packet.
func (s *Segment) packet() []byte {
	options := append([]byte(nil), s.Options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	tcp := binary.BigEndian.AppendUint16(nil, s.From.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, s.To.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, s.Seq)
	tcp = binary.BigEndian.AppendUint32(tcp, s.Ack)
	tcp = append(tcp, byte(20+len(options))<<2, s.Flags)
	tcp = binary.BigEndian.AppendUint16(tcp, s.Window)
	tcp = append(tcp, 0, 0, 0, 0)
	tcp = append(append(tcp, options...), s.Payload...)
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudo(s.From.Addr(), s.To.Addr(), 6, len(tcp)), tcp))
	return wrap(s.From.Addr(), s.To.Addr(), 6, tcp)
}

// icmpPacket writes an ICMP or ICMPv6 error about a packet, from a router or a host.
func icmpPacket(from, to netip.Addr, kind, code byte, about []byte) []byte {
	m := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, about[:min(len(about), 500)]...)
	if from.Is4() {
		binary.BigEndian.PutUint16(m[2:], checksum(nil, m))
		return wrap(from, to, 1, m)
	}
	binary.BigEndian.PutUint16(m[2:], checksum(pseudo(from, to, 58, len(m)), m))
	return wrap(from, to, 58, m)
}

// wrap puts an IP header before a payload.
func wrap(from, to netip.Addr, protocol byte, payload []byte) []byte {
	if from.Is6() {
		p := []byte{0x60, 0, 0, 0}
		p = binary.BigEndian.AppendUint16(p, uint16(len(payload)))
		p = append(p, protocol, 64)
		p = append(append(p, from.AsSlice()...), to.AsSlice()...)
		return append(p, payload...)
	}
	p := []byte{0x45, 0}
	p = binary.BigEndian.AppendUint16(p, uint16(20+len(payload)))
	p = append(p, 0, 0, 0, 0, 64, protocol, 0, 0)
	p = append(append(p, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(p[10:], checksum(nil, p))
	return append(p, payload...)
}

// pseudo is the pseudo-header of a checksum: RFC 9293 section 3.1, RFC 8200 section 8.1.
func pseudo(from, to netip.Addr, protocol byte, length int) []byte {
	p := append(append([]byte(nil), from.AsSlice()...), to.AsSlice()...)
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, protocol)
}

// checksum is that of RFC 1071.
func checksum(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, p := range parts {
		for i := 0; i+1 < len(p); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(p[i:]))
		}
		if len(p)%2 == 1 {
			sum += uint32(p[len(p)-1]) << 8
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
