package shaker

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// realClients makes ordinary connections to a listener of another machine, from each of some source
// ports, and has the server close them first. The server then keeps each in TIME-WAIT for a minute,
// and this host knows nothing of them.
func realClients(t *testing.T, l *listener, near netip.Addr, low, ports int) {
	t.Helper()
	for port := low; port < low+ports; port++ {
		client := realClient(t, l, portOf(near, port))
		var server int
		for began := time.Now(); ; {
			fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
			if err == nil {
				server = fd
				break
			}
			if !errors.Is(err, unix.EAGAIN) || time.Since(began) > patience {
				t.Fatal(err)
			}
		}
		unix.Close(server)
		if n, err := unix.Read(client, make([]byte, 1)); n != 0 || err != nil { // waits for the FIN
			t.Fatalf("the end of a connection: %d, %v", n, err)
		}
		unix.Close(client)
	}
}

func realClient(t *testing.T, l *listener, from netip.AddrPort) int {
	t.Helper()
	family := unix.AF_INET
	if from.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.Bind(fd, testnet.Sockaddr(from))
	if err == nil {
		err = unix.Connect(fd, testnet.Sockaddr(l.Addr))
	}
	if err != nil {
		unix.Close(fd)
		t.Fatal(err)
	}
	return fd
}

// TestTimeWaitOfRealClients: the server holds TIME-WAIT for real clients at each port that probes
// are sent from, without timestamps, and an RST does not end it (tcp_rfc1337). A reused socket may
// meet silence there once, before the first SYN-ACK of the address. After it none does, one at a
// time or many at once. When the server has timestamps, sockets are reused again.
func TestTimeWaitOfRealClients(t *testing.T) {
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		const low, ports, timeout = 50_000, 200, 200 * time.Millisecond
		testnet.Sysctl(t, "net/ipv4/ip_local_port_range", "50000 50199")
		h := testnet.NewHost(t)
		x := f.of(h)
		h.Do(func() {
			testnet.Sysctl(t, "net/ipv4/tcp_rfc1337", "1")
			testnet.Sysctl(t, "net/ipv4/tcp_timestamps", "0")
		})
		elsewhere := listen(t, f.loopback(0))
		e := newEngine(t, Config{Mode: mode, Shards: 2, MaxInFlight: 64})
		warm := func() { // fills the pool with sockets that were used
			t.Helper()
			for _, r := range probeAll(t, e, elsewhere.Addr, 100, patience) {
				if r.Outcome != Open {
					t.Error(r.String())
				}
			}
		}
		const addresses = 12
		silentFirst := 0
		seen := func() bool { return mode == Fresh || silentFirst > 0 }
		for k := 0; (k < addresses || !seen() && k < 5*addresses) && !t.Failed(); k++ {
			l := listenAt(t, h, x.host)
			realClients(t, l, x.near, low, ports)
			warm()
			first := true
			for range 20 {
				r, err := e.Check(patient(t), l.Addr, timeout)
				switch {
				case err != nil:
					t.Fatal(err)
				case r.Outcome == TimedOut && first:
					silentFirst++
				case r.Outcome != Open:
					t.Errorf("%s from %s", r.String(), r.Source)
				}
				first = false
			}
			for range ports / 10 { // few at once, or a port comes back before the server has our RST, again and again
				for _, r := range probeAll(t, e, l.Addr, 10, timeout) {
					if r.Outcome != Open {
						t.Errorf("of many: %s from %s", r.String(), r.Source)
					}
				}
			}
			if n := l.Noticed(t); n != 0 && !stopped(e) {
				t.Errorf("%d noticed", n)
			}
			h.Do(func() {
				testnet.Sysctl(t, "net/ipv4/tcp_timestamps", "1")
			})
			check(t, e, patient(t), l.Addr, timeout, Open)
			before := e.Stats().SocketsOpened
			probeAll(t, e, l.Addr, ports, timeout)
			if n := e.Stats().SocketsOpened - before; mode == Reuse && n > ports/4 {
				t.Errorf("%d sockets for %d probes of a server with timestamps", n, ports)
			}
			h.Do(func() {
				testnet.Sysctl(t, "net/ipv4/tcp_timestamps", "0")
			})
		}
		t.Logf("%d first probes were silent", silentFirst)
		if (silentFirst == 0) == (mode == Reuse) {
			t.Error("the sequence numbers were no matter: this proves nothing")
		}
	})
}

// probeAll makes many probes of one address.
func probeAll(t *testing.T, e *Engine, to netip.AddrPort, n int, timeout time.Duration) []Result {
	t.Helper()
	batch, err := e.Submit(patient(t), probesOf(n, func(int) Probe { return Probe{Addr: to, Timeout: timeout} }))
	if err != nil {
		t.Fatal(err)
	}
	return collect(t, batch, n)
}
