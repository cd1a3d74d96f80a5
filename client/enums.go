package client

import tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"

// The numbers of these types are the protocol's. One that this version of the package does not know, because the service is
// newer, is kept as it came, except in a Verdict.
//
// Their text, for encoding/json and others, is that of String and not the protocol's name: a person reads and types it, and
// it is the same in logs, in the tables of shake and behind `shake --addresses`. Result.Proto and protojson give the
// protocol's names.

// Verdict is what is known of a target. The zero value means that nothing was said, and no Result of a call has it; a
// verdict that this version does not know is read as Inconclusive.
type Verdict int32

const (
	// Reachable: a SYN-ACK came back. It does not prove that the application behind the port works.
	Reachable = Verdict(tcpshakerv1.Verdict_VERDICT_REACHABLE)
	// Unreachable: the target or the network said no, or nothing answered in time.
	Unreachable = Verdict(tcpshakerv1.Verdict_VERDICT_UNREACHABLE)
	// Inconclusive: the question was not answered, for a reason that is not the target's. Never to be counted against it.
	Inconclusive = Verdict(tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE)
)

var verdictNames = names[Verdict]{"verdict", map[Verdict]string{
	Reachable: "reachable", Unreachable: "unreachable", Inconclusive: "inconclusive",
}}

// String returns the verdict in lower case.
func (v Verdict) String() string { return verdictNames.text(v) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (v *Verdict) UnmarshalText(text []byte) error { return verdictNames.set(v, text) }

// Reason says why a verdict is what it is. Its numbers are classed by decades, so [Reason.Verdict] works for one that this
// version does not know. The comments of the enum tcpshaker.v1.Reason tell each at length.
type Reason int32

const (
	ReasonSYNACK Reason = 1 // the target's kernel answered with a SYN-ACK

	ReasonRefused         Reason = 10 // an RST and nothing else: nothing listens there
	ReasonTimedOut        Reason = 11 // silence for the whole timeout
	ReasonHostUnreachable Reason = 12 // ICMP: the host could not be reached
	ReasonNetUnreachable  Reason = 13 // ICMP: a router knew no way to the network
	ReasonPortUnreachable Reason = 14 // ICMP: the host, or a firewall in its name, said so of the port
	ReasonProhibited      Reason = 15 // ICMP: a firewall does not allow this

	ReasonInvalidTarget    Reason = 20 // malformed, or an address of the other family
	ReasonNameNotFound     Reason = 21 // no such name, or it has no address of the family
	ReasonNameLookupFailed Reason = 22 // the resolver did not answer, or failed, for one family at least; try later
	ReasonPolicyDenied     Reason = 23 // the service does not probe this address
	ReasonRateLimited      Reason = 24 // probed as often as the operator allows; try later
	ReasonTooManyAddresses Reason = 26 // a name with more addresses than are probed, and the others could change the verdict

	ReasonNoRoute          Reason = 30 // the service's machine has, or had for a moment, no way to the address
	ReasonLocalResources   Reason = 31 // the service's machine lacked something, or its kernel ended the handshake
	ReasonLocalFiltered    Reason = 32 // the service's machine rejected the packet: firewall, prohibit route, security module
	ReasonDeadlineExceeded Reason = 33 // the call's deadline passed before the handshake's timeout; see WithTimeout
	ReasonShuttingDown     Reason = 34 // the service is shutting down
	ReasonVantageIsolated  Reason = 35 // the service believes its own network to be cut off
)

var reasonNames = names[Reason]{"reason", map[Reason]string{
	ReasonSYNACK:           "SYN-ACK",
	ReasonRefused:          "refused",
	ReasonTimedOut:         "timed out",
	ReasonHostUnreachable:  "host unreachable",
	ReasonNetUnreachable:   "net unreachable",
	ReasonPortUnreachable:  "port unreachable",
	ReasonProhibited:       "prohibited",
	ReasonInvalidTarget:    "invalid target",
	ReasonNameNotFound:     "name not found",
	ReasonNameLookupFailed: "name lookup failed",
	ReasonPolicyDenied:     "policy denied",
	ReasonRateLimited:      "rate limited",
	ReasonTooManyAddresses: "too many addresses",
	ReasonNoRoute:          "no route",
	ReasonLocalResources:   "local resources",
	ReasonLocalFiltered:    "local filtered",
	ReasonDeadlineExceeded: "deadline exceeded",
	ReasonShuttingDown:     "shutting down",
	ReasonVantageIsolated:  "vantage isolated",
}}

// String returns the reason in a few words, such as `timed out`.
func (r Reason) String() string { return reasonNames.text(r) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (r *Reason) UnmarshalText(text []byte) error { return reasonNames.set(r, text) }

// Verdict returns the verdict that goes with the reason, by its decade: 1 to 9 Reachable, 10 to 19 Unreachable, 20 to 39
// Inconclusive. Of every other number, 0 among them, it is Inconclusive too.
func (r Reason) Verdict() Verdict {
	switch {
	case r >= 1 && r <= 9:
		return Reachable
	case r >= 10 && r <= 19:
		return Unreachable
	default:
		return Inconclusive
	}
}

// Silence says whether a completed handshake was kept from the application behind the target. The zero value means that
// none was completed; a number that this version does not know proves nothing.
type Silence int32

const (
	// SilenceProven: no ACK left before the RST did, so nobody can have accepted the connection.
	SilenceProven = Silence(tcpshakerv1.Silence_SILENCE_PROVEN)
	// SilenceBroken: an ACK left first, so the application may have seen a connection that was reset at once.
	SilenceBroken = Silence(tcpshakerv1.Silence_SILENCE_BROKEN)
	// SilenceUnproven: the service's kernel can prove neither.
	SilenceUnproven = Silence(tcpshakerv1.Silence_SILENCE_UNPROVEN)
)

var silenceNames = names[Silence]{"silence", map[Silence]string{
	0: "", SilenceProven: "proven", SilenceBroken: "broken", SilenceUnproven: "unproven",
}}

// String returns the silence in lower case; of the zero value, nothing.
func (s Silence) String() string { return silenceNames.text(s) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (s Silence) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (s *Silence) UnmarshalText(text []byte) error { return silenceNames.set(s, text) }

// Outcome is what the wire, or the service's own kernel, said of one handshake. The zero value means that nothing was said.
type Outcome int32

const (
	// OutcomeOpen is a SYN-ACK.
	OutcomeOpen = Outcome(tcpshakerv1.Outcome_OUTCOME_OPEN)
	// OutcomeRefused is an RST.
	OutcomeRefused = Outcome(tcpshakerv1.Outcome_OUTCOME_REFUSED)
	// OutcomeUnreachable is an ICMP error.
	OutcomeUnreachable = Outcome(tcpshakerv1.Outcome_OUTCOME_UNREACHABLE)
	// OutcomeTimedOut is silence for the whole timeout.
	OutcomeTimedOut = Outcome(tcpshakerv1.Outcome_OUTCOME_TIMED_OUT)
	// OutcomeCanceled means given up before the timeout: the call's deadline passed, or the service is shutting down.
	OutcomeCanceled = Outcome(tcpshakerv1.Outcome_OUTCOME_CANCELED)
	// OutcomeLocalError means that the service's own machine would not send, or rejected it.
	OutcomeLocalError = Outcome(tcpshakerv1.Outcome_OUTCOME_LOCAL_ERROR)
)

var outcomeNames = names[Outcome]{"outcome", map[Outcome]string{
	OutcomeOpen: "open", OutcomeRefused: "refused", OutcomeUnreachable: "unreachable", OutcomeTimedOut: "timed out",
	OutcomeCanceled: "canceled", OutcomeLocalError: "local error",
}}

// String returns the outcome in lower-case words.
func (o Outcome) String() string { return outcomeNames.text(o) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (o *Outcome) UnmarshalText(text []byte) error { return outcomeNames.set(o, text) }
