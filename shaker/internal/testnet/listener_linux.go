package testnet

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Listener is a raw socket from which nobody accepts until a test asks it whom it noticed. It
// is closed when the test ends.
type Listener struct {
	FD   int
	Addr netip.AddrPort
}

// Listen opens a listener with a queue long enough for the tests.
func Listen(t testing.TB, ip netip.Addr) *Listener {
	t.Helper()
	return ListenBacklog(t, ip, 4096)
}

// ListenBacklog opens a listener with a queue of its own length.
func ListenBacklog(t testing.TB, ip netip.Addr, backlog int) *Listener {
	t.Helper()
	l := Bind(t, ip, unix.IPPROTO_TCP)
	l.listen(t, backlog)
	return l
}

func (l *Listener) listen(t testing.TB, backlog int) {
	t.Helper()
	if err := unix.Listen(l.FD, backlog); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
}

// Ports of a test's own: below those that the kernel picks, so that no test meets another's, or a rest of it in TIME_WAIT, where it
// counts on certain source ports.
const firstPort, ports = 10_000, 20_000

var bound atomic.Uint32

// Bind opens a socket of the protocol, TCP (or 0) or another that looks like it, that keeps a port without listening on it: who knocks
// there is refused.
func Bind(t testing.TB, ip netip.Addr, protocol int) *Listener {
	t.Helper()
	for range ports {
		l, err := bind(t, netip.AddrPortFrom(ip, uint16(firstPort+bound.Add(1)%ports)), protocol)
		switch {
		case err == nil:
			return l
		case !errors.Is(err, unix.EADDRINUSE):
			t.Fatal(err)
		}
	}
	t.Fatal("no port is free")
	return nil
}

// ListenAt opens a listener on a certain port, or on one that the kernel picks where it is 0.
func ListenAt(t testing.TB, addr netip.AddrPort) *Listener {
	t.Helper()
	l, err := bind(t, addr, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	l.listen(t, 4096)
	return l
}

func bind(t testing.TB, addr netip.AddrPort, protocol int) (*Listener, error) {
	fd, err := unix.Socket(int(familyOf(addr.Addr())), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, Sockaddr(addr)); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if addr.Port() == 0 {
		name, err := unix.Getsockname(fd)
		if err != nil {
			return nil, os.NewSyscallError("getsockname", err)
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			addr = netip.AddrPortFrom(addr.Addr(), uint16(name.Port))
		case *unix.SockaddrInet6:
			addr = netip.AddrPortFrom(addr.Addr(), uint16(name.Port))
		}
	}
	return &Listener{fd, addr}, nil
}

// Sockaddr returns an address as package unix has it.
func Sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}
	}
	return &unix.SockaddrInet6{Addr: addr.Addr().As16(), Port: int(addr.Port())}
}

// Silent returns an address that answers nothing, without any privilege: a listener whose queue, of length 0, is full. The
// kernel drops SYNs to it (tcp_conn_request, net/ipv4/tcp_input.c).
func Silent(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	l := ListenBacklog(t, ip, 0)
	only := Bind(t, ip, unix.IPPROTO_TCP)
	if err := unix.SetNonblock(only.FD, false); err != nil {
		t.Fatal(os.NewSyscallError("fcntl", err))
	}
	if err := unix.Connect(only.FD, Sockaddr(l.Addr)); err != nil {
		t.Fatal(os.NewSyscallError("connect", err))
	}
	return l.Addr
}

// Noticed accepts all that the listener has to give and returns how many that was. It must be asked only when nothing is
// under way any more.
func (l *Listener) Noticed(t testing.TB) int {
	t.Helper()
	for n := 0; ; n++ {
		fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(os.NewSyscallError("accept4", err))
		}
		unix.Close(fd)
	}
}
