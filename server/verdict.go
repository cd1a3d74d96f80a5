package server

import (
	"errors"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// This file is the service's reading of what the wire said. It is pure: handshakes make an address's finding, addresses
// make a target's, and a Reason alone makes the Verdict.

// Short names for what every line below speaks of.
const (
	reachable    = tcpshakerv1.Verdict_VERDICT_REACHABLE
	unreachable  = tcpshakerv1.Verdict_VERDICT_UNREACHABLE
	inconclusive = tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE

	// cutOff is the reason of all that the end of the RPC's time left undone.
	cutOff = tcpshakerv1.Reason_REASON_DEADLINE_EXCEEDED
)

// verdictOf classes a reason by its decade, as the comment of the enum promises. What is in no decade that we know, zero
// included, says nothing of the target.
func verdictOf(r tcpshakerv1.Reason) tcpshakerv1.Verdict {
	switch {
	case r >= 1 && r <= 9:
		return reachable
	case r >= 10 && r <= 19:
		return unreachable
	default:
		return inconclusive
	}
}

// reasonOf says what one handshake by itself tells of the target. It never returns REASON_UNSPECIFIED.
func reasonOf(r *shaker.Result) tcpshakerv1.Reason {
	switch r.Outcome {
	case shaker.Open:
		return tcpshakerv1.Reason_REASON_SYN_ACK
	case shaker.Refused:
		return tcpshakerv1.Reason_REASON_REFUSED
	case shaker.TimedOut:
		return tcpshakerv1.Reason_REASON_TIMED_OUT
	case shaker.Unreachable:
		return reasonOfICMP(r.Cause)
	case shaker.Canceled:
		return reasonOfEnd(r.Err)
	default:
		return reasonOfOurs(r.Cause)
	}
}

// reasonOfICMP reads the cause of an Unreachable. The engine classes what it does not know as HostUnreachable, the least
// specific, and so does this.
func reasonOfICMP(c shaker.Cause) tcpshakerv1.Reason {
	switch c {
	case shaker.NetUnreachable:
		return tcpshakerv1.Reason_REASON_NET_UNREACHABLE
	case shaker.PortUnreachable:
		return tcpshakerv1.Reason_REASON_PORT_UNREACHABLE
	case shaker.Prohibited:
		return tcpshakerv1.Reason_REASON_PROHIBITED
	default:
		return tcpshakerv1.Reason_REASON_HOST_UNREACHABLE
	}
}

// reasonOfOurs reads the cause of a LocalError. An outcome or a cause that is new to us lands here as well: what we do not
// understand is never held against the target.
func reasonOfOurs(c shaker.Cause) tcpshakerv1.Reason {
	switch c {
	case shaker.NoRoute:
		return tcpshakerv1.Reason_REASON_NO_ROUTE
	case shaker.LocalFiltered:
		return tcpshakerv1.Reason_REASON_LOCAL_FILTERED
	default:
		return tcpshakerv1.Reason_REASON_LOCAL_RESOURCES
	}
}

// reasonOfEnd says why work was cut off: err is the cause of its context's end, or the engine's ErrClosed. Of a canceled RPC
// nobody reads the answer; it counts as one that ended too early.
func reasonOfEnd(err error) tcpshakerv1.Reason {
	if errors.Is(err, shaker.ErrClosed) {
		return tcpshakerv1.Reason_REASON_SHUTTING_DOWN
	}
	return cutOff
}

// class groups what one handshake can bring. The heaviest class among the handshakes of an address
// decides about it.
type class uint8

// The classes, from the lightest to the heaviest.
const (
	classNone class = iota // no handshake has ended
	// classSilence: silence decides only if every handshake met it. A handshake that our side
	// prevented might have been answered.
	classSilence
	// classCut: the deadline or the shutdown ended a handshake that the caller asked for.
	classCut
	// classTrouble: our own machine did not send the SYN, or lost it. It ranks with classCut, and
	// before it: it says more.
	classTrouble
	// classRefusal: an RST, or ICMP from the network.
	classRefusal
	// classAnswer: a SYN-ACK. One is enough.
	classAnswer
)

// classOf returns the class of a handshake's reason. A reason that this version does not know is
// our own trouble.
func classOf(r tcpshakerv1.Reason) class {
	switch {
	case r == tcpshakerv1.Reason_REASON_UNSPECIFIED:
		return classNone
	case r == tcpshakerv1.Reason_REASON_TIMED_OUT:
		return classSilence
	case r == cutOff || r == tcpshakerv1.Reason_REASON_SHUTTING_DOWN:
		return classCut
	case verdictOf(r) == reachable:
		return classAnswer
	case verdictOf(r) == unreachable:
		return classRefusal
	default:
		return classTrouble
	}
}

// heavier reports whether a handshake that brought next replaces the finding current. Within a
// class the first one stays.
func heavier(next, current tcpshakerv1.Reason) bool { return classOf(next) > classOf(current) }

// decide returns the place of the address that decides for its target, and whether the verdict is certain. With patient set
// (CheckOptions.exhaustive) nothing is certain before every address is closed; otherwise one address can be enough, and then
// it is told at once.
//
//	FIRST, ANY  REACHABLE if one is, which is certain with the first; else INCONCLUSIVE if one is; else UNREACHABLE
//	ALL         UNREACHABLE if one is, which is certain with the first; else INCONCLUSIVE if one is; else REACHABLE
//
// Under FIRST there is one address. Of several with the winning verdict the resolver's first decides.
func decide(policy tcpshakerv1.AddressPolicy, patient bool, addresses []address) (place int, certain bool) {
	order := [...]tcpshakerv1.Verdict{reachable, inconclusive, unreachable}
	if policy == tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL {
		order = [...]tcpshakerv1.Verdict{unreachable, inconclusive, reachable}
	}
	all := true
	found := [len(order)]int{-1, -1, -1}
	for i := range addresses {
		if !addresses[i].closed {
			all = false
			continue
		}
		verdict := verdictOf(addresses[i].reason)
		for rank := range order {
			if order[rank] == verdict && found[rank] < 0 {
				found[rank] = i
			}
		}
	}
	if found[0] >= 0 && (all || !patient) {
		return found[0], true
	}
	if !all {
		return 0, false
	}
	if found[1] >= 0 {
		return found[1], true
	}
	return found[2], true
}
