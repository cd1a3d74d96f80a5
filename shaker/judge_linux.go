package shaker

import "net/netip"

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
	r.Outcome, r.Retransmits = TimedOut, s.info.Total_retrans
	s.engine.halfOpen.left(r.Source.Port(), &s.table.slots[i].job)
	s.finish(i, &r, false)
}

// judge asks a socket what became of its handshake, and ends it if that is decided. Open takes the kernel's word that our SYN
// was acknowledged: the states and errors after a bare SYN of the peer's (a simultaneous open, RFC 9293 section 3.5) and
// after a SYN-ACK are the same. Only after an RST may the socket be used again: one that an ICMP message reached can hold
// another in its queue, which the next handshake would find.
func (s *shard) judge(i int32) bool {
	x := &s.table.slots[i]
	errno := socketError(x.fd)
	icmp, icmpErrno := s.errors.read(x.fd)
	if asking := s.engine.config.hooks.asking; asking != nil {
		asking()
	}
	s.info = tcpInfo{}
	readInfo(x.fd, &s.info)
	if errno == 0 && s.info.State == tcpClose { // it has died while we asked, and the kernel says why before it dies
		errno = socketError(x.fd)
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
		r.Outcome, r.Cause = judgeICMP(icmp, r.Source.Addr(), r.Addr.Addr().WithZone(""))
		r.ICMP, r.Errno = icmp, icmpErrno
	case errno == eConnRefused && s.info.Segs_in == 0 && s.info.Segs_out > 0:
		// The kernel counts segments, and no RST came: ICMP, of a kernel that does not keep it for us.
		r.Outcome, r.Cause, r.Errno = Unreachable, PortUnreachable, errno
	case errno != 0:
		r.Outcome, r.Cause = answeredWith(errno)
		r.Errno = errno
		if r.Outcome == Refused && s.engine.halfOpen.reset(r.Source.Port(), &x.job) && x.job.stale < mostStaleRepeats {
			x.job.stale++
			s.repeat(i, &r, &s.counters.StaleResets)
			return true
		}
		if again = errno == eConnRefused && !icmp.From.IsValid() && x.usesLeft > 0 && disconnect(x.fd) == 0; again {
			x.drops = readDrops(x.fd) // some kernels count the RST
		}
	case s.info.State == tcpSynSent, s.info.State == tcpSynRecv:
		return false
	default: // the socket has died without a reason; not seen on any kernel
		r.Outcome, r.Cause = LocalError, LocalResources
	}
	if r.Outcome != Refused {
		s.engine.halfOpen.left(r.Source.Port(), &x.job)
	}
	s.finish(i, &r, again)
	return true
}

// judgeICMP says what an ICMP message means. One from an address of our own is our own firewall's doing, unless the target is
// on this host too, and unless it says that the host is unreachable: that is how the kernel reports a neighbour that does
// not answer ARP or neighbour discovery (arp_error_report, net/ipv4/arp.c; ndisc_error_report, net/ipv6/ndisc.c), which is
// the target's silence, or its router's.
func judgeICMP(icmp ICMP, source, target netip.Addr) (Outcome, Cause) {
	neighbour := ICMP{Type: 3, Code: 1, From: icmp.From}
	if icmp.From.Is6() {
		neighbour.Type, neighbour.Code = 1, 3
	}
	onThisHost := target == source || target.IsLoopback()
	if !onThisHost && icmp != neighbour && (icmp.From == source || isOurs(icmp.From)) {
		return LocalError, LocalFiltered
	}
	return Unreachable, icmp.cause()
}
