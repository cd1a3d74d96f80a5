package shaker

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Those that the loop itself has to know.
const (
	eAddrNotAvail = unix.EADDRNOTAVAIL
	eConnRefused  = unix.ECONNREFUSED
	eInProgress   = unix.EINPROGRESS
)

// refusedToSend classes an error that socket(2), its options or connect(2) returned at once: nothing was sent, so it is our
// own trouble, whatever its name sounds like.
func refusedToSend(errno syscall.Errno) Cause {
	switch errno {
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, // no route, or one of type unreachable or throw
		unix.EACCES,       // a route of type prohibit
		unix.EINVAL,       // a route of type blackhole; a link-local address without a zone
		unix.EAFNOSUPPORT: // no IPv6 on this host
		return NoRoute
	case unix.EPERM: // a BPF program of our cgroup
		return LocalFiltered
	default: // EADDRNOTAVAIL, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM
		return LocalResources
	}
}

// answeredWith reads the error of a socket whose handshake failed (tcp_reset and tcp_v4_err, net/ipv4; icmp_err_convert,
// net/ipv4/icmp.c; icmpv6_err_convert, net/ipv6/icmp.c). Where the kernel kept the ICMP message, that knows more.
func answeredWith(errno syscall.Errno) (Outcome, Cause) {
	switch errno {
	case unix.ECONNREFUSED, unix.ECONNRESET: // an RST; the latter, as our SYN was not acknowledged, to a simultaneous open
		return Refused, NoCause
	case unix.ETIMEDOUT: // tcp_syn_retries used up
		return TimedOut, NoCause
	case unix.EHOSTUNREACH, unix.EHOSTDOWN, unix.ENOPROTOOPT, unix.EPROTO:
		return Unreachable, HostUnreachable
	case unix.ENETUNREACH, unix.ENONET, unix.EOPNOTSUPP:
		return Unreachable, NetUnreachable
	case unix.EACCES:
		return Unreachable, Prohibited
	default:
		return LocalError, LocalResources
	}
}
