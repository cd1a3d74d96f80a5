package shaker

import "time"

// ackDue is how long after the SYN-ACK a held-back ACK may be taken to be still unsent. The kernel sends it after
// TCP_DELACK_MAX, 200 ms and a jiffy (include/net/tcp.h; measured: 203); what is left is for the grain of its clock.
const ackDue = 190 * time.Millisecond

// counters is what the kernel tells of an answered handshake (TCP_INFO, tcp(7)).
type counters struct {
	sent, resent uint32        // segments sent, and those of them that were SYNs sent again; one more is the first SYN
	received     uint32        // segments received; one is the SYN-ACK
	sinceAnswer  time.Duration // since the last segment came, when this was read
	dead         bool          // the socket had been reset by then, and could send nothing any more
}

// silence reads from the counters whether an ACK has left before we did; leaving is how long it took from before they were
// read until after the socket was disconnected, negative if it was not.
//
// A second segment beside the SYNs is an ACK, such as a duplicate SYN-ACK provokes at once. That there was none when the
// counters were read does not show that there was none a moment later, when we left: for that, the time since the SYN-ACK
// came and the time that reading and leaving took must stay below the kernel's delay. Either half alone has been seen to call
// a broken silence kept. A segment after the SYN-ACK resets the kernel's clock, and then nothing is known of that time.
func silence(c counters, leaving time.Duration) Silence {
	switch {
	case c.sent > c.resent+1:
		return Broken
	case c.dead:
		return Proven
	case leaving >= 0 && c.received <= 1 && c.sinceAnswer+leaving < ackDue:
		return Proven
	default:
		return Unproven
	}
}
