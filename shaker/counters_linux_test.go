package shaker

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/internal/testnet"
	"golang.org/x/sys/unix"
)

// TestTheKernelCountsNoConnection: what the target's kernel counts, which is ours as well here, is one embryonic reset a probe,
// and no passive open; with SYN cookies, which keep no embryo, not even that. Nobody is left in TIME_WAIT.
func TestTheKernelCountsNoConnection(t *testing.T) {
	testnet.Private(t)
	for _, cookies := range []string{"1", "2"} { // when needed, always
		t.Run("syncookies="+cookies, func(t *testing.T) {
			everywhere(t, func(t *testing.T, mode Mode, f family) {
				testnet.Sysctl(t, "net/ipv4/tcp_syncookies", cookies)
				const probes = 1000
				l := listen(t, f.loopback(0))
				e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 100})
				tap := testnet.NewTap(t, "lo", nil)
				before := testnet.Counters(t)
				batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
				if err != nil {
					t.Fatal(err)
				}
				results := collect(t, batch, probes)
				for _, r := range results {
					if r.Outcome != Open || r.Silence != Proven && !stopped(e) {
						t.Fatalf("%s, silence %s", r.String(), r.Silence)
					}
				}
				after := testnet.Counters(t)
				if n := onTheWire(t, e, tap, results, "SYN SYN-ACK RST"); n != probes && !stopped(e) {
					t.Errorf("%d handshakes on the wire, want %d", n, probes)
				}
				embryos := probes
				if cookies == "2" {
					embryos = 0
				}
				for name, want := range map[string]int{
					"TcpPassiveOpens": 0, "TcpActiveOpens": probes, "TcpExtEmbryonicRsts": embryos, "TcpExtTW": 0,
					"TcpEstabResets": probes, // the prober's own side, which is in the same namespace
				} {
					got := after[name] - before[name]
					if got != want && !stopped(e) {
						t.Errorf("%s +%d, want +%d", name, got, want)
					}
				}
				if n := l.Noticed(t); n != 0 && !stopped(e) {
					t.Errorf("%d noticed", n)
				}
			})
		})
	}
}

// TestListenersOfEveryKind answer, and none of them notices.
func TestListenersOfEveryKind(t *testing.T) {
	const probes, mptcp = 200, 262 // IPPROTO_MPTCP
	for _, kind := range []struct {
		name                    string
		protocol, option, value int
	}{
		{"deferred accept", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5},
		{"fast open", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16},
		{"multipath", mptcp, 0, 0},
	} {
		t.Run(kind.name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, mode Mode, f family) {
				l := testnet.Bind(t, f.loopback(0), kind.protocol)
				if kind.option != 0 {
					if err := unix.SetsockoptInt(l.FD, unix.IPPROTO_TCP, kind.option, kind.value); err != nil {
						t.Fatal(err)
					}
				}
				if err := unix.Listen(l.FD, 4096); err != nil {
					t.Fatal(err)
				}
				tap := testnet.NewTap(t, "lo", nil)
				e := newEngine(t, Config{Mode: mode, Shards: 1, MaxInFlight: 100})
				before := testnet.Counters(t)
				batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: l.Addr, Timeout: patience} }))
				if err != nil {
					t.Fatal(err)
				}
				results := collect(t, batch, probes)
				for _, r := range results {
					if r.Outcome != Open || r.Silence != Proven && !stopped(e) {
						t.Fatalf("%s, silence %s", r.String(), r.Silence)
					}
				}
				after := testnet.Counters(t)
				for name, want := range map[string]int{"TcpPassiveOpens": 0, "TcpExtEmbryonicRsts": probes, "TcpExtTW": 0} {
					if got := after[name] - before[name]; got != want && !stopped(e) {
						t.Errorf("%s +%d, want +%d", name, got, want)
					}
				}
				if n := onTheWire(t, e, tap, results, "SYN SYN-ACK RST"); n != probes && !stopped(e) {
					t.Errorf("%d handshakes on the wire, want %d", n, probes)
				}
				if n := l.Noticed(t); n != 0 && !stopped(e) {
					t.Errorf("%d noticed", n)
				}
			})
		})
	}
}

// TestFullQueueIsSilence: a listener whose queue of accepted connections is full does not answer, and the wire holds SYNs alone.
func TestFullQueueIsSilence(t *testing.T) {
	const probes = 100
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		mute := silent(t, f.loopback(0))
		tap := testnet.NewTap(t, "lo", nil)
		e := newEngine(t, Config{Mode: mode, Shards: 1})
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: mute, Timeout: 20 * time.Millisecond} }))
		if err != nil {
			t.Fatal(err)
		}
		results := collect(t, batch, probes)
		for _, r := range results {
			if r.Outcome != TimedOut {
				t.Error(r.String())
			}
		}
		if n := onTheWire(t, e, tap, results, "SYN"); n != probes && !stopped(e) {
			t.Errorf("%d SYNs on the wire, want %d", n, probes)
		}
	})
}

// TestBlockedAcceptNeverReturns: a server that waits in accept(2) all the time goes on waiting, until a client connects as usual.
func TestBlockedAcceptNeverReturns(t *testing.T) {
	const probes = 3000
	everywhere(t, func(t *testing.T, mode Mode, f family) {
		l, err := net.Listen("tcp", netip.AddrPortFrom(f.loopback(0), 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		accepted := make(chan string, probes)
		go func() {
			defer close(accepted)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c.RemoteAddr().String()
				_, _ = io.Copy(io.Discard, c) // until the client has closed: who closes first is left in TIME_WAIT, and the port is ours
				c.Close()
			}
		}()
		addr := netip.MustParseAddrPort(l.Addr().String())
		e := newEngine(t, Config{Mode: mode, Shards: 2})
		batch, err := e.Submit(patient(t), probesOf(probes, func(int) Probe { return Probe{Addr: addr, Timeout: patience} }))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range collect(t, batch, probes) {
			if r.Outcome != Open {
				t.Fatal(r.String())
			}
		}
		usual, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		usual.Close()
		if first := <-accepted; first != usual.LocalAddr().String() && !stopped(e) {
			t.Errorf("accepted %s, before the client that connects as usual", first)
		}
		l.Close()
		for more := range accepted {
			if !stopped(e) {
				t.Errorf("accepted %s as well", more)
			}
		}
	})
}
