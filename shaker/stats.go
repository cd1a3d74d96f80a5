package shaker

import (
	"iter"
	"sync"
	"syscall"
	"time"
)

// Stats is what an Engine has done since New, and what it is at. Sums over shards are not of one instant, and lag behind by a turn of
// a loop where several ask at once.
type Stats struct {
	// Mode is Reuse or Fresh, and ModeDetail says in one sentence why.
	Mode       Mode
	ModeDetail string

	// Limits in force: loops, probes in flight, starts a second (0: none), and probes in flight to one
	// ip:port (see Config.MaxInFlightPerAddress).
	Shards               int
	MaxInFlight          int
	Rate                 float64
	MaxInFlightPerTarget int

	// InFlightBound tells what MaxInFlight follows from, and MaxInFlightDetail the same in one sentence.
	InFlightBound     InFlightBound
	MaxInFlightDetail string

	// At this moment: probes waiting to start; probes in flight, and sockets of those that nobody answered, which are kept for
	// 10 ms from their SYN; and idle sockets kept for reuse.
	Queued   int
	InFlight int
	Pooled   int

	Counters
}

// Counters only ever grow, but for LongestTurn, which is the greatest so far.
type Counters struct {
	// Started counts connect(2) calls that sent a SYN.
	Started uint64
	// Done counts results by Outcome.
	Done [LocalError + 1]uint64
	// Retransmits counts SYNs that the kernel sent again.
	Retransmits uint64
	// SilenceProven, SilenceBroken and SilenceUnproven count Open results by Silence.
	SilenceProven, SilenceBroken, SilenceUnproven uint64
	// SocketsOpened counts socket(2) calls that gave a socket: in Reuse mode far fewer than Started.
	SocketsOpened uint64
	// StaleEvents counts epoll events for a socket that was replaced, IdleEvents for one without a probe in flight. Both are
	// expected, and dropped.
	StaleEvents, IdleEvents uint64
	// SpuriousErrors counts error events that came without an error; the probe stayed in flight.
	SpuriousErrors uint64
	// SelfConnects counts closed ports of this host that answered because the kernel had connected the probe to itself.
	SelfConnects uint64
	// Crossings counts answers that a probe of ours may have given: one that was under way to the port that this one was sent
	// from, or this one itself, if the target has that port number. Targets on this host can be answered so, and through a NAT that
	// sends a SYN back, targets at other addresses. Each such target was asked again, from another port, and once more
	// where a repeat met silence, up to eight times.
	Crossings uint64
	// StaleResets counts RSTs that may have been meant for an earlier handshake from the same source port, of which the target had
	// not yet seen the end. Each such target was asked again, from another port, up to four times. Some are of ports that were just closed.
	StaleResets uint64
	// QueueWait is how long probes waited between being accepted and their first SYN, of those that had one.
	QueueWait Histogram
	// RTT is Result.RTT of the Open results that have one.
	RTT Histogram
	// LocalErrors counts the LocalError results by Result.Errno.
	LocalErrors ErrnoCounters
	// Events counts the LocalError results by Result.Event. Events[NoEvent] stays 0.
	Events [GaveUp + 1]uint64
	// PortsExhausted counts connect(2) calls that found no source port free for their address (EADDRNOTAVAIL).
	PortsExhausted uint64
	// Turns counts turns of the loops, Wakes those that came after sleeping.
	Turns, Wakes uint64
	// LongestTurn is the longest time for which one loop did not look for answers: between two polls, or beyond the end of the
	// sleep that it asked for. The kernel sends the held-back ACK of a handshake after some 200 ms, so it has to stay far
	// below that.
	LongestTurn time.Duration
}

func (c *Counters) add(o *Counters) {
	c.Started += o.Started
	for i := range c.Done {
		c.Done[i] += o.Done[i]
	}
	c.Retransmits += o.Retransmits
	c.SilenceProven += o.SilenceProven
	c.SilenceBroken += o.SilenceBroken
	c.SilenceUnproven += o.SilenceUnproven
	c.SocketsOpened += o.SocketsOpened
	c.StaleEvents += o.StaleEvents
	c.IdleEvents += o.IdleEvents
	c.SpuriousErrors += o.SpuriousErrors
	c.SelfConnects += o.SelfConnects
	c.Crossings += o.Crossings
	c.StaleResets += o.StaleResets
	c.QueueWait.add(&o.QueueWait)
	c.RTT.add(&o.RTT)
	c.LocalErrors.add(&o.LocalErrors)
	for i := range c.Events {
		c.Events[i] += o.Events[i]
	}
	c.PortsExhausted += o.PortsExhausted
	c.Turns += o.Turns
	c.Wakes += o.Wakes
	c.LongestTurn = max(c.LongestTurn, o.LongestTurn)
}

// ErrnoCounters counts by error number (errno(3)). The zero value is empty.
type ErrnoCounters struct {
	counts [maxErrno + 1]uint64
}

// maxErrno is the greatest error number that Linux gives to user space on all but a few processors (EHWPOISON,
// include/uapi/asm-generic/errno.h). What is beyond it is counted as 0.
const maxErrno = 133

// All yields each error number that was counted, in ascending order, with how often it was. 0 stands for a LocalError without
// an error number, see LocalResources.
func (c *ErrnoCounters) All() iter.Seq2[syscall.Errno, uint64] {
	return func(yield func(syscall.Errno, uint64) bool) {
		for errno, n := range c.counts {
			if n > 0 && !yield(syscall.Errno(errno), n) {
				return
			}
		}
	}
}

func (c *ErrnoCounters) count(errno syscall.Errno) {
	if errno > maxErrno {
		errno = 0
	}
	c.counts[errno]++
}

func (c *ErrnoCounters) add(o *ErrnoCounters) {
	for i := range c.counts {
		c.counts[i] += o.counts[i]
	}
}

// published is what a loop last told of itself, once a turn. The loop never waits for who reads it: where somebody does just
// then, it tells a turn later.
type published struct {
	mu sync.Mutex // protects what follows
	gauges
	counters Counters
}

type gauges struct{ queued, inFlight, pooled int }

// set reports whether it could; last says that there is no later turn, so that it has to.
func (p *published) set(g gauges, c *Counters, last bool) bool {
	if last {
		p.mu.Lock()
	} else if !p.mu.TryLock() {
		return false
	}
	p.gauges, p.counters = g, *c
	p.mu.Unlock()
	return true
}

func (p *published) addTo(s *Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Queued += p.queued
	s.InFlight += p.inFlight
	s.Pooled += p.pooled
	s.add(&p.counters)
}
