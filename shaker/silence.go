package shaker

import "time"

// ackDue is how long after the SYN-ACK a held-back ACK may be taken to be still unsent. The kernel sends it after
// TCP_DELACK_MAX, 200 ms and a jiffy (include/net/tcp.h; measured: 203); what is left is for the grain of its clock.
const ackDue = 190 * time.Millisecond

// silence reads from the counters of an answered handshake whether an ACK has left.
//
// Sent counts the segments the socket had sent before it was disconnected, resent those of them that were SYNs sent again;
// one more is the first SYN. A second more is an ACK, such as a duplicate SYN-ACK provokes at once. That there was none when
// the counters were read does not show that there was none a moment later, when we left: for that, the time since the
// SYN-ACK came (sinceAnswer, when the counters were read) and the time that reading and leaving took must stay below the
// kernel's delay. Either half alone has been seen to call a broken silence kept.
func silence(sent, resent uint32, sinceAnswer, leaving time.Duration) Silence {
	switch {
	case sent > resent+1:
		return Broken
	case sinceAnswer+leaving < ackDue:
		return Proven
	default:
		return Unproven
	}
}
