package shaker

import (
	"syscall"
	"time"
)

// What becomes of one handshake: begin sends its SYN; answered, failed, expired and dropped are its four ends. Each of them
// builds the Result and gives it to answer, in shard_linux.go, the one place that answers; the first three pass through finish.

// left tells how a socket was disconnected whose counters were read right after the clock before; ok says that it was.
func (s *shard) left(x *slot, ok bool, before int64) leaving {
	took := time.Duration(clock() - before)
	l := leaving{took: took}
	if !ok { // not seen on any kernel; closing the socket is what leaves then
		l.took = -1
	}
	if s.mode == Reuse || !x.deaf {
		drops := readDrops(x.fd)
		more := drops != x.drops+s.engine.usualDrops
		l.dropped, l.hidden = more && !x.deaf, more && x.deaf
		x.drops = drops
	}
	if took > clockGrain { // the time of the last segment outlasts the disconnect
		var again tcpInfo
		l.stirred = readInfo(x.fd, &again) != 0 || stirred(sinceACK(&s.info), sinceACK(&again), took)
	}
	return l
}

func sinceACK(info *tcpInfo) time.Duration {
	return time.Duration(info.Last_ack_recv) * time.Millisecond
}

// How often one probe is made again because its answer may have been to another probe of ours, see halfOpen and doors. From few ports,
// each a few milliseconds after its last use, every handshake whose RST was lost has its stale reset: where one of 64 is lost, five in a
// row are one in a thousand million. Of a port that has just been closed each try is a SYN in vain. Where one crossing is likely
// the next is as well: another loop that is stopped knocks at as many ports as it starts in a turn.
// After a doubted answer one silence may be a lost packet, so it is not the target's last word.
const (
	mostStaleRepeats = 4
	mostLostRepeats  = 8
	mostRepeats      = 16
)

// asideTries is how many source ports a repeat tries at random. With nine of ten ports knocked at, eight tries find a quiet one in
// more than half of the cases, and a probe has up to 16 repeats.
const asideTries = 8

// begin starts a job in a socket of its family. The job has a place at its address.
func (s *shard) begin(sh *share, j *job, at *address) {
	i, errno := s.takeSocket(j.addr.Addr().Is6(), s.mode == Reuse && s.engine.freshOnly.has(j))
	if errno != 0 {
		s.notSent(sh, j, at, errno)
		return
	}
	x := &s.table.slots[i]
	length := s.scratch.set(j.addr, j.scope)
	s.engine.doors.knock(j.addr.Port())
	started := clock()
	if j.repeats > 0 {
		errno = s.connectAside(x, length)
	} else {
		errno = connect(x.fd, &s.scratch, length)
	}
	if errno != eInProgress && errno != 0 {
		s.discard(i)
		s.engine.doors.leave(j.addr.Port())
		s.notSent(sh, j, at, errno)
		return
	}
	s.counters.Started++
	if j.repeats == 0 {
		s.counters.QueueWait.observe(time.Duration(started - j.queued))
	}
	x.job, x.address, x.started = *j, at, started
	s.table.fly(i, sh)
	s.deadlines.set(i, after(started, j.timeout))
}

// notSent ends a job that the kernel would not start. Where it had no source port left toward the address and one of ours
// will give one back, the job waits for that.
func (s *shard) notSent(sh *share, j *job, at *address, errno syscall.Errno) {
	r := unsent(j, clock())
	r.Outcome, r.Cause, r.Errno = LocalError, refusedToSend(errno), errno
	switch {
	case errno != eAddrNotAvail:
	case s.ask.noSource(j):
		r.Cause, r.Event = NoRoute, NoSource
	default:
		s.counters.PortsExhausted++
		if s.addresses.exhausted(at) {
			s.queued++
			at.park(*j, sh)
			return
		}
	}
	s.release(at)
	s.answer(sh, &r)
}

// answered ends a handshake whose socket reported a connection and nothing else.
func (s *shard) answered(i int32) {
	r := s.result(i)
	s.open(i, &r, true)
}

// open ends a handshake that was answered with a SYN-ACK: it reads the counters and leaves, with an RST. What can be said of
// the silence follows from how long that took. Again says whether the socket may be used again.
func (s *shard) open(i int32, r *Result, again bool) {
	x := &s.table.slots[i]
	if stall := s.engine.config.hooks.beforeReading; stall != nil {
		stall()
	}
	manner, provable := s.guard(x)
	s.engine.halfOpen.left(r.Source.Port(), &x.job)
	before := clock()
	known := readInfo(x.fd, &s.info) == 0
	if stall := s.engine.config.hooks.stall; stall != nil {
		stall()
	}
	left := disconnect(x.fd) == 0
	if stall := s.engine.config.hooks.afterLeaving; stall != nil {
		stall()
	}
	l := s.left(x, left, before)
	l.exposed = !provable

	if r.Source.Port() == r.Addr.Port() && r.Source.Addr() == r.Addr.Addr().WithZone("") {
		// The kernel picked the target's own port as source, and the SYN met itself: a simultaneous open (RFC 9293 section
		// 3.5). Nobody listens there, for a listener would have kept the kernel from picking the port. If only the ports are
		// equal, the probe's own knock makes crossed doubt the answer: a NAT may have sent the SYN back, or the target is genuine.
		s.counters.SelfConnects++
		r.Outcome, r.Errno = Refused, eConnRefused
		s.finish(i, r, false)
		return
	}
	if s.engine.doors.crossed(r.Source.Port(), x.started) {
		s.repeat(i, r, &s.counters.Crossings)
		return
	}
	r.Outcome, r.Silence = Open, Unproven
	s.answeredFrom(r.Source.Addr(), r.Addr.Addr())
	if known {
		r.Silence = silence(countersOf(&s.info), l)
		r.Options = Options(s.info.Options) & allOptions
		r.Retransmits = s.info.Total_retrans
		r.RTT = time.Duration(s.info.Rtt) * time.Microsecond
		s.learn(&x.job, r.Options)
		s.observe(x, manner, l.hidden, r.Silence)
	}
	s.finish(i, r, again && left && x.usesLeft > 0)
}

// learn notes what an answer says of how its address is to be asked, see freshOnly.
func (s *shard) learn(j *job, options Options) {
	switch {
	case s.mode != Reuse: // all sockets are fresh
	case options&Timestamps != 0:
		s.engine.freshOnly.remove(j)
	default:
		s.engine.freshOnly.add(j)
	}
}

// connectAside starts the last handshake of a socket, to the address in s.scratch, which has been knocked at. Its source port is
// one at which no probe of ours knocks, so it is not the target's either: an answer then cannot be our own. If a few tries find no
// such port that is free, or before Linux 6.3, the kernel chooses: from any part of the port range, for it takes source ports
// toward one target in their order, and beside the port of the last try there may be the same trouble.
func (s *shard) connectAside(x *slot, length uintptr) syscall.Errno {
	x.usesLeft = 0
	low, high := s.portRange&0xffff, s.portRange>>16
	for range asideTries {
		port := low + s.random()%(high-low+1)
		if !s.engine.doors.quiet(uint16(port)) {
			continue
		}
		setPortRange(int(x.fd), port|port<<16)
		if errno := connect(x.fd, &s.scratch, length); errno != eAddrNotAvail {
			return errno
		}
	}
	setPortRange(int(x.fd), low+s.random()%((high-low)/2+1)|high<<16)
	return connect(x.fd, &s.scratch, length)
}

// repeat ends a handshake whose answer may not be the target's to it, see doors and halfOpen, and has another made in its place, from
// another port, and counts that. Where that keeps happening, the answer is that we cannot tell.
func (s *shard) repeat(i int32, r *Result, counter *uint64) {
	x := &s.table.slots[i]
	j, sh, at := x.job, x.share, x.address
	switch {
	case sh.ended != nil:
		r.Outcome, r.Errno, r.Err = Canceled, 0, sh.ended
	case j.repeats == mostRepeats:
		r.Outcome, r.Cause, r.Errno = LocalError, LocalResources, 0
	default:
		*counter++
		j.repeats++
		j.queued += clock() - x.started // which was no waiting
		s.counters.Retransmits += uint64(s.info.Total_retrans)
		s.land(i)
		s.discard(i)
		s.engine.doors.leave(at.key.Port())
		s.queued++
		sh.handed.push(&waiter{job: j, share: sh, address: at})
		s.callers.enqueue(sh)
		return
	}
	s.finish(i, r, false)
}

func countersOf(info *tcpInfo) counters {
	return counters{
		sent:        info.Segs_out,
		resent:      info.Total_retrans,
		received:    info.Segs_in,
		sinceAnswer: time.Duration(max(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond,
		dead:        info.State == tcpClose,
	}
}

// dropped ends a handshake that is no longer wanted. Its caller waits for the answer, and closing a socket takes ten times as
// long as answering, so the socket is closed later, by bury.
func (s *shard) dropped(i int32, why error) {
	r := s.result(i)
	if readInfo(s.table.slots[i].fd, &s.info) == 0 {
		r.Retransmits = s.info.Total_retrans
	}
	r.Outcome, r.Err = Canceled, why
	s.engine.halfOpen.left(r.Source.Port(), &s.table.slots[i].job)
	sh := s.table.slots[i].share
	s.land(i)
	s.doom(i)
	s.counters.Retransmits += uint64(r.Retransmits)
	s.answer(sh, &r)
}

// bury closes the sockets that may be closed now, a bounded number in a turn.
func (s *shard) bury() {
	for range min(len(s.table.doomed), buriedPerTurn) {
		last := len(s.table.doomed) - 1
		i := s.table.doomed[last]
		s.table.doomed = s.table.doomed[:last]
		s.gone(i, s.discard)
	}
}

// result begins the result of a slot in flight. It must be called before the socket is disconnected, which forgets its source.
func (s *shard) result(i int32) Result {
	x := &s.table.slots[i]
	source := localAddr(x.fd, &s.scratch)
	return Result{
		ID:      x.job.id,
		Addr:    x.job.addr,
		Source:  source,
		Queued:  time.Duration(x.started - x.job.queued),
		Elapsed: time.Duration(max(1, clock()-x.started)),
	}
}

// finish ends the flight of a slot: every field that begin set is given back here. The socket is kept for another handshake if
// it may be, which the caller has made sure of: the target itself answered, and the socket is disconnected.
func (s *shard) finish(i int32, r *Result, keep bool) {
	x := &s.table.slots[i]
	sh, scope := x.share, x.job.scope
	if x.reused && r.Outcome == TimedOut {
		s.engine.freshOnly.add(&x.job)
	}
	s.land(i)
	switch answered := r.Outcome == Open || r.Outcome == Refused; {
	case keep && s.mode == Reuse && x.job.scope == 0: // a zone binds the socket to its interface for life
		s.gone(i, s.table.keep)
	case answered || clock()-x.started >= settling:
		s.gone(i, s.discard)
	default:
		s.doom(i)
	}
	s.counters.Retransmits += uint64(r.Retransmits)
	switch r.Silence {
	case Proven:
		s.counters.SilenceProven++
	case Broken:
		s.counters.SilenceBroken++
	case Unproven:
		s.counters.SilenceUnproven++
	case NoSilence:
	}
	if r.RTT > 0 {
		s.counters.RTT.observe(r.RTT)
	}
	if s.doubtful(r) {
		s.doubts = append(s.doubts, doubt{share: sh, result: *r, scope: scope, since: x.started})
		return
	}
	s.answer(sh, r)
}

// land takes a slot out of flight.
func (s *shard) land(i int32) {
	s.deadlines.remove(i)
	s.table.land(i)
}

// gone ends what a probe has left behind, its socket's port toward its target and its place at the address, when its socket is
// done with, as how says.
func (s *shard) gone(i int32, how func(int32)) {
	at := s.table.slots[i].address
	how(i)
	s.engine.doors.leave(at.key.Port())
	s.release(at)
}

// doom has the socket of a probe that nobody answered closed later, and not before it is settling ns old.
func (s *shard) doom(i int32) {
	s.table.doom(i)
	if due := s.table.slots[i].started + settling; due > clock() {
		s.deadlines.set(i, due)
	} else {
		s.table.settled(i)
	}
}

// settled notes that a socket that was doomed is old enough.
func (s *shard) settled(i int32) {
	s.deadlines.remove(i)
	s.table.settled(i)
}

// release gives a place at an address back, and hands it to who waits there.
func (s *shard) release(at *address) {
	for _, w := range s.addresses.release(at) {
		if w != nil {
			w.share.handed.push(w)
			s.callers.enqueue(w.share)
		}
	}
}

// takeSocket returns a slot with a socket of the family that is in no one's use. A socket that must be fresh is for one use, so that
// the pool does not grow with each.
func (s *shard) takeSocket(v6, fresh bool) (int32, syscall.Errno) {
	if !fresh {
		if i := s.table.takeIdle(v6, s.random()); i != none {
			x := &s.table.slots[i]
			if !x.deaf || setLeastHopCount(x.fd, x.v6, anyHopCount) == 0 {
				x.usesLeft--
				x.reused, x.deaf = true, false
				return i, 0
			}
			s.discard(i) // it would hear no answer
		}
	}
	i := s.table.takeVacant()
	if i == none { // every slot has a socket, and some are idle
		s.evict(v6)
		i = s.table.takeVacant()
	}
	fd, errno := openSocket(v6, s.mode, s.portRange)
	if errno != 0 && s.table.pooled() > 0 {
		s.evict(v6) // give back a descriptor, and try once more
		fd, errno = openSocket(v6, s.mode, s.portRange)
	}
	if errno == 0 {
		x := &s.table.slots[i]
		if errno = s.poller.watch(fd, token{uint32(i), x.generation}); errno == 0 {
			x.fd, x.v6, x.drops, x.reused, x.deaf, x.usesLeft = int32(fd), v6, 0, false, false, 0
			if !fresh && s.mode == Reuse {
				x.usesLeft = uint16(leastUses - 1 + s.random()%(mostUses-leastUses+1))
			}
			if opened := s.engine.config.hooks.opened; opened != nil {
				opened(fd)
			}
			s.counters.SocketsOpened++
			return i, 0
		}
		closeSocket(fd)
	}
	s.table.vacate(i)
	return none, errno
}

// evict closes an idle socket, of which there must be one, if possible of the other family.
func (s *shard) evict(v6 bool) {
	i := s.table.takeIdle(!v6, s.random())
	if i == none {
		i = s.table.takeIdle(v6, s.random())
	}
	s.discard(i)
}

// discard closes the socket of a slot that is neither in flight nor in a pool.
func (s *shard) discard(i int32) {
	closeSocket(int(s.table.slots[i].fd))
	s.table.vacate(i)
}
