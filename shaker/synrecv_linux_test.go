package shaker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deafen makes a socket lose all that comes for it, before TCP sees it: a filter that keeps nothing (SO_ATTACH_FILTER of
// socket(7)). Its SYN still reaches the server, whose SYN-ACK is lost.
func deafen(t *testing.T, fd int) {
	t.Helper()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	program := unix.SockFprog{Len: uint16(len(nothing)), Filter: &nothing[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		t.Error(err)
	}
}

// TestServerStillInSYNRECV is why only an answered socket is used again. A server whose SYN-ACK was lost waits in SYN_RECV.
// Where there is one source port to choose from, the next probe comes from the same one. From a new socket its sequence number
// is far away, where that socket comes some milliseconds later, and the server answers. From the old one, or at once, it would be so near
// that the server takes it for a stray of the first handshake and sends an RST: an open port, called refused.
func TestServerStillInSYNRECV(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		for _, end := range []struct {
			name    string
			timeout time.Duration
			outcome Outcome
		}{
			{"timeout", 30 * time.Millisecond, TimedOut},
			{"short timeout", time.Millisecond, TimedOut},
			{"cancel", patience, Canceled},
			{"close", patience, Canceled},
		} {
			t.Run(end.name, func(t *testing.T) {
				server := listen(t, f.loopback(0))
				sockets, deaf := 0, -1
				c := Config{Mode: mode, Shards: 1, hooks: hooks{ports: onePort(), opened: func(fd int) {
					if sockets++; sockets == 1 {
						deafen(t, fd)
						deaf = fd
					}
				}}}
				e := newEngine(t, c)
				ctx, cancel := context.WithCancel(patient(t))
				defer cancel()
				batch, err := e.Submit(ctx, []Probe{{Addr: server.Addr, Timeout: end.timeout}})
				if err != nil {
					t.Fatal(err)
				}
				if end.timeout == patience {
					eventually(t, "it is in flight", func() bool { return e.Stats().InFlight == 1 })
				}
				switch end.name {
				case "cancel":
					<-time.After(30 * time.Millisecond)
					cancel()
				case "close":
					e.Close()
					e = newEngine(t, c)
				}
				first := collect(t, batch, 1)[0]
				if first.Outcome != end.outcome {
					t.Fatalf("first: %s", first.String())
				}
				if end.name != "close" { // Were the socket used again, it would hear the server's RST.
					_ = unix.SetsockoptInt(deaf, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
				}
				second, err := e.Check(patient(t), server.Addr, patience)
				// (The server's first answer is an ACK for the first handshake, so more came than a SYN-ACK: not proven.)
				if err != nil || second.Outcome != Open || second.Silence == Broken && !stopped(e) {
					t.Errorf("second: %s, silence %s, %v", second.String(), second.Silence, err)
				}
				if first.Source != second.Source {
					t.Errorf("from %s and %s: this proves nothing", first.Source, second.Source)
				}
				if n := server.Noticed(t); n != 0 && !stopped(e) {
					t.Errorf("%d noticed", n)
				}
			})
		}
	})
}

var nextPort = 41_000

// onePort gives an engine a single port to send from, another one each time.
func onePort() func() (int, int) {
	nextPort++
	port := nextPort
	return func() (int, int) { return port, port }
}

// TestReuseAfterSilenceIsRefused is the control of the test above: the same, by hand, with one socket that is disconnected and
// used again.
func TestReuseAfterSilenceIsRefused(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			server := listen(t, f.loopback(0))
			port, _ := onePort()()
			fd, errno := openSocket(f.v6, Reuse, uint32(port)|uint32(port)<<16)
			if errno != 0 {
				t.Fatal(errno)
			}
			defer closeSocket(fd)
			deafen(t, fd)
			var to sockaddr
			knock := func() unix.Errno {
				if errno := connect(int32(fd), &to, to.set(server.Addr, 0)); errno != eInProgress {
					t.Fatal(errno)
				}
				if err := awaitAnswer(fd, clock()+int64(50*time.Millisecond)); err != nil {
					t.Fatal(err)
				}
				return socketError(int32(fd))
			}
			if errno := knock(); errno != 0 {
				t.Fatalf("the deaf socket heard %v", errno)
			}
			if errno := disconnect(int32(fd)); errno != 0 {
				t.Fatal(errno)
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
				t.Fatal(err)
			}
			if errno := knock(); errno != unix.ECONNREFUSED {
				t.Errorf("the open port answered %v: on this kernel the rule is not needed", fmt.Sprint(errno))
			}
		})
	}
}
