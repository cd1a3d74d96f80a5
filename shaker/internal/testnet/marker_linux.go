package testnet

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what a test waits for; it is reached only by a failure.
const patience = 30 * time.Second

// markerProtocol is an EtherType for experiments, which no kernel answers.
const markerProtocol = unix.ETH_P_802_EX1

// marker sends packets that its tap knows as its own: they hold the id of the tap, and a number.
type marker struct {
	id    uint32
	fd    int // receives those that went over the loopback device, whatever firewall there is for IP
	lo    int
	seen  chan struct{}
	await atomic.Uint32 // the number that the tap is to see

	mu   sync.Mutex // one round at a time
	last uint32
}

var markers atomic.Uint32

func openMarker() (*marker, error) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return nil, err
	}
	m := &marker{id: markers.Add(1), lo: lo.Index, seen: make(chan struct{}, 1)}
	if m.fd, err = packetSocket([]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: m.id, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 8},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}); err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(int64(patience))
	return m, errors.Join(
		unix.SetNonblock(m.fd, false),
		unix.SetsockoptTimeval(m.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		bindPacket(m.fd, m.lo, markerProtocol))
}

func (m *marker) close() { unix.Close(m.fd) }

// send sends the next one over a device.
func (m *marker) send(device int) error {
	m.last++
	packet := binary.BigEndian.AppendUint32(nil, m.id)
	packet = binary.BigEndian.AppendUint32(packet, m.last)
	everybody := [8]byte{255, 255, 255, 255, 255, 255}
	to := &unix.SockaddrLinklayer{Protocol: htons(markerProtocol), Ifindex: device, Halen: 6, Addr: everybody}
	return os.NewSyscallError("sendto", unix.Sendto(m.fd, packet, 0, to))
}

// pass is called by the tap for each that it sees.
func (m *marker) pass(packet []byte) {
	if len(packet) >= 8 && binary.BigEndian.Uint32(packet[4:]) == m.await.Load() {
		m.await.Store(0)
		m.seen <- struct{}{}
	}
}

// flushBacklogs returns when everything that was sent on its way inside this machine before has arrived. A packet of a veth or
// loopback device waits for that in the backlog of the processor that sent it, which is one queue for all devices and
// namespaces (enqueue_to_backlog, net/core/dev.c). So a packet of our own goes through each.
func (m *marker) flushBacklogs() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	defer unix.SchedSetaffinity(0, &all)
	sent := 0
	for cpu, left := 0, all.Count(); left > 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		left--
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return os.NewSyscallError("sched_setaffinity", err)
		}
		if err := m.send(m.lo); err != nil {
			return err
		}
		sent++
	}
	for packet := make([]byte, 8); sent > 0; {
		switch _, err := unix.Read(m.fd, packet); {
		case err == nil:
			sent--
		case !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("read", err)
		}
	}
	return nil
}

// round returns when the tap of a device has seen everything that was sent before.
func (m *marker) round(device int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.flushBacklogs(); err != nil {
		return err
	}
	m.await.Store(m.last + 1)
	if err := m.send(device); err != nil {
		return err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-m.seen:
		return nil
	case <-timeout.C:
		return errors.New("the marker was lost")
	}
}

// Sync returns when the tap has seen everything that was sent before, from wherever in this process and its namespaces, also
// if that is called from another namespace than the tap's.
func (t *Tap) Sync() {
	t.t.Helper()
	if err := t.marker.round(t.device.Index); err != nil {
		t.t.Fatalf("tap on %s: %v", t.device.Name, err)
	}
}
