package client

import (
	"net/netip"
	"time"
)

// Result is what was found out about one target. It is a plain value: nothing else holds on to it. Durations are of the
// service's monotonic clock unless said otherwise, and 0 means unset: what they measure is never that short.
//
// A Result can be printed, logged by log/slog, and written as JSON and read back, as the example shows.
type Result struct {
	// Index is the target's place among those of the call, from 0.
	Index uint64
	// Target is the target as the caller gave it, byte for byte.
	Target string

	// Verdict is what is known of the target; in a Result that came without an error it is Reachable, Unreachable or
	// Inconclusive, and nothing else.
	Verdict Verdict
	// Reason says why.
	Reason Reason
	// Address is the one that decided. It is not valid if no address was tried, or if what is not known of a name decided.
	Address netip.AddrPort

	// RTT is the round trip between the SYN that was answered and its SYN-ACK, as the service's kernel measured it (tcpi_rtt of
	// TCP_INFO), in microseconds; after a resent SYN, in milliseconds. 0 where nothing was answered with a SYN-ACK, and
	// where the kernel could not tell which SYN was answered (RFC 6298 section 3). So 0 is no fast answer: leave it out of
	// averages.
	RTT time.Duration
	// Silence says whether the application behind the target can have noticed the handshake. Zero unless Reachable.
	Silence Silence
	// Observed is when the answer was observed, set only where that was before the call; otherwise the zero Time.
	Observed time.Time
	// Detail is one sentence in English for a person, not to be parsed. Empty where Reachable.
	Detail string

	// Completed is how many handshakes were answered with a SYN-ACK, and Attempted how many were begun, over all addresses
	// and attempts, until the verdict was certain.
	Completed, Attempted uint32
	// Elapsed is the time from the first SYN to the decision. 0 where no SYN was sent.
	Elapsed time.Duration
	// SYNRetransmits is how often the SYN of the deciding handshake was sent again: the unexplained second of a slow
	// connection.
	SYNRetransmits uint32

	// Handshakes is what each handshake brought, in the order of their ends. Empty without WithEvidence.
	Handshakes []Handshake
}

// Handshake is the evidence of one handshake: one SYN, and its retransmits, from one source port to one address.
type Handshake struct {
	// Address was probed from Source. Source is not valid where no SYN was sent.
	Address, Source netip.AddrPort

	// Outcome is what the wire said, and Reason what that says of the target.
	Outcome Outcome
	Reason  Reason

	// RTT is as in Result, of this handshake.
	RTT time.Duration
	// SYNRetransmits is how often the SYN was sent again.
	SYNRetransmits uint32
	// TCPOptions are those that both sides agreed on. Zero unless the Outcome is OutcomeOpen.
	TCPOptions TCPOptions

	// Errno is the name of the error that the service's kernel gave, such as ECONNREFUSED. Empty where there was none.
	Errno string
	// ICMP is the message that ended the handshake; the zero value where none did, or it was not kept.
	ICMP ICMP

	// Queued is how long the handshake waited inside the service before its SYN was sent. Not part of the timeout.
	Queued time.Duration
	// Elapsed is the time from the SYN to the service reading the answer, an upper bound of the round trip. 0 where no SYN
	// was sent.
	Elapsed time.Duration
	// Silence is as in Result, of this handshake. Zero unless the Outcome is OutcomeOpen.
	Silence Silence
}

// TCPOptions are the TCP options that a SYN and its SYN-ACK agreed on.
type TCPOptions struct {
	Timestamps    bool `json:"timestamps,omitzero"`     // RFC 7323 section 3
	SACK          bool `json:"sack,omitzero"`           // selective acknowledgment, RFC 2018
	WindowScaling bool `json:"window_scaling,omitzero"` // RFC 7323 section 2
	ECN           bool `json:"ecn,omitzero"`            // explicit congestion notification, RFC 3168
}

// ICMP is an error message: ICMP (RFC 792) for an IPv4 address, ICMPv6 (RFC 4443) for an IPv6 one.
type ICMP struct {
	Type uint8 `json:"type"`
	Code uint8 `json:"code"`
	// ReportedBy sent it. Valid in all but the zero value.
	ReportedBy netip.Addr `json:"reported_by,omitzero"`
}
