package testnet

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Listener is a raw socket on a port of the kernel's choice, from which nobody accepts until a test asks it whom it noticed. It
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

// Bind opens a socket of the protocol, TCP (or 0) or another that looks like it, that keeps a port without listening on it: who knocks
// there is refused.
func Bind(t testing.TB, ip netip.Addr, protocol int) *Listener {
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
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	port := 0
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		port = name.Port
	case *unix.SockaddrInet6:
		port = name.Port
	}
	return &Listener{fd, netip.AddrPortFrom(ip, uint16(port))}
}

// Silent returns an address that answers nothing, without any privilege: a listener whose queue, of length 0, is full. The
// kernel drops SYNs to it (tcp_conn_request, net/ipv4/tcp_input.c).
func Silent(t testing.TB, ip netip.Addr) netip.AddrPort {
	t.Helper()
	l := ListenBacklog(t, ip, 0)
	var sa unix.Sockaddr
	family := unix.AF_INET
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Addr: ip.As4(), Port: int(l.Addr.Port())}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16(), Port: int(l.Addr.Port())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, sa); err != nil {
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
