//go:build !race

package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wiretap counts what is sent through lo: SYNs by where they go to, and UDP packets, of which there are none unless a name is
// looked up.
type wiretap struct {
	fd   int
	stop chan struct{}
	done chan struct{}

	// Of its goroutine, until done:
	syns map[netip.AddrPort]int
	udp  map[netip.Addr]int
	err  error
}

// tapFilter lets pass what is sent, and is a SYN without ACK or UDP, but not to 198.18.0.0/18, which the honest caller may have and
// has most (classic BPF, linux/filter.h; on a cooked packet socket the IP header comes first). What it drops costs nothing.
func tapFilter() []unix.SockFilter {
	const (
		word     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		octet    = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		behind   = unix.BPF_LD | unix.BPF_B | unix.BPF_IND
		ipLength = unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH
		and      = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		equal    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret      = unix.BPF_RET | unix.BPF_K

		protocol, kind = 0xffff_f000, 0xffff_f004 // SKF_AD_PROTOCOL, SKF_AD_PKTTYPE
		syn, synAck    = 0x02, 0x12
	)
	return []unix.SockFilter{
		{Code: word, K: kind},
		{Code: equal, K: unix.PACKET_OUTGOING, Jf: 20},
		{Code: word, K: protocol},
		{Code: equal, K: unix.ETH_P_IPV6, Jt: 11},
		{Code: equal, K: unix.ETH_P_IP, Jf: 17},
		{Code: word, K: 16},
		{Code: and, K: 0xffff_c000},
		{Code: equal, K: 198<<24 | 18<<16, Jt: 14},
		{Code: octet, K: 9},
		{Code: equal, K: unix.IPPROTO_UDP, Jt: 11},
		{Code: equal, K: unix.IPPROTO_TCP, Jf: 11},
		{Code: ipLength, K: 0},
		{Code: behind, K: 13},
		{Code: and, K: synAck},
		{Code: equal, K: syn, Jt: 6, Jf: 7},
		{Code: octet, K: 6},
		{Code: equal, K: unix.IPPROTO_UDP, Jt: 4},
		{Code: equal, K: unix.IPPROTO_TCP, Jf: 4},
		{Code: octet, K: 40 + 13},
		{Code: and, K: synAck},
		{Code: equal, K: syn, Jf: 1},
		{Code: ret, K: 128},
		{Code: ret, K: 0},
	}
}

func newWiretap(t *testing.T) *wiretap {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	filter := tapFilter()
	all := uint16(unix.ETH_P_ALL)
	err = errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: lo.Index}),
	)
	if err != nil {
		t.Fatal(err)
	}
	const room = 64 << 20 // so that a reader without a processor for some seconds loses nothing
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room) // as much as there may be: what is lost is told
	}
	w := &wiretap{
		fd: fd, stop: make(chan struct{}), done: make(chan struct{}),
		syns: make(map[netip.AddrPort]int), udp: make(map[netip.Addr]int),
	}
	go w.read()
	return w
}

// read takes packets until stop is closed and none is left: the kernel gives each to the tap before the call that sends it returns.
func (w *wiretap) read() {
	defer close(w.done)
	for b := make([]byte, 128); ; {
		n, _, err := unix.Recvfrom(w.fd, b, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			select {
			case <-w.stop:
				return
			default:
			}
		case errors.Is(err, unix.EINTR):
		case err != nil:
			w.err = err
			return
		default:
			w.count(b[:n])
		}
	}
}

func (w *wiretap) count(b []byte) {
	var to netip.Addr
	var protocol byte
	header := 40
	if b[0]>>4 == 4 {
		header = int(b[0]&15) * 4
		to, protocol = netip.AddrFrom4([4]byte(b[16:20])), b[9]
	} else {
		to, protocol = netip.AddrFrom16([16]byte(b[24:40])), b[6]
	}
	if protocol == unix.IPPROTO_UDP {
		w.udp[to]++
		return
	}
	w.syns[netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[header+2:]))]++
}

// end stops counting, and fails the test if the kernel had no room for a packet.
func (w *wiretap) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	<-w.done
	stats, err := unix.GetsockoptTpacketStats(w.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || w.err != nil || stats.Drops > 0 {
		t.Fatalf("the tap has lost packets: %+v, %v, %v", stats, err, w.err)
	}
	t.Logf("the tap has counted %d packets and lost none", stats.Packets)
}

// to returns the number of SYNs to addresses of a prefix, and to how many ports.
func (w *wiretap) to(prefix string) (syns, ports int) {
	p, seen := netip.MustParsePrefix(prefix), make(map[uint16]bool)
	for to, n := range w.syns {
		if p.Contains(to.Addr()) {
			syns += n
			seen[to.Port()] = true
		}
	}
	return syns, len(seen)
}
