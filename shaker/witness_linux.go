package shaker

import (
	"sync"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker/hostnet"
)

// doubt is a result that may be our own side's fault. The witness judges it before the batch gets it.
type doubt struct {
	share  *share
	result Result
	scope  uint32 // of the target's zone
	ended  int64  // clock of the handshake's end
}

const (
	// lookEvery is the least time between two looks at the host's network. Each costs about two wake-ups and two system calls, so
	// all doubts of this time share one.
	lookEvery = 5 * time.Millisecond
	// lookPatience bounds how long results wait for a look. Whoever changes the network makes the kernel's answers wait.
	lookPatience = 100 * time.Millisecond
)

// witness says of silent probes whether our own side worked all the while: source address, link and route. One serves all shards.
// It asks the kernel, which can block, so it has a goroutine of its own, and the loops never wait for it.
//
//	shard ── ask ──▶ asked ── look ──▶ hostnet ── findings ──▶ inbox of the shard ──▶ answer
type witness struct {
	host *hostnet.Watcher
	wake chan struct{} // holds a token when something was asked
	done chan struct{} // closed when both goroutines have ended

	mu    sync.Mutex // protects what follows
	asked []asked
}

// asked is what one shard asks.
type asked struct {
	shard  *shard
	doubts []doubt
}

// look is a question to the goroutine that asks the kernel.
type look struct {
	packets []hostnet.Packet
	reply   chan []hostnet.Finding // has room for one
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

// ask hands over doubts. They come back in a message to the shard's inbox, in a slice that is then the shard's again.
func (w *witness) ask(s *shard, doubts []doubt) {
	w.mu.Lock()
	w.asked = append(w.asked, asked{s, doubts})
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *witness) run() {
	looks := make(chan look)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for l := range looks {
			l.reply <- w.look(l.packets)
		}
	}()
	last := -int64(lookEvery)
	for range w.wake {
		time.Sleep(lookEvery - time.Duration(clock()-last))
		last = clock()
		w.mu.Lock()
		all := w.asked
		w.asked = nil
		w.mu.Unlock()
		w.judge(all, looks)
	}
	close(looks)
	<-ended
	w.host.Close()
	close(w.done)
}

// judge has all doubts judged by one look, and gives them back.
func (w *witness) judge(all []asked, looks chan<- look) {
	var packets []hostnet.Packet
	for _, a := range all {
		for i := range a.doubts {
			d := &a.doubts[i]
			packets = append(packets, hostnet.Packet{
				Source: d.result.Source, Target: d.result.Addr, Scope: d.scope, Since: d.ended - int64(d.result.Elapsed),
			})
		}
	}
	findings := w.findings(packets, looks)
	for _, a := range all {
		for i := range a.doubts {
			found := hostnet.Finding{Loss: hostnet.Unsure}
			if findings != nil {
				found, findings = findings[0], findings[1:]
			}
			settle(&a.doubts[i].result, found)
		}
		a.shard.inbox.putBack(message{judged: a.doubts})
	}
}

// findings returns one finding for each packet; nil if no look came to an end in time.
func (w *witness) findings(packets []hostnet.Packet, looks chan<- look) []hostnet.Finding {
	late := time.NewTimer(lookPatience)
	defer late.Stop()
	l := look{packets, make(chan []hostnet.Finding, 1)}
	select {
	case looks <- l:
	case <-late.C:
		return nil
	}
	select {
	case findings := <-l.reply:
		return findings
	case <-late.C:
		return nil
	}
}

func (w *witness) look(packets []hostnet.Packet) []hostnet.Finding {
	l := w.host.Look()
	findings := make([]hostnet.Finding, len(packets))
	for i := range packets {
		packets[i].Target = withoutZone(packets[i].Target)
		findings[i] = l.Find(&packets[i])
	}
	return findings
}

// doubtful reports whether a result is to be judged by the witness. Silence is, and what may be an event of ours: a SYN that
// could not be sent again, and our kernel's word that a neighbour does not answer.
func (s *shard) doubtful(r *Result) bool {
	if s.engine.witness == nil || !r.Source.IsValid() {
		return false
	}
	switch r.Outcome {
	case TimedOut:
		return true
	case Unreachable:
		return r.ICMP.neighbour() && r.ICMP.From == r.Source.Addr()
	case LocalError:
		return r.Event == ResendFailed || r.Event == RouteLost
	default:
		return false
	}
}

// settle makes of a doubtful result what the witness has found. A LocalError is the kernel's own word already, so the finding only
// names the event. An ICMP message and an errno stay in the result as evidence.
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
		return RouteLost, refusedToSend(found.Errno)
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
