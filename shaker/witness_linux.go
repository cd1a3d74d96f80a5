package shaker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/hostnet"
	"golang.org/x/sys/unix"
)

// doubt is a result that may be our own side's fault. The witness judges it before the batch gets
// it.
type doubt struct {
	share  *share
	result Result
	scope  uint32 // of the target's zone
	since  int64  // clock of its SYN
}

const (
	// lookEvery is the least time between two looks at the host's network. Each costs about two
	// wake-ups and two system calls, so all doubts of this time share one.
	lookEvery = 5 * time.Millisecond
	// lookPatience bounds how long results wait for the kernel. It does not answer while another
	// program changes the network. The time until a look begins is our own, and does not count.
	lookPatience = time.Second
)

// witness says of silent probes whether our own side worked all the while: source address, link and
// route. One serves all shards. It asks the kernel, which can block, so it has a goroutine of its
// own, and the loops never wait for it.
//
//	shard ── ask ──▶ pending ── look ──▶ hostnet ── findings ──▶ inbox of the shard ──▶ answer
type witness struct {
	host *hostnet.Watcher
	wake chan struct{} // holds a token when something was asked
	done chan struct{} // closed when both goroutines have ended

	mu     sync.Mutex // protects what follows
	shards []*doubts
}

// doubts are those of one shard. Three slices go round: pending, the one that is being judged, and
// spare.
type doubts struct {
	shard          *shard
	pending, spare []doubt
}

// asked is what one shard has asked when a look begins.
type asked struct {
	of  *doubts
	all []doubt
}

// look is a question to the goroutine that asks the kernel. It is used again unless it was given
// up.
type look struct {
	packets  []hostnet.Packet
	findings []hostnet.Finding
	began    atomic.Int64  // clock of its begin; 0: not yet
	done     chan struct{} // has room for a token
}

func newWitness() (*witness, error) {
	host, err := hostnet.Open(clock)
	if err != nil {
		return nil, err
	}
	w := &witness{host: host, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// close ends the witness. Nothing may be asked any more.
func (w *witness) close() {
	close(w.wake)
	<-w.done
}

// serve lets a shard ask.
func (w *witness) serve(s *shard) *doubts {
	d := &doubts{shard: s}
	w.mu.Lock()
	w.shards = append(w.shards, d)
	w.mu.Unlock()
	return d
}

// ask copies doubts of a shard. They come back in a message to the shard's inbox, in a slice for
// giveBack.
func (w *witness) ask(d *doubts, more []doubt) {
	w.mu.Lock()
	d.pending = append(d.pending, more...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// giveBack takes a slice back that the shard has read.
func (w *witness) giveBack(d *doubts, read []doubt) {
	clear(read)
	w.mu.Lock()
	d.spare = read[:0]
	w.mu.Unlock()
}

func (w *witness) run() {
	looks := make(chan *look)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for l := range looks {
			l.began.Store(clock())
			w.look(l)
			l.done <- struct{}{}
		}
	}()
	last := -int64(lookEvery)
	late := time.NewTimer(never)
	var next *look
	var taken []asked
	for range w.wake {
		time.Sleep(lookEvery - time.Duration(clock()-last))
		last = clock()
		if next == nil {
			next = &look{done: make(chan struct{}, 1)}
		}
		taken = w.take(taken[:0], next)
		judged := next.judge(looks, late)
		if judged {
			settleAll(taken, next.findings)
		} else {
			settleAll(taken, nil)
			next = nil // the other goroutine still has it
		}
	}
	late.Stop()
	close(looks)
	<-ended
	w.host.Close()
	close(w.done)
}

// take takes what all shards have asked, and writes the packets to l.
func (w *witness) take(taken []asked, l *look) []asked {
	w.mu.Lock()
	for _, d := range w.shards {
		if len(d.pending) > 0 {
			taken = append(taken, asked{d, d.pending})
			d.pending, d.spare = d.spare, nil
		}
	}
	w.mu.Unlock()
	l.packets = l.packets[:0]
	for _, a := range taken {
		for i := range a.all {
			r := &a.all[i].result
			l.packets = append(l.packets, hostnet.Packet{
				Source: r.Source, Target: withoutZone(r.Addr), Scope: a.all[i].scope, Since: a.all[i].since,
			})
		}
	}
	return taken
}

// judge has l answered, and reports whether the kernel did that in time. late is a timer to use.
func (l *look) judge(looks chan<- *look, late *time.Timer) bool {
	l.began.Store(0)
	late.Reset(lookPatience)
	select {
	case looks <- l:
	case <-late.C: // the look before it was given up, and has not ended yet
		return false
	}
	for {
		select {
		case <-l.done:
			return true
		case <-late.C:
		}
		select {
		case <-l.done: // both came while this goroutine did not run
			return true
		default:
		}
		left := lookPatience
		if began := l.began.Load(); began != 0 {
			left -= time.Duration(clock() - began)
		}
		if left <= 0 {
			return false
		}
		late.Reset(left)
	}
}

// settleAll gives all doubts back to their shards. Without findings, because no look ended in time,
// nothing is known of them.
func settleAll(taken []asked, findings []hostnet.Finding) {
	for _, a := range taken {
		for i := range a.all {
			found := hostnet.Finding{Loss: hostnet.Unsure}
			if len(findings) > 0 {
				found, findings = findings[0], findings[1:]
			}
			settle(&a.all[i].result, found)
		}
		a.of.shard.inbox.putBack(message{judged: a.all})
	}
}

// look judges the packets by one reading of the host.
func (w *witness) look(l *look) {
	host := w.host.Look()
	l.findings = l.findings[:0]
	for i := range l.packets {
		l.findings = append(l.findings, host.Find(&l.packets[i]))
	}
}

// doubtful reports whether a result is to be judged by the witness. Silence is, and what may be an
// event of ours: a SYN that could not be sent again, and our kernel's word that a neighbour does
// not answer.
func (s *shard) doubtful(r *Result) bool {
	if s.engine.witness == nil || !r.Source.IsValid() {
		return false
	}
	switch r.Outcome {
	case TimedOut:
		return true
	case Unreachable:
		return r.ICMP.neighbour() && s.isOurs(r.ICMP.From) // which need not be the source address
	case LocalError:
		return r.Event == ResendFailed || r.Event == RouteLost
	default:
		return false
	}
}

// settle makes of a doubtful result what the witness has found. A LocalError is the kernel's own
// word already, so the finding only names the event. An ICMP message and an errno stay in the
// result as evidence.
func settle(r *Result, found hostnet.Finding) {
	event, cause := eventOf(found)
	switch {
	case event == NoEvent:
		return
	case r.Outcome != LocalError:
		r.Outcome, r.Cause, r.Event = LocalError, cause, event
	case event != Unwatched:
		r.Event = event
		if r.Cause == LocalResources {
			r.Cause = cause
		}
	}
	if r.Errno == 0 {
		r.Errno = found.Errno
	}
}

// eventOf returns the event that a finding names, and its cause.
func eventOf(found hostnet.Finding) (Event, Cause) {
	switch found.Loss {
	case hostnet.Nothing:
		return NoEvent, NoCause
	case hostnet.RouteLost:
		if found.Errno == unix.EACCES { // a route of type prohibit
			return RouteLost, LocalFiltered
		}
		return RouteLost, NoRoute
	case hostnet.AddressLost:
		return AddressLost, NoRoute
	case hostnet.LinkDown:
		return LinkDown, NoRoute
	case hostnet.CarrierLost:
		return CarrierLost, NoRoute
	default:
		return Unwatched, LocalResources
	}
}
