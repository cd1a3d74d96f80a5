package shaker

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"time"
)

// What a turn of the loop may do, so that it stays far below the 200 ms after which the kernel sends a held-back ACK.
// Unbounded, 39,000 to 52,000 of 60,000 handshakes were noticed; with 256 starts a turn none of 2.5 million were.
const (
	startsPerTurn   = 16
	startTime       = int64(5 * time.Millisecond)
	expiryPerTurn   = 256
	droppedPerTurn  = 4096 // jobs answered for batches that ended
	buriedPerTurn   = 256  // sockets closed for them
	messagesPerTurn = 4096
)

const (
	// gap is how late a poll must be for the loop to distrust its deadlines: the machine, the process or this goroutine was
	// stopped, and answers that came in time may still be on their way through the kernel.
	gap = int64(20 * time.Millisecond)
	// grace is how long the loop goes on polling then before anything expires.
	grace = int64(5 * time.Millisecond)

	// A socket is retired after a number of uses picked at random between these, so that its sequence numbers cannot be
	// followed for long.
	leastUses, mostUses = 32, 128

	// tellDelay is how old a result may become before the reader of its batch is woken for it, where others are to follow.
	tellDelay = int64(time.Millisecond)

	// yieldDelay is how long a busy loop keeps the processor to itself. Giving it away wakes a thread to look for work, which costs
	// as much as a third of a probe.
	yieldDelay = int64(time.Millisecond)

	// idleSockets is how long a loop with nothing to do keeps its idle sockets.
	idleSockets = 10 * time.Second
)

// shard is one loop: a goroutine with an epoll, a table of sockets, deadlines and an inbox. A probe spends its life in one
// shard; only its Result leaves. Everything but inbox, published and poller.wakeUp is the loop's alone.
//
//	inbox ─jobs─▶ share ─turn─▶ begin ─slot─▶ poller ─event─▶ answered, failed ─▶ finish ─Result─▶ batch
//	                              └─▶ deadlines ──────────────▶ expired ───────────▲
type shard struct {
	engine    *Engine
	number    int32 // its index in engine.shards
	inbox     inbox
	published published
	poller    *poller

	mode      Mode
	portRange uint32

	table     table
	deadlines deadlines
	addresses addresses
	counters  Counters

	callers callers           // whose turn it is
	live    map[*Batch]*share // all that owe an answer
	spare   spares[share]     // empty, for the next that does
	ending  queue[*share]     // those whose context has ended, with something left to drop
	told    []*share          // those whose batches are to be signaled
	queued  int               // jobs that wait, for all shares

	mail          []message
	unread        int   // index of the first message of mail that was not received
	closing       bool  // the inbox was closed when mail was taken
	closed        bool  // and all of it was received
	permit        bool  // the pace has granted a start that was not used yet
	polled        int64 // clock at the end of the last poll
	asked         int64 // clock at the beginning of the last poll
	yielded       int64 // clock of the poll after which the processor was last given to others
	signaled      bool  // a reader was woken since then
	distrusted    int64 // nothing expires unless a poll has begun at this clock or later; 0 where there was no gap
	distrustedFor int64 // how long the gap was

	doubts  []doubt // results of this turn that the witness is to judge
	doubted *doubts // those of the turns before; nil without a witness

	scratch sockaddr
	info    tcpInfo
	soft    syscall.Errno // the soft error of the socket that judge asked last
	errors  errorQueue
	ask     asker
}

func newShard(e *Engine, capacity, perAddress int, portRange uint32) (*shard, error) {
	p, err := openPoller()
	if err != nil {
		return nil, err
	}
	ask, err := openAsker()
	if err != nil {
		p.close()
		return nil, err
	}
	s := &shard{
		ask:       ask,
		engine:    e,
		inbox:     inbox{wake: p.wakeUp},
		poller:    p,
		mode:      e.config.Mode,
		portRange: portRange,
		table:     table{capacity: capacity},
		addresses: newAddresses(perAddress),
		callers:   callers{byName: make(map[string]*caller)},
		live:      make(map[*Batch]*share),
		spare:     spares[share]{most: mostSpareShares},
	}
	if e.witness != nil {
		s.doubted = e.witness.serve(s)
	}
	return s, nil
}

func (s *shard) random() uint32 { return rand.Uint32() }

// send leaves a message for the loop, from any goroutine. False: the shard is closed.
func (s *shard) send(m message) bool { return s.inbox.put(m) }

// close tells the loop to answer everything and end, from any goroutine.
func (s *shard) close() { s.inbox.close() }

// run is the loop. Each turn takes what came, starts a few, and polls; answers come before deadlines, so that an answer in
// time is never called late. It sleeps only when there was neither anything to start nor an event, and it gives the
// processor to others once a millisecond, without which a busy loop makes every other goroutine wait for the scheduler to
// preempt it; and where it has woken a reader since, also when it has nothing left to do and before it sleeps: the reader is queued
// on this processor, and would wait for the scheduler to see that it is in the kernel.
func (s *shard) run() {
	s.polled = clock()
	for s.take() {
		s.drop()
		s.bury()
		started, again := s.start()
		n := s.poll(0)
		if n == 0 && !started && !s.behind() && s.publish(false) {
			s.tell(true)
			if s.signaled {
				s.yield()
			}
			if ms := s.rest(again); ms != 0 && s.inbox.sleep(s.closing) {
				n = s.poll(ms)
				s.counters.Wakes++
			}
		}
		s.read(n)
		if n < eventsPerPoll {
			s.expire()
		}
		s.askWitness()
		s.counters.Turns++
		s.publish(false)
		s.tell(false)
		if s.polled-s.yielded >= yieldDelay || s.signaled && s.queued+s.table.inFlight == 0 {
			s.yield()
		}
	}
	s.retire()
	s.publish(true)
	s.tell(true)
	s.free()
}

// free closes what the shard holds beside sockets of probes.
func (s *shard) free() {
	s.poller.close()
	s.ask.close()
}

// yield gives the processor to others, those that were signaled first.
func (s *shard) yield() {
	s.yielded, s.signaled = s.polled, false
	runtime.Gosched()
}

// behind reports whether a bound of the last turn has left something to do.
func (s *shard) behind() bool {
	return s.unread < len(s.mail) || s.ending.len() > 0 || len(s.table.doomed) > 0
}

// take reads messages, a bounded number in a turn, and empties the inbox when it has read all of the last time. It returns
// false when the shard is closed and owes nothing.
func (s *shard) take() bool {
	if s.unread == len(s.mail) {
		s.mail, s.closing = s.inbox.take(s.mail)
		s.unread = 0
	}
	for n := 0; n < messagesPerTurn && s.unread < len(s.mail); n++ {
		s.receive(&s.mail[s.unread])
		s.unread++
	}
	if s.closing && !s.closed && s.unread == len(s.mail) { // all that came before the closing was read
		s.closed = true
		for _, sh := range s.live {
			s.end(sh, ErrClosed)
		}
	}
	return !s.closed || len(s.live)+s.ending.len() > 0 || s.table.dying() > 0
}

func (s *shard) receive(m *message) {
	if m.judged != nil {
		s.receiveJudged(m.judged)
		return
	}
	sh := s.live[m.batch]
	if m.jobs == nil {
		if sh != nil { // otherwise all of it was answered meanwhile
			s.end(sh, m.ended)
		}
		return
	}
	if sh == nil {
		sh = s.join(m.batch)
	}
	sh.add(m.jobs)
	s.queued += len(m.jobs)
	if sh.ended != nil {
		s.willDrop(sh)
	} else {
		s.callers.enqueue(sh)
	}
}

// receiveJudged answers what the witness has judged.
func (s *shard) receiveJudged(judged []doubt) {
	for i := range judged {
		s.answer(judged[i].share, &judged[i].result)
	}
	s.engine.witness.giveBack(s.doubted, judged)
}

// askWitness hands the doubts of this turn over.
func (s *shard) askWitness() {
	if len(s.doubts) == 0 {
		return
	}
	s.engine.witness.ask(s.doubted, s.doubts)
	clear(s.doubts)
	s.doubts = s.doubts[:0]
}

// rest returns how long the loop may sleep, in ms: 0 not at all, -1 until somebody wakes it.
func (s *shard) rest(again int64) int {
	if s.closed && len(s.live) == 0 && s.table.dying() == 0 {
		return 0
	}
	until := int64(-1)
	if s.distrusted != 0 { // the next poll but one may expire again, and the gap is forgotten
		until = s.distrusted
	} else if d, ok := s.deadlines.next(); ok {
		until = d.at
	} else if s.queued == 0 && s.table.pooled() > 0 {
		until = clock() + int64(s.engine.config.hooks.idle)
	}
	if again != 0 && (until < 0 || again < until) {
		until = again
	}
	if until < 0 {
		return -1
	}
	const ms = int64(time.Millisecond)
	return int(min(max(0, (until-clock()+ms-1)/ms), int64(time.Hour)/ms))
}

// poll asks for events, and notices where the loop was away for longer than it meant to be.
func (s *shard) poll(ms int) int {
	s.asked = clock()
	turn := s.asked - s.polled
	var n int
	if ms == 0 {
		n = s.poller.poll()
	} else {
		n = s.poller.wait(ms)
	}
	s.polled = clock()
	late := s.polled - s.asked - int64(ms)*int64(time.Millisecond)
	away := turn
	if ms >= 0 {
		away = max(turn, late)
	}
	s.counters.LongestTurn = max(s.counters.LongestTurn, time.Duration(away))
	if away > max(gap, 2*s.distrustedFor) { // the next gap puts it off only if it is far longer, or a busy machine would do so for ever
		s.distrusted, s.distrustedFor = s.polled+grace, away
	}
	if n == 0 && ms >= int(s.engine.config.hooks.idle/time.Millisecond) && s.table.inFlight == 0 && s.queued == 0 {
		s.retire()
	}
	return n
}

// read handles the events of the last poll. No slot starts meanwhile, so an event can only be of the flight it was for, of
// an idle socket, or of one that was replaced.
func (s *shard) read(n int) {
	for k := range n {
		t, answered := s.poller.event(k)
		if t.slot == wakeSlot {
			s.poller.woken()
			continue
		}
		switch x := &s.table.slots[t.slot]; {
		case x.generation != t.generation:
			s.counters.StaleEvents++
		case x.state == doomed && answered: // too late for its probe, and not to be noticed while it waits to be closed
			disconnect(x.fd)
		case x.state != flying:
			s.counters.IdleEvents++
		case answered:
			s.answered(int32(t.slot))
		default:
			s.failed(int32(t.slot))
		}
	}
}

// expire ends, a bounded number in a turn, the handshakes whose deadline had passed when the last poll began: it would have
// seen an answer that came in time. What waits until it may be closed has deadlines too.
func (s *shard) expire() {
	if s.asked < s.distrusted {
		return
	}
	s.distrusted, s.distrustedFor = 0, 0
	for range expiryPerTurn {
		d, ok := s.deadlines.next()
		if !ok || d.at > s.asked {
			return
		}
		if s.table.slots[d.slot].state == doomed {
			s.settled(d.slot)
		} else {
			s.expired(d.slot)
		}
	}
}

// answer gives a result to its batch.
func (s *shard) answer(sh *share, r *Result) {
	s.counters.Done[r.Outcome]++
	if r.Outcome == LocalError {
		s.counters.LocalErrors.count(r.Errno)
		if r.Event != NoEvent {
			s.counters.Events[r.Event]++
		}
	}
	done := none
	if sh.owed--; sh.owed == 0 {
		done = s.number
		delete(s.live, sh.batch)
		s.callers.leave(sh)
	}
	sh.batch.put(r, done)
	if !sh.told {
		sh.told, sh.untold = true, s.polled
		s.told = append(s.told, sh)
	}
}

// publish lets others see the counters as they are. It reports whether it could; the last time it has to.
func (s *shard) publish(last bool) bool {
	return s.published.set(gauges{s.queued, s.table.inFlight + s.table.dying(), s.table.pooled()}, &s.counters, last)
}

// tell signals the batches that got results: a busy loop those that have the last one they wait for, and others when their first is
// tellDelay old; all of them where it has nothing else to do. Waking a reader costs a tenth of a probe, and one that is woken
// for each turn's results takes few at a time.
func (s *shard) tell(all bool) {
	kept := s.told[:0]
	for _, sh := range s.told {
		if !all && sh.owed > 0 && s.polled-sh.untold < tellDelay {
			kept = append(kept, sh)
			continue
		}
		sh.told, s.signaled = false, true
		sh.batch.signal()
		s.part(sh)
	}
	clear(s.told[len(kept):])
	s.told = kept
}

// retire closes all idle sockets.
func (s *shard) retire() {
	for _, v6 := range []bool{false, true} {
		for i := s.table.takeIdle(v6, 0); i != none; i = s.table.takeIdle(v6, 0) {
			s.discard(i)
		}
	}
}
