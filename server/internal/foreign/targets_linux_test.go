//go:build foreign

package foreign

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// openPort returns a port of loopback with a listener, from whose queue nothing is taken.
func openPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// closedPort returns a port that a socket holds without listening: its kernel answers with RST.
func closedPort(t *testing.T) string {
	t.Helper()
	_, address := bind(t)
	return address.String()
}

// silentPort returns a port that answers nothing: a listener whose queue, of length 0, is full. The
// kernel drops SYNs to it (tcp_conn_request, net/ipv4/tcp_input.c).
func silentPort(t *testing.T) string {
	t.Helper()
	fd, address := bind(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(os.NewSyscallError("listen", err))
	}
	only, err := net.Dial("tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { only.Close() })
	return address.String()
}

// bind returns a socket with a port of loopback, for the length of the test.
func bind(t *testing.T) (int, netip.AddrPort) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { syscall.Close(fd) })
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback.As4()}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return fd, netip.AddrPortFrom(loopback, uint16(name.(*syscall.SockaddrInet4).Port))
}
