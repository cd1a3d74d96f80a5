package shaker

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Those that the loop itself has to know.
const (
	eAddrNotAvail = unix.EADDRNOTAVAIL
	eConnRefused  = unix.ECONNREFUSED
	eConnReset    = unix.ECONNRESET
	eInProgress   = unix.EINPROGRESS
)

// ownErrnos says what an error means with which our own kernel refuses to send a SYN: socket(2),
// its options, connect(2), or the sending of the SYN again. An errno that is not here means
// LocalResources. TestErrnosAreClassed walks all of them.
var ownErrnos = map[syscall.Errno]Cause{
	unix.ENETUNREACH:  NoRoute, // no route, or one of type throw
	unix.EHOSTUNREACH: NoRoute, // a route of type unreachable
	unix.EINVAL:       NoRoute, // a route of type blackhole; a source address that was removed; no zone with a link-local target
	unix.ENETDOWN:     NoRoute, // the interface is down
	unix.EHOSTDOWN:    NoRoute,
	unix.ENODEV:       NoRoute, // the interface of a zone is gone
	unix.ENXIO:        NoRoute,
	unix.EAFNOSUPPORT: NoRoute, // no IPv6 on this host

	unix.EACCES:       LocalFiltered, // a route of type prohibit; SELinux, Landlock, seccomp
	unix.EPERM:        LocalFiltered, // a BPF program of our cgroup; a firewall
	unix.ECONNREFUSED: LocalFiltered, // a security module that labels packets (NF_DROP_ERR, security/selinux/hooks.c)
}

// refusedToSend classes an error with which our own kernel refused to send: it is our own trouble,
// whatever its name sounds like.
func refusedToSend(errno syscall.Errno) Cause {
	if cause, ok := ownErrnos[errno]; ok {
		return cause
	}
	return LocalResources // EADDRNOTAVAIL, EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM
}

// diedOf classes the errno of a socket that is dead, has got neither a SYN-ACK nor an RST, and
// keeps no ICMP message. Such an errno never speaks of the target. resendFailed says that the
// kernel could not send the SYN again.
//
// Before Linux 5.11 the kernel keeps no ICMP message over IPv4. A firewall of our own may have sent
// it, so the target is not blamed (tcp_v4_err, net/ipv4/tcp_ipv4.c).
func diedOf(errno syscall.Errno, resendFailed bool) (Cause, Event) {
	switch {
	case errno == unix.ECONNABORTED: // tcp_abort, net/ipv4/tcp.c
		return LocalResources, Aborted
	case resendFailed:
		return resendFailedWith(errno)
	case errno == unix.ETIMEDOUT, errno == 0: // tcp_write_err, net/ipv4/tcp_timer.c
		return LocalResources, GaveUp
	default:
		return LocalFiltered, NoEvent
	}
}

// resendFailedWith classes the errno of a SYN that could not be sent again. 0 means that the one
// before has not left yet (EBUSY of tcp_retransmit_skb, net/ipv4/tcp_output.c, which the socket
// does not keep).
func resendFailedWith(errno syscall.Errno) (Cause, Event) {
	if errno == 0 {
		return LocalResources, ResendFailed
	}
	cause := refusedToSend(errno)
	if cause == LocalResources || errno == unix.EPERM || errno == unix.ECONNREFUSED {
		return cause, ResendFailed
	}
	return cause, RouteLost
}
