package truth

import "time"

// verdict is what the judge keeps of an answer whose truth is in the peer's notes.
type verdict struct {
	answer   Answer
	earliest int64 // clock at which the timeout began at the earliest
	over     int64 // clock after the answer had been given
}

// tapDelay is how long after a segment the tap's reader may see it.
const tapDelay = int64(50 * time.Millisecond)

// hear judges an answer about a target with one truth, and keeps the others.
func (r *Report) hear(k *Knock, a *Answer, coarse bool, asked, over int64) verdict {
	r.mu.Lock()
	r.Answers[k.kind][a.Said]++
	r.mu.Unlock()
	want := map[Kind]Said{Open: Up, Closed: Refused, Full: Silent, BlackHole: Silent, Unreachable: ICMP}
	switch said, known := want[k.kind]; {
	case a.Said == Nothing:
		r.wrong(k, a, "no answer")
	case a.Said == Unknown:
		r.wrong(k, a, "it is not the target's fault, but whose?")
	case a.Said == Silent && a.Took > 0 && a.Took < k.Timeout:
		r.wrong(k, a, "the timeout was cut short after %s", a.Took)
	case known && !same(a.Said, said, coarse):
		r.wrong(k, a, "it is %s", said)
	case k.kind == Unreachable && a.ICMP.From.IsValid():
		if want := icmpOf(k.Addr.Addr()); a.ICMP != want {
			r.wrong(k, a, "it was %+v, not %+v", want, a.ICMP)
		}
	}
	return verdict{*a, asked + int64(a.Waited), over}
}

// same reports whether two answers say the same, as far as the prober can tell.
func same(a, b Said, coarse bool) bool {
	if coarse && (b == Refused || b == ICMP) {
		return a == Refused || a == ICMP
	}
	return a == b
}

// judge compares the answers to knocks of the kinds lossy and slow with what the peer noted, and the silences of the open ones with
// what the wire tap saw.
func (r *Report) judge(s *stage, verdicts []verdict) {
	for id := range verdicts {
		k := s.knock(uint32(id))
		if v := &verdicts[id]; k.kind == Open && v.answer.Proven {
			for _, at := range s.acked[flow{v.answer.Port, k.Addr}] {
				if v.earliest <= at && at <= v.over+tapDelay {
					r.Lies++
				}
			}
		}
		if k.kind != Lossy && k.kind != Slow {
			continue
		}
		v, x := &verdicts[id], s.notes[id].last()
		a := &v.answer
		if a.Said == Unknown || a.Said == Nothing {
			continue
		}
		if s.notes[id].strange {
			r.wrong(&k, a, "more than one handshake was made")
		}
		r.compareLog(s, &k, a, x)
		truth := Up
		if x.rst.Load() {
			truth = Refused
		}
		switch {
		case a.Said == Silent:
			r.Late += int64(x.acks)
			if deadline := v.earliest + int64(k.Timeout); x.answered > 0 && x.heard <= deadline {
				r.wrong(&k, a, "the peer's answer was there %s before the deadline", time.Duration(deadline-x.heard))
			}
		case x.answered == 0 || x.answered > v.over:
			r.wrong(&k, a, "the peer had not answered")
		case !same(a.Said, truth, s.config.Coarse):
			r.wrong(&k, a, "the peer's answer was %s", truth)
		}
		if a.Proven && x.acks > 0 {
			r.Lies++
		}
	}
}

// compareLog holds the peer's note against the answer, and against the fates that follow from the SYN.
func (r *Report) compareLog(s *stage, k *Knock, a *Answer, x *handshake) {
	switch {
	case x.syns == 0:
		if a.Said != Silent {
			r.wrong(k, a, "the peer never got a SYN")
		}
		return
	case a.Port != 0 && a.Port != x.port:
		r.wrong(k, a, "it was sent from port %d, says the prober, and came from port %d", a.Port, x.port)
	}
	lost := true
	for nth := range int(x.syns) {
		lost = lost && fateOf(s.config.Seed, k.kind, x.port, x.sequence, nth).lost
	}
	if k.kind == Lossy && lost != (x.answered == 0) {
		r.wrong(k, a, "of %d SYNs, lost %t by the key, lost %t by the log", x.syns, lost, x.answered == 0)
	}
}
