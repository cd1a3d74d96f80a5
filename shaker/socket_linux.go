package shaker

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ipLocalPortRange is IP_LOCAL_PORT_RANGE of ip(7), Linux 6.3 on. Setting it, even to the range of the sysctl, makes the
// kernel use ports of both parities from the start, which keeps connect(2) fast when many are taken.
const ipLocalPortRange = 51

// tcpInfo is TCP_INFO of tcp(7). An old kernel fills less of it and leaves the rest 0.
type tcpInfo = unix.TCPInfo

// States of tcpInfo.State that matter here (include/net/tcp_states.h).
const (
	tcpEstablished = 1
	tcpSynSent     = 2
	tcpSynRecv     = 3
	tcpClose       = 7
	tcpCloseWait   = 8
)

// openSocket opens a socket that holds back the last ACK, sends an RST when it leaves, and is not inherited.
//
// TCP_DEFER_ACCEPT, set on the client's side, makes the kernel delay the ACK of a SYN-ACK in the hope of data to go with it
// (tcp_rcv_synsent_state_process, net/ipv4/tcp_input.c), and outlives a disconnect; TCP_QUICKACK 0 does the same once. The
// fresh socket sets both, as kernels differ in what they keep. SO_LINGER {1,0} makes close(2), also the one of kill -9, send an
// RST in place of a FIN, which would be an ACK as well. IPV6_RECVERR keeps ICMPv6 errors for us to read; over IPv4 the kernel
// does that unasked. TCP_SYNCNT keeps the kernel from giving up before the probe's timeout, which tcp_syn_retries of tcp(7) would
// set for all programs. A port range of 0 sets none.
func openSocket(v6 bool, mode Mode, portRange uint32) (fd int, err syscall.Errno) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, e := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if e != nil {
		return -1, errnoOf(e)
	}
	e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1)
	if e == nil {
		e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, mostSYNs)
	}
	if e == nil && mode == Fresh {
		e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	if e == nil {
		e = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	}
	if e == nil && v6 {
		if e = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); e == nil {
			e = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
		}
	}
	if e != nil {
		closeSocket(fd)
		return -1, errnoOf(e)
	}
	if portRange != 0 {
		setPortRange(fd, portRange)
	}
	return fd, 0
}

// mostSYNs is the greatest TCP_SYNCNT (MAX_TCP_SYNCNT, include/net/tcp.h): hours.
const mostSYNs = 127

// setPortRange sets from which ports a socket may send: the lowest one, and the highest in the upper half. Older kernels do without.
func setPortRange(fd int, portRange uint32) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, ipLocalPortRange, int(portRange))
}

func closeSocket(fd int) { _ = unix.Close(fd) }

// errnoOf returns the number of an error of package unix, which are all numbers.
func errnoOf(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok { // package unix does not wrap
		return e
	}
	return unix.EIO
}

// The calls below are made for every probe, and none of them can sleep, so they go without telling the scheduler, which
// would cost as much as the cheaper of them.

// connect starts a handshake, or with unspecified disconnects.
func connect(fd int32, to *sockaddr, length uintptr) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(to)), length)
	return errno
}

// disconnect ends whatever the socket is at, with an RST where the peer has answered, and makes it new again but for its
// options (tcp_disconnect, net/ipv4/tcp.c).
func disconnect(fd int32) syscall.Errno {
	return connect(fd, &unspecified, unix.SizeofSockaddrInet4)
}

// readInfo fills info from the socket's TCP_INFO.
func readInfo(fd int32, info *tcpInfo) syscall.Errno {
	length := uint32(unsafe.Sizeof(*info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&length)), 0)
	return errno
}

// readDrops returns how many segments the socket's TCP has dropped in its life, which outlasts a disconnect: SK_MEMINFO_DROPS of
// SO_MEMINFO (include/uapi/linux/sock_diag.h, Linux 4.12 on). 0 where it cannot be read.
func readDrops(fd int32) uint32 {
	const dropsOf = 8 // the last of the values
	var values [dropsOf + 1]uint32
	length := uint32(unsafe.Sizeof(values))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&values)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return 0
	}
	return values[dropsOf]
}

// socketError reads and clears the socket's error, or a soft one where there is no other (sk_getsockopt, net/core/sock.c).
func socketError(fd int32) syscall.Errno {
	var value int32
	length := uint32(unsafe.Sizeof(value))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return syscall.Errno(value)
}

// localAddr returns where the socket sends from, not valid where it does not know.
func localAddr(fd int32, scratch *sockaddr) netip.AddrPort {
	length := uint32(len(scratch))
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(scratch)),
		uintptr(unsafe.Pointer(&length)))
	if errno != 0 {
		return netip.AddrPort{}
	}
	return scratch.addrPort()
}

// Lengths and places in struct sock_extended_err (include/uapi/linux/errqueue.h), after which the sender's sockaddr stands.
const (
	errErrno  = 0
	errOrigin = 4
	errType   = 5
	errCode   = 6
	errSender = 16
)

// errorQueue is the room to read a socket's error queue into. Its zero value is ready.
type errorQueue struct {
	message unix.Msghdr
	control [256]byte
}

// read takes the oldest message off the socket's error queue (MSG_ERRQUEUE of recv(2)): an ICMP message, and the errno that the
// kernel made of it. The zero value means that there was none.
func (q *errorQueue) read(fd int32) (ICMP, syscall.Errno) {
	q.message = unix.Msghdr{Control: &q.control[0]}
	q.message.SetControllen(len(q.control))
	_, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&q.message)),
		unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if errno != 0 {
		return ICMP{}, 0
	}
	messages, err := unix.ParseSocketControlMessage(q.control[:q.message.Controllen])
	if err != nil {
		return ICMP{}, 0
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if (v4 || v6) && len(m.Data) >= errSender+unix.SizeofSockaddrInet4 {
			return parseICMP(m.Data)
		}
	}
	return ICMP{}, 0
}

func parseICMP(b []byte) (ICMP, syscall.Errno) {
	if o := b[errOrigin]; o != unix.SO_EE_ORIGIN_ICMP && o != unix.SO_EE_ORIGIN_ICMP6 {
		return ICMP{}, 0
	}
	var sender sockaddr
	copy(sender[:], b[errSender:])
	icmp := ICMP{Type: b[errType], Code: b[errCode], From: sender.addrPort().Addr()}
	return icmp, syscall.Errno(binary.NativeEndian.Uint32(b[errErrno:]))
}
