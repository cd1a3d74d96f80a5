package shaker

import (
	"net/netip"
	"syscall"
)

// How a socket is asked what became of its handshake, where an event or a deadline does not say that it was answered.

// failed ends a handshake whose socket reported trouble, if there is any to find.
func (s *shard) failed(i int32) {
	if !s.judge(i) {
		s.counters.SpuriousErrors++
	}
}

// expired ends a handshake that was not answered in time. It asks once more: an ICMP message that came while connect(2) held
// the socket is only found by asking, and an answer that is there now was there in time, as no poll since the deadline has
// missed it but by our own delay.
func (s *shard) expired(i int32) {
	if s.judge(i) {
		return
	}
	r := s.result(i)
	r.Retransmits = s.info.Total_retrans
	switch {
	case resendFailed(&s.info):
		r.Outcome, r.Errno = LocalError, s.soft
		r.Cause, r.Event = resendFailedWith(s.soft)
	case !s.usable(r.Source.Addr(), r.Addr.Addr()):
		r.Outcome, r.Cause, r.Event = LocalError, NoRoute, NoSource
	default:
		r.Outcome = TimedOut
	}
	j := &s.table.slots[i].job
	s.engine.halfOpen.left(r.Source.Port(), j)
	doubted := j.repeats > j.stale+j.lost // an answer came before, and was not believed
	if r.Outcome == TimedOut && doubted && j.lost < mostLostRepeats {
		j.lost++
		s.repeat(i, &r, &s.counters.Crossings)
		return
	}
	s.finish(i, &r, false)
}

// resendFailed reports whether the kernel has tried to send the SYN again and could not: it counts tries in one field, and segments
// in the other (tcp_update_rto_stats and __tcp_retransmit_skb, net/ipv4).
func resendFailed(info *tcpInfo) bool { return uint32(info.Retransmits) > info.Total_retrans }

// usable reports whether a target can answer to a source address. 0.0.0.0 is nobody's (RFC 1122 section 3.2.1.3), and no router
// forwards to a link-local address (RFC 3927 section 2.6.2, RFC 4291 section 2.5.6). Some hosts have a router that translates
// them. There another target has answered before, and silence is the target's.
func (s *shard) usable(source, target netip.Addr) bool {
	switch {
	case !source.IsValid():
		return true // the kernel did not say
	case source.IsUnspecified():
		return false
	default:
		return !source.IsLinkLocalUnicast() || target.IsLinkLocalUnicast() ||
			s.engine.translated[pool(source.Is6())].Load()
	}
}

// answeredFrom notes that a target has answered to a source address, see usable.
func (s *shard) answeredFrom(source, target netip.Addr) {
	if source.IsLinkLocalUnicast() && !target.IsLinkLocalUnicast() {
		s.engine.translated[pool(source.Is6())].Store(true)
	}
}

// judge asks a socket what became of its handshake, and ends it if that is decided. Open takes the kernel's word that our SYN
// was acknowledged: the states and errors after a bare SYN of the peer's (a simultaneous open, RFC 9293 section 3.5) and
// after a SYN-ACK are the same. Only after an RST may the socket be used again: one that an ICMP message reached can hold
// another in its queue, which the next handshake would find.
//
// An errno without an ICMP message in the queue never speaks of the target. In a socket that still waits it is a soft error: of
// a SYN that could not be sent again, or left over from the socket's earlier use, which a disconnect does not clear
// (tcp_disconnect, net/ipv4/tcp.c). See expired.
func (s *shard) judge(i int32) bool {
	x := &s.table.slots[i]
	errno := socketError(x.fd)
	icmp, icmpErrno := s.errors.read(x.fd)
	if asking := s.engine.config.hooks.asking; asking != nil {
		asking()
	}
	s.info = tcpInfo{}
	readInfo(x.fd, &s.info)
	if s.info.State == tcpClose { // it may have died while we asked, and the kernel says why before it dies
		if late := socketError(x.fd); late != 0 {
			errno = late
		}
		if !icmp.From.IsValid() {
			icmp, icmpErrno = s.errors.read(x.fd)
		}
	}
	r := s.result(i)
	r.Retransmits = s.info.Total_retrans
	again := false
	switch {
	case s.info.Bytes_acked > 0: // ESTABLISHED by now, or reset after that
		s.open(i, &r, false)
		return true
	case icmp.From.IsValid() && (errno == 0 || errno == icmpErrno):
		r.Outcome, r.Cause = judgeICMP(icmp, r.Source.Addr(), r.Addr.Addr().WithZone(""), s.isOurs)
		r.ICMP, r.Errno = icmp, icmpErrno
	case s.info.State == tcpSynSent, s.info.State == tcpSynRecv:
		s.soft = errno
		return false
	case isReset(errno, &s.info):
		r.Outcome, r.Errno = Refused, errno
		s.answeredFrom(r.Source.Addr(), r.Addr.Addr())
		if s.engine.halfOpen.reset(r.Source.Port(), &x.job) && x.job.stale < mostStaleRepeats {
			x.job.stale++
			s.repeat(i, &r, &s.counters.StaleResets)
			return true
		}
		if again = errno == eConnRefused && !icmp.From.IsValid() && x.usesLeft > 0 && disconnect(x.fd) == 0; again {
			x.drops = readDrops(x.fd) // some kernels count the RST
		}
	default:
		r.Outcome, r.Errno = LocalError, errno
		r.Cause, r.Event = diedOf(errno, resendFailed(&s.info))
	}
	if r.Outcome != Refused {
		s.engine.halfOpen.left(r.Source.Port(), &x.job)
	}
	s.finish(i, &r, again)
	return true
}

// isReset reports whether an RST ended a handshake. ECONNRESET says so too, to a simultaneous open. The kernel counts segments, so
// without one ECONNREFUSED is an ICMP message of a kernel that does not keep it for us.
func isReset(errno syscall.Errno, info *tcpInfo) bool {
	counted := info.Segs_in > 0 || info.Segs_out == 0 // an old kernel counts none
	return counted && (errno == eConnRefused || errno == eConnReset)
}

// judgeICMP says what an ICMP message means. One from an address of our own is our own firewall's doing, unless the target is
// on this host too, and unless it says that the host is unreachable: that is how the kernel reports a neighbour that does
// not answer ARP or neighbour discovery (arp_error_report, net/ipv4/arp.c; ndisc_error_report, net/ipv6/ndisc.c), which is
// the target's silence, or its router's.
func judgeICMP(icmp ICMP, source, target netip.Addr, isOurs func(netip.Addr) bool) (Outcome, Cause) {
	onThisHost := target == source || target.IsLoopback()
	if !onThisHost && !icmp.neighbour() && (icmp.From == source || isOurs(icmp.From)) {
		return LocalError, LocalFiltered
	}
	return Unreachable, icmp.cause()
}
