package shaker

import (
	"fmt"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// lose makes a listener lose segments before TCP sees them: those with a flag of lost, or if that is 0 one of 64 of all at random. The
// filter runs over a segment from its TCP header on (tcp_filter, net/ipv4/tcp_ipv4.c).
func lose(t *testing.T, l *listener, lost byte) {
	t.Helper()
	const random = 0xffff_f000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM, linux/filter.h
	load, mask := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, uint32(lost)
	if lost == 0 {
		load, mask = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: random}, 63
	}
	end, some := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}
	then, other := some, end
	if lost == 0 {
		then, other = end, some
	}
	program := []unix.SockFilter{
		load,
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0, Jf: 1},
		then, other,
	}
	if err := unix.SetsockoptSockFprog(l.FD, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		t.Fatal(err)
	}
}

func loseNothing(t *testing.T, l *listener) {
	t.Helper()
	if err := unix.SetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		t.Fatal(err)
	}
}

// TestLostRST: our RST is lost, so the server still waits for the last ACK when the next probe comes from the same port, at once. It
// answers a new socket's SYN with an RST, for the handshake before; its port is open.
func TestLostRST(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		server := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: onePort()}})
		const rounds = 10
		for range rounds {
			lose(t, server, testnet.RST)
			check(t, e, patient(t), server.Addr, patience, Open)
			loseNothing(t, server)
			check(t, e, patient(t), server.Addr, patience, Open)
		}
		if s := e.Stats(); (s.StaleResets > 0) != (mode == Fresh) {
			t.Errorf("%d stale resets of %d", s.StaleResets, rounds)
		}
	})
}

// TestSequenceAheadOfTheClock: a socket that is used again and again is ahead of the clock that new ones take their numbers from. When
// it then meets silence, and a new one comes from its port just when that clock has caught up, the server answers that one with an RST.
func TestSequenceAheadOfTheClock(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			const uses = 20
			server := listen(t, f.loopback(0))
			var socket int
			e := newEngine(t, Config{Mode: Reuse, Shards: 1, hooks: hooks{ports: onePort(), opened: func(fd int) { socket = fd }}})
			began := time.Now()
			for range uses {
				check(t, e, patient(t), server.Addr, patience, Open)
			}
			deafen(t, socket)
			check(t, e, patient(t), server.Addr, 15*time.Millisecond, TimedOut)
			const number, tick = 65_538, 64 * time.Nanosecond
			<-time.After(time.Until(began.Add(number*tick*uses + number*tick/2)))
			check(t, e, patient(t), server.Addr, patience, Open)
			s := e.Stats()
			if s.SocketsOpened < 2 {
				t.Error("one socket: this proves nothing")
			}
			t.Logf("%d stale resets", s.StaleResets)
		})
	}
}

// TestRefusalFromTheSamePort: the refusal of a port that was open just now is asked for again where it comes to the port that the
// handshake before was from, as it may be stale; the next one, and one from elsewhere, are believed.
func TestRefusalFromTheSamePort(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for again, ports := range []func() (int, int){nil, onePort()} {
			e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: ports}})
			server := listen(t, f.loopback(0))
			const times = 3
			for k := range times {
				if err := unix.Listen(server.FD, 100); err != nil {
					t.Fatal(err)
				}
				check(t, e, patient(t), server.Addr, patience, Open)
				if err := unix.Shutdown(server.FD, unix.SHUT_RD); err != nil { // it listens no more, and keeps its port
					t.Fatal(err)
				}
				for range 3 {
					check(t, e, patient(t), server.Addr, patience, Refused)
				}
				if got := e.Stats().StaleResets; got != uint64((k+1)*again) {
					t.Errorf("%d refusals were asked again, want %d", got, (k+1)*again)
				}
			}
			if s := e.Stats(); s.Started != uint64(times*(1+3+again)) {
				t.Errorf("%d handshakes", s.Started)
			}
		}
	})
}

// TestLossyServer loses one segment of 64 that comes to it, SYNs and RSTs, at random. Whatever is lost, and however few ports there are
// to send from, nobody calls its port refused.
func TestLossyServer(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for _, ports := range []int{1, 20, 500} {
			t.Run(fmt.Sprintf("ports=%d", ports), func(t *testing.T) {
				probes := 2000
				if long() {
					probes = 10_000
				}
				server := listen(t, f.loopback(0))
				lose(t, server, 0)
				e := newEngine(t, Config{Mode: mode, Shards: 1, hooks: hooks{ports: narrow(ports)}})
				batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: server.Addr, Timeout: 20 * time.Millisecond} }))
				if err != nil {
					t.Fatal(err)
				}
				var said [LocalError + 1]int
				for _, r := range collect(t, batch, probes) {
					said[r.Outcome]++
				}
				s := e.Stats()
				t.Logf("%v, %d stale resets", said, s.StaleResets)
				if said[Open]+said[TimedOut] != probes || said[TimedOut] == 0 {
					t.Errorf("%v", said)
				}
			})
		}
	})
}
