package bench

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// goals is how many targets there are, over eight addresses where the family has as many.
const goals = 64

// loopback returns the k-th loopback address of a family; IPv6 has but one.
func loopback(family string, k int) netip.Addr {
	if family == "ipv6" {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + k%8)})
}

// port is a bound socket; nobody accepts from it until the end.
type port struct {
	fd   int
	addr netip.AddrPort
}

// openPorts binds some and, with a backlog that is not negative, listens. They live as long as the process, or until closePorts.
func openPorts(family string, n, backlog int) ([]port, error) {
	ports := make([]port, n)
	for i := range ports {
		p, err := bind(loopback(family, i))
		if err != nil {
			return nil, err
		}
		if backlog >= 0 {
			if err := unix.Listen(p.fd, backlog); err != nil {
				return nil, os.NewSyscallError("listen", err)
			}
		}
		ports[i] = p
	}
	return ports, nil
}

func bind(ip netip.Addr) (port, error) {
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: ip.As16()})
	if ip.Is4() {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, at); err != nil {
		return port{}, os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return port{}, os.NewSyscallError("getsockname", err)
	}
	number := 0
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		number = name.Port
	case *unix.SockaddrInet6:
		number = name.Port
	}
	return port{fd, netip.AddrPortFrom(ip, uint16(number))}, nil
}

// noticed returns how many connections ports have to give: of handshakes that were left in time, none. A machine that stands still for
// 200 ms makes some.
func noticed(ports []port) (n int) {
	for _, p := range ports {
		for {
			fd, _, err := unix.Accept4(p.fd, unix.SOCK_CLOEXEC)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				break
			}
			unix.Close(fd)
			n++
		}
	}
	return n
}

func closePorts(ports []port) {
	for _, p := range ports {
		unix.Close(p.fd)
	}
}

// silentPorts are listeners whose queues, of length 0, are full: the kernel drops SYNs to them (tcp_conn_request,
// net/ipv4/tcp_input.c).
func silentPorts(n int) ([]port, error) {
	ports, err := openPorts("ipv4", n, 0)
	if err != nil {
		return nil, err
	}
	for _, p := range ports {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, os.NewSyscallError("socket", err)
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: p.addr.Addr().As4(), Port: int(p.addr.Port())}); err != nil {
			return nil, os.NewSyscallError("connect", err)
		}
	}
	return ports, nil
}
