package shaker

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// asker asks the kernel's routing by datagram sockets, one of each family: connect(2) of one looks
// up a route and a source address, and sends nothing. The sockets are open from the start, so that
// no shortage of descriptors changes an answer. It belongs to one loop.
type asker struct{ fds [2]int32 } // of IPv4 and IPv6, see pool; -1: this host has no such family

func openAsker() (a asker, err error) {
	for i, family := range []int{unix.AF_INET, unix.AF_INET6} {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		switch {
		case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
			fd = -1
		case err != nil:
			for _, open := range a.fds[:i] {
				closeAsked(open)
			}
			return a, os.NewSyscallError("socket", err)
		}
		a.fds[i] = int32(fd)
	}
	return a, nil
}

func (a *asker) close() {
	for _, fd := range a.fds {
		closeAsked(fd)
	}
}

func closeAsked(fd int32) {
	if fd >= 0 {
		closeSocket(int(fd))
	}
}

// isOurs reports whether an address is one of this host's: toward an address of its own a host
// sends from that address. Binding to it would prove nothing where net.ipv4.ip_nonlocal_bind is
// set.
func (a *asker) isOurs(ip netip.Addr) bool {
	fd := a.fds[pool(ip.Is6())]
	if fd < 0 {
		return false
	}
	var to sockaddr
	disconnect(fd)
	const discard = 9 // any port
	if connect(fd, &to, to.set(netip.AddrPortFrom(ip, discard), 0)) != 0 {
		return false
	}
	return localAddr(fd, &to).Addr() == ip
}

// noSource reports whether this host has no address to send from toward a target. EADDRNOTAVAIL
// says so, and for TCP it also says that all source ports are taken.
func (a *asker) noSource(j *job) bool {
	fd := a.fds[pool(j.addr.Addr().Is6())]
	if fd < 0 {
		return false
	}
	var to sockaddr
	disconnect(fd)
	return connect(fd, &to, to.set(j.addr, j.scope)) == eAddrNotAvail
}

// isOurs asks the state of the host's network or, without netlink, by routing.
func (s *shard) isOurs(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	if w := s.engine.witness; w != nil {
		return w.host.State().Own(ip)
	}
	return s.ask.isOurs(ip)
}
