package shaker

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// Timeouts of a probe. The engine takes any that is not negative. The kernel sends the SYN again for as long, up to 127 times,
// whatever tcp_syn_retries says (TCP_SYNCNT of tcp(7)).
const (
	// DefaultTimeout is used for a probe whose Timeout is 0: long enough for a SYN that was lost and sent again after 1 s
	// (RFC 6298 section 2.1) to be answered.
	DefaultTimeout = 2 * time.Second
)

// Probe is one attempt at one address: one handshake, with the kernel's own resends of the SYN.
type Probe struct {
	// ID is the caller's own and comes back in the Result. The engine does not look at it; it need not be unique.
	ID uint64

	// Addr is where to knock. It must be valid and its port not 0. An IPv4-mapped IPv6 address counts as its IPv4, and the
	// unspecified address of either family as loopback, as for connect(2). A zone is the name or the index of an interface
	// of this host.
	Addr netip.AddrPort

	// Timeout is how long the handshake may take, from connect(2) on; waiting inside the engine does not count. 0 means
	// DefaultTimeout; negative is refused. A probe that is made again because its answer may have been meant for another (Stats.Crossings,
	// StaleResets) has it anew. It is kept to about 1 ms, and never cut short. The result of a silent
	// target comes some ms later, after the engine has looked whether our own side worked.
	Timeout time.Duration
}

// Result is what became of one Probe. Each accepted Probe gives exactly one.
type Result struct {
	// ID and Addr are the probe's; Addr in the form that was probed, see Probe.Addr.
	ID   uint64
	Addr netip.AddrPort

	// Outcome is never Unspecified; Cause classes Unreachable and LocalError.
	Outcome Outcome
	Cause   Cause

	// Event is set with LocalError only, when an event on this host caused it.
	Event Event

	// Silence is set with Open only.
	Silence Silence

	// Options are set with Open only.
	Options Options

	// Retransmits is how often the kernel sent the SYN again (tcpi_total_retrans).
	Retransmits uint32

	// Errno is the error number that the kernel gave for the socket or the failed system call; 0 where there was none.
	Errno syscall.Errno

	// ICMP is the message that ended the handshake, where one did and the kernel kept it.
	ICMP ICMP

	// Source is the address and port that the SYN left from. Not valid where no SYN was sent.
	Source netip.AddrPort

	// RTT is the round trip of the SYN that was answered, as the kernel measured it (tcpi_rtt), set with Open only. 0 where
	// the kernel cannot tell which SYN was answered: after a retransmit without TCP timestamps (Karn's rule, RFC 6298
	// section 3). With timestamps it is in whole milliseconds after a retransmit.
	RTT time.Duration

	// Queued is the time from Submit to connect(2): waiting for a free socket, for the pace, for a place at the address; and, where an
	// answer may not have been the target's and it was asked again, what that took. Of a probe that never started, to its end.
	Queued time.Duration

	// Elapsed is the time from connect(2) to the loop reading the answer, on the monotonic clock. It includes the loop's own
	// delay, so it bounds the round trip from above. 0 only if no SYN was sent.
	Elapsed time.Duration

	// Err is set with Canceled: the cause of the context's end (context.Cause), or ErrClosed.
	Err error
}

// Sent reports whether a SYN was handed to the kernel for this probe.
func (r *Result) Sent() bool { return r.Elapsed > 0 }

// String returns one line for a person: address, outcome and why.
func (r *Result) String() string {
	s := fmt.Sprintf("%s: %s", r.Addr, r.Outcome)
	if r.Cause != NoCause {
		s += ", " + r.Cause.String()
	}
	if r.Event != NoEvent {
		s += ", " + r.Event.String()
	}
	if r.ICMP.From.IsValid() {
		s += ", icmp " + r.ICMP.String()
	}
	if r.Errno != 0 {
		s += ", " + r.Errno.Error()
	}
	if r.Err != nil {
		s += ", " + r.Err.Error()
	}
	return s
}
