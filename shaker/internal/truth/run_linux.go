package truth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Config of a trial.
type Config struct {
	Knocks   int    // how many questions
	Callers  int    // how many callers ask at once
	Batch    int    // how many questions a caller has at most answered together
	Seed     uint64 // what all that is random follows from
	IPv4Only bool
	Coarse   bool // the prober does not tell an RST from an ICMP error
}

// Said is what a prober says of a target.
type Said uint8

// What can be said. Unknown says that the prober had trouble of its own, and is no verdict.
const (
	Nothing Said = iota
	Up
	Refused
	ICMP
	Silent
	Unknown
)

var saidNames = [...]string{"nothing", "up", "refused", "unreachable", "silent", "unknown"}

// String returns it in a word.
func (s Said) String() string { return saidNames[s] }

// Answer is what a prober answers to a Knock. What it cannot tell it leaves zero.
type Answer struct {
	Said   Said
	Proven bool          // with Up: says that the application cannot have noticed
	Port   uint16        // that the SYN left from
	Waited time.Duration // at least so long did the knock wait in the prober before its timeout began
	Took   time.Duration // from the beginning of the timeout to the answer; 0: not told
	ICMP   ICMPError     // with ICMP: what ended the handshake
	Detail string        // for a person
}

// ICMPError is an ICMP or ICMPv6 error, and who sent it.
type ICMPError struct {
	Type, Code byte
	From       netip.Addr
}

// Prober is who is on trial. Its method is called from many goroutines: it fills in one answer for each knock.
type Prober interface {
	Probe(knocks []Knock, answers []Answer)
}

// Report is what a trial has shown.
type Report struct {
	Knocks   int
	Took     time.Duration
	Answers  [kinds][Unknown + 1]int
	False    int      // answers that cannot be true
	FalseUp  int      // those of them that say up of what never answered so
	Unknown  int      // answers that are no verdict
	Examples []string // some of the false and the unknown ones
	Noticed  int      // handshakes that a listener noticed
	ACKs     int64    // ACKs alone that the peer or the wire tap saw
	Late     int64    // those of them that were of handshakes answered after their probe had timed out, whose silence nobody is told of
	Lies     int      // silences said to be proven whose ACK they saw
	Segments int64    // that the wire tap on the loopback device saw; it has lost none

	mu sync.Mutex
}

func (r *Report) wrong(k *Knock, a *Answer, why string, arg ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch a.Said {
	case Unknown:
		r.Unknown++
	case Up:
		r.FalseUp++
		r.False++
	default:
		r.False++
	}
	if len(r.Examples) < 20 {
		r.Examples = append(r.Examples, fmt.Sprintf("%s (%s, timeout %s): said %s: %s [%s]",
			k.Addr, k.kind, k.Timeout, a.Said, fmt.Sprintf(why, arg...), a.Detail))
	}
}

// String returns the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d knocks in %.1f s, %.0f a second: %d false (%d of them up), %d unknown, %d noticed, %d bare ACKs, %d of them called proven silent, %d segments on loopback\n",
		r.Knocks, r.Took.Seconds(), float64(r.Knocks)/r.Took.Seconds(), r.False, r.FalseUp, r.Unknown, r.Noticed, r.ACKs, r.Lies, r.Segments)
	for k := range kinds {
		fmt.Fprintf(&b, "%-12s", k)
		for said, n := range r.Answers[k] {
			if n > 0 {
				fmt.Fprintf(&b, "  %s %d", Said(said), n)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Try puts a prober on trial.
func Try(t testing.TB, c Config, p Prober) *Report {
	t.Helper()
	s := newStage(t, c)
	r := &Report{Knocks: c.Knocks}
	verdicts := make([]verdict, c.Knocks)
	var next atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	for caller := range c.Callers {
		rng := rand.New(rand.NewPCG(c.Seed, uint64(caller)<<32))
		callers.Go(func() {
			knocks, answers := make([]Knock, c.Batch), make([]Answer, c.Batch)
			for {
				n := 1 + rng.IntN(c.Batch)
				first := int(next.Add(int64(n))) - n
				n = min(n, c.Knocks-first)
				if n <= 0 {
					return
				}
				for i := range n {
					knocks[i], answers[i] = s.knock(uint32(first+i)), Answer{}
				}
				asked := s.clock()
				p.Probe(knocks[:n], answers[:n])
				over := s.clock()
				for i := range n {
					verdicts[first+i] = r.hear(&knocks[i], &answers[i], c.Coarse, asked, over)
				}
			}
		})
	}
	callers.Wait()
	r.Took = time.Since(began)
	s.close()
	r.judge(s, verdicts)
	for _, f := range s.open {
		for _, l := range f {
			r.Noticed += l.Noticed(t)
		}
	}
	r.ACKs, r.Segments = s.acks.Load(), s.segments
	return r
}
