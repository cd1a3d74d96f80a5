package testnet

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tap sees the TCP segments that pass a device, each once, in the order in which the device got them. On the loopback device
// that is when a segment is sent, inside the system call that sends it; on others it is when one is sent, or has arrived. A
// segment that a firewall of this side, a route or a full queue held back before the device is not seen. Large writes are seen
// as they are before they are cut into packets.
//
// A tap that dropped something proves nothing, so that is an error of the test.
type Tap struct {
	t       testing.TB
	device  *net.Interface
	file    *os.File
	raw     syscall.RawConn
	ring    *ring
	see     func(*Segment)
	segment Segment // the reader's, used again and again
	done    chan struct{}
	close   sync.Once
	drops   atomic.Int64
	marker  *marker

	mu  sync.Mutex
	log []Segment
}

// NewTap taps a device, in the namespace of the calling thread. It calls see for each segment, from one goroutine; the segment
// and its options are the tap's own again when see returns. Without see the tap keeps a log. It ends with the test.
func NewTap(t testing.TB, device string, see func(*Segment)) *Tap {
	t.Helper()
	return newTap(t, device, see, blockSize, blockCount)
}

func newTap(t testing.TB, device string, see func(*Segment), blockSize, blockCount int) *Tap {
	t.Helper()
	Private(t)
	link, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	tap := &Tap{t: t, device: link, see: see, done: make(chan struct{})}
	if see == nil {
		tap.see = tap.record
	}
	if tap.marker, err = openMarker(); err != nil {
		t.Fatal(err)
	}
	fd, err := packetSocket(segmentsOnly(link.Flags&net.FlagLoopback != 0, tap.marker.id))
	if err == nil {
		tap.file = os.NewFile(uintptr(fd), "tap")
		tap.ring, err = newRing(fd, blockSize, blockCount)
	}
	if err == nil {
		err = bindPacket(fd, link.Index, unix.ETH_P_ALL)
	}
	if err == nil {
		tap.raw, err = tap.file.SyscallConn()
	}
	if err != nil {
		t.Fatalf("tap on %s: %v", device, err)
	}
	go tap.read()
	t.Cleanup(tap.Close)
	return tap
}

// Ancillary data that a filter can load, and where its offsets begin: linux/filter.h.
const (
	ancillary         = 0xffff_f000 // SKF_AD_OFF
	ancillaryProtocol = ancillary + 0
	ancillaryPktType  = ancillary + 4
)

// segmentsOnly lets TCP segments and the marker pass, and of the loopback device only what is sent: it all comes back.
// The IPv4 and IPv6 headers are as long as TCP's options may be, so the first bytes hold all that a Segment tells.
func segmentsOnly(loopback bool, id uint32) []unix.SockFilter {
	const (
		load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		loadByte = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		equal    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		jump     = unix.BPF_JMP | unix.BPF_JA
		pass     = unix.BPF_RET | unix.BPF_K
	)
	direction := unix.SockFilter{Code: jump}
	if loopback {
		direction = unix.SockFilter{Code: equal, K: unix.PACKET_OUTGOING, Jf: 11}
	}
	return []unix.SockFilter{
		{Code: load, K: ancillaryPktType},
		direction,
		{Code: load, K: ancillaryProtocol},
		{Code: equal, K: unix.ETH_P_IPV6, Jt: 4},
		{Code: equal, K: markerProtocol, Jt: 5},
		{Code: equal, K: unix.ETH_P_IP, Jf: 7},
		{Code: loadByte, K: 9}, // Protocol
		{Code: jump, K: 1},
		{Code: loadByte, K: 6}, // Next Header
		{Code: equal, K: unix.IPPROTO_TCP, Jt: 2, Jf: 3},
		{Code: load, K: 0},
		{Code: equal, K: id, Jf: 1},
		{Code: pass, K: 128},
		{Code: pass, K: 0},
	}
}

func (t *Tap) read() {
	defer close(t.done)
	t.raw.Read(func(uintptr) bool {
		t.ring.read(func(protocol uint16, at time.Time, packet []byte) {
			if protocol == markerProtocol {
				t.marker.pass(packet)
			} else if t.segment.decode(packet) {
				t.segment.At = at
				t.see(&t.segment)
			}
		})
		return false // wait for the next block, until the file is closed
	})
}

func (t *Tap) record(s *Segment) {
	kept := *s
	kept.raw = slices.Clone(s.raw)
	kept.Options = slices.Clone(s.Options)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, kept)
}

// Log returns all segments so far of a tap that keeps a log.
func (t *Tap) Log() []Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.log)
}

// Flow returns the kinds of the segments between two ends so far, in order, of a tap that keeps a log.
func (t *Tap) Flow(from, to netip.AddrPort) []string {
	return flowOf(t.Log(), from, to)
}

// flowOf returns the kinds of the segments between two ends, in order.
func flowOf(log []Segment, from, to netip.AddrPort) []string {
	return kindsOf(log, func(s *Segment) bool { return s.From == from && s.To == to || s.From == to && s.To == from })
}

func kindsOf(log []Segment, of func(*Segment) bool) []string {
	var kinds []string
	for i := range log {
		if s := &log[i]; of(s) {
			kinds = append(kinds, s.Kind())
		}
	}
	return kinds
}

// Drops returns how many segments the tap has lost so far because its ring was full.
func (t *Tap) Drops() int {
	err := t.raw.Control(func(fd uintptr) {
		// Reading sets it back to 0 (packet_getsockopt, net/packet/af_packet.c).
		s, err := unix.GetsockoptTpacketStatsV3(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			t.t.Errorf("tap on %s: %v", t.device.Name, os.NewSyscallError("getsockopt PACKET_STATISTICS", err))
			return
		}
		t.drops.Add(int64(s.Drops))
	})
	_ = err // closed: the count is final
	return int(t.drops.Load())
}

// Close ends the tap, and fails the test if it has lost anything. What was sent before and is to be seen needs a Sync first.
// It must not be called from see.
func (t *Tap) Close() {
	t.close.Do(func() {
		if n := t.Drops(); n != 0 {
			t.t.Errorf("tap on %s: %d segments lost: what it saw proves nothing", t.device.Name, n)
		}
		t.file.Close()
		<-t.done
		t.marker.close()
		if err := t.ring.close(); err != nil {
			t.t.Error(err)
		}
	})
}
