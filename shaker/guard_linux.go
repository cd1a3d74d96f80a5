package shaker

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The least hop counts of a socket. Hosts send with a hop count of 64 or 128, and each router
// lowers it, so deafHopCount keeps out all segments. anyHopCount keeps out none.
const (
	deafHopCount = 255
	anyHopCount  = 0
)

// setLeastHopCount sets IP_MINTTL (ip(7)) or IPV6_MINHOPCOUNT: TCP gets no segment with a lower hop
// count (tcp_v4_rcv, net/ipv4/tcp_ipv4.c). It is called between an answer and the leaving, see
// connect.
func setLeastHopCount(fd int32, v6 bool, count int32) syscall.Errno {
	level, name := uintptr(unix.IPPROTO_IP), uintptr(unix.IP_MINTTL)
	if v6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), level, name,
		uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count), 0)
	return errno
}

// guard makes a socket that was answered deaf until it is disconnected, if its target may send more
// than a SYN-ACK. TCP acknowledges data at once. If it came between the reading of the counters and
// the leaving, nothing else would tell. It returns what is known of the target, and whether the
// silence can be proven.
//
// In mode Fresh each socket is made deaf: then its drops need not be read, so it costs nothing. A
// socket that is used again needs two calls more, of which one makes it hear again. They cost a
// tenth of a probe, so a target that was quiet before is spared them. The kernel counts what a deaf
// socket does not get, so a target counts as quiet only if it sent nothing until we left.
func (s *shard) guard(x *slot) (of manner, provable bool) {
	of = s.engine.manners.of(&x.job)
	if s.mode == Reuse && of == quiet {
		return of, true
	}
	x.deaf = !s.engine.config.hooks.noHopCount && setLeastHopCount(x.fd, x.v6, deafHopCount) == 0
	return of, x.deaf && of != talkative
}

// observe notes how a target has behaved in a handshake whose counters were read. hidden says that
// its socket was deaf, and that a segment came.
func (s *shard) observe(x *slot, was manner, hidden bool, silence Silence) {
	now := unknown
	switch {
	case s.info.Data_segs_in > 0 || s.info.Bytes_received > 0 || s.info.State == tcpCloseWait:
		now = talkative
	case was == talkative, was == quiet && silence == Proven && !hidden: // the latter is the usual case
		return
	case hidden:
	case silence == Proven:
		now = was.better()
	}
	s.engine.manners.set(&x.job, now)
}
