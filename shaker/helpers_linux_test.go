package shaker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// family is one of the two versions of the Internet Protocol, for tests that hold for both.
type family struct {
	name string
	v6   bool
}

var families = []family{{"ipv4", false}, {"ipv6", true}}

// loopback returns the k-th loopback address of the family; IPv6 has but one.
func (f family) loopback(k int) netip.Addr {
	if f.v6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + k)})
}

var modes = []Mode{Reuse, Fresh}

// everywhere runs a test over both modes and both families.
func everywhere(t *testing.T, test func(t *testing.T, mode Mode, f family)) {
	for _, mode := range modes {
		for _, f := range families {
			t.Run(mode.String()+"/"+f.name, func(t *testing.T) { test(t, mode, f) })
		}
	}
}

func newEngine(t testing.TB, c Config) *Engine {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// listener is a raw listening socket that nobody accepts from, so that a test can ask it later whom it noticed.
type listener struct {
	fd   int
	addr netip.AddrPort
}

// listen opens a listener on a port of the kernel's choice, with a queue long enough for the tests.
func listen(t testing.TB, ip netip.Addr) *listener {
	t.Helper()
	return listenBacklog(t, ip, 4096)
}

func listenBacklog(t testing.TB, ip netip.Addr, backlog int) *listener {
	t.Helper()
	l := bound(t, ip)
	if err := unix.Listen(l.fd, backlog); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	return l
}

// bound returns a socket that keeps a port without listening on it: who knocks is refused.
func bound(t testing.TB, ip netip.Addr) *listener {
	t.Helper()
	return boundOf(t, ip, unix.IPPROTO_TCP)
}

func boundOf(t testing.TB, ip netip.Addr, protocol int) *listener {
	t.Helper()
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Addr: ip.As4()}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	var scratch sockaddr
	return &listener{fd, localAddr(int32(fd), &scratch)}
}

// silent returns an address that answers nothing, without any privilege: a listener whose queue, of length 0, is full. The
// kernel drops SYNs to it (tcp_conn_request, net/ipv4/tcp_input.c).
func silent(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	l := listenBacklog(t, ip, 0)
	family := unix.AF_INET
	if ip.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	var to sockaddr
	if errno := connect(int32(fd), &to, to.set(l.addr, 0)); errno != 0 {
		t.Fatal(os.NewSyscallError("connect", errno))
	}
	return l.addr
}

// noticed accepts all that the listener has to give and returns how many that was. It must be asked only when nothing is
// under way any more.
func (l *listener) noticed(t testing.TB) int {
	t.Helper()
	for n := 0; ; n++ {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(os.NewSyscallError("accept4", err))
		}
		unix.Close(fd)
	}
}

// collect reads a batch to its end and returns its results by ID, of which each must be there once.
func collect(t testing.TB, b *Batch, n int) []Result {
	t.Helper()
	all := make([]Result, n)
	count := 0
	for r := range b.All() {
		if r.ID >= uint64(n) || all[r.ID].Outcome != Unspecified {
			t.Fatalf("result %d: unasked for, or a second time", r.ID)
		}
		if r.Outcome == Unspecified {
			t.Fatalf("result %d: no outcome", r.ID)
		}
		all[r.ID] = *r
		count++
	}
	if count != n {
		t.Fatalf("%d results of %d", count, n)
	}
	return all
}

// patience bounds what a test waits for; it is reached only by a failure.
const patience = 30 * time.Second

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
