package server

import (
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// slot is a CheckResult with room for the messages inside it.
type slot struct {
	result       tcpshakerv1.CheckResult
	rtt, elapsed durationpb.Duration
}

// finding is what a target came to.
type finding struct {
	reason  tcpshakerv1.Reason
	detail  string
	decider *address // nil where no address was tried
}

// fill writes the result of t, whatever the slot held before.
func (s *slot) fill(t *task, f finding) *tcpshakerv1.CheckResult {
	r := &s.result
	r.Index = t.index
	r.Target = t.text
	r.Verdict = verdictOf(f.reason)
	r.Reason = f.reason
	r.Detail = clip(validText(f.detail))
	r.Completed = t.completed
	r.Attempted = t.attempted
	r.Handshakes = t.handshakes
	r.Elapsed = setDuration(&s.elapsed, t.elapsed())

	r.Address = ""
	r.Rtt = nil
	r.Silence = tcpshakerv1.Silence_SILENCE_UNSPECIFIED
	r.SynRetransmits = 0
	if a := f.decider; a != nil {
		r.Address = addressText(a.addr, t.text)
		r.Rtt = setDuration(&s.rtt, a.best.RTT)
		r.Silence = silenceProto(a.best.Silence)
		r.SynRetransmits = a.best.Retransmits
	}
	return r
}
