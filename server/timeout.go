package server

import (
	"context"
	"math"
	"time"
)

// This file picks the timeout of a handshake whose caller has set none. By default that is 2 s,
// which is also a common deadline of a Check: the deadline would always pass first, and silence
// would never be reported. So a Check fits these timeouts into its deadline, if they stay long
// enough.

const (
	// leastFitted is the shortest fitted timeout. A SYN that was lost and sent again after 1 s can
	// still be answered within it.
	leastFitted = 1200 * time.Millisecond

	// fitMargin is the time between the end of the last fitted handshake and the end of the work.
	// The engine reports silence some milliseconds after its timeout.
	fitMargin = 20 * time.Millisecond

	// unfitted is the end of a session's work that timeouts are not fitted into.
	unfitted = time.Duration(math.MaxInt64)
)

// fitTimeout returns an equal share of the time that is left for so many handshakes in a row. It
// returns timeout unchanged if that is not longer, or if the share is shorter than leastFitted.
func fitTimeout(timeout, left time.Duration, handshakes int) time.Duration {
	fitted := (left - fitMargin) / time.Duration(handshakes)
	if fitted < leastFitted || fitted >= timeout {
		return timeout
	}
	return fitted
}

// timeoutOf returns the timeout of an attempt that begins now, where attempt counts from 0 and
// left is the time to the end of the work. A timeout that the caller has set is never changed.
func (o *options) timeoutOf(attempt int, left time.Duration) time.Duration {
	if !o.timeoutUnset {
		return o.timeout
	}
	handshakes := o.attempts - attempt
	if o.exhaustive {
		// The attempts overlap, so each may take all the time that is left once the last one has
		// begun. That is the same time for each of them.
		return fitTimeout(o.timeout, left-time.Duration(handshakes-1)*pacing, 1)
	}
	return fitTimeout(o.timeout, left, handshakes)
}

// gapOf returns the time between two SYNs at a rate; 0 is no limit, and has no gap.
func gapOf(perSecond float64) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / perSecond)
}

// lateSilence is how much of the reserve may go to a fitted handshake that ends after the work.
// That happens if this machine was too busy to send its SYN in time, or to look at the answer. The
// verdict then does not depend on some milliseconds.
const lateSilence = 60 * time.Millisecond

// answerTime is what answering one target takes at most, unless the machine is busy.
const answerTime = 10 * time.Microsecond

// flightContext returns the context of a session's batch. It ends with ctx, with a call of land,
// which must come, or lateSilence after work. It ends earlier if answering so many targets takes
// more of the reserve. It is work itself if that has no deadline, and if expected is 0, which is
// the case of a stream; land does nothing then.
func flightContext(
	ctx, work context.Context, expected int,
) (flights context.Context, land context.CancelFunc) {
	end, ok := work.Deadline()
	if !ok || expected == 0 {
		return work, func() {}
	}
	deadline, _ := ctx.Deadline()
	late := min(lateSilence, deadline.Sub(end)-time.Duration(expected)*answerTime)
	return context.WithDeadline(ctx, end.Add(max(0, late)))
}

// landUnfitted ends what is in flight once the work has ended and no fitted handshake is among it.
func (s *session) landUnfitted() {
	if s.ended && s.fitted == 0 {
		s.land()
	}
}
