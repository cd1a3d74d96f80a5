package shaker

import "time"

// ackDue is how long after the SYN-ACK a held-back ACK may be taken to be still unsent. The kernel sends it after
// TCP_DELACK_MAX, 200 ms and a jiffy (include/net/tcp.h; measured: 203); what is left is for the grain of its clock.
const ackDue = 190 * time.Millisecond

// clockGrain is how far two readings of the kernel's clock of a socket may be off, two jiffies at the coarsest.
const clockGrain = 20 * time.Millisecond

// counters is what the kernel tells of an answered handshake (TCP_INFO, tcp(7)).
type counters struct {
	sent, resent uint32        // segments sent, and those of them that were SYNs sent again; one more is the first SYN
	received     uint32        // segments received; one is the SYN-ACK
	sinceAnswer  time.Duration // since the last segment came, when this was read
	dead         bool          // the socket had been reset by then, and could send nothing any more
}

// leaving is how a socket was disconnected after its counters had been read.
type leaving struct {
	took    time.Duration // from before they were read until after it was disconnected; negative if it was not
	dropped bool          // TCP has dropped a segment of this handshake meanwhile, or before
	stirred bool          // TCP has taken a segment of this handshake meanwhile
	exposed bool          // the peer may have sent data meanwhile, and nothing has kept it from TCP; see guard
	hidden  bool          // a deaf socket has kept a segment from TCP; no matter for the silence
}

// silence reads from the counters and the leaving whether an ACK has left before we did.
//
// A second segment beside the SYNs is an ACK, such as a duplicate SYN-ACK provokes at once. That there was none when the
// counters were read does not show that there was none a moment later, when we left. What could have sent one meanwhile:
//
//   - The timer. The time since the SYN-ACK, and the time that reading and leaving took, must stay below its delay. A segment that
//     came after the SYN-ACK resets the kernel's clock of that time, and then nothing is known of it.
//   - A segment of the peer's. A duplicate SYN-ACK, and whatever else a peer can send that has no ACK of ours, but an RST, TCP drops
//     and counts (tcp_validate_incoming, net/ipv4/tcp_input.c). Data and a FIN it takes and acknowledges at once. So a target that
//     may send these is asked from a deaf socket, which gives them to nobody; see guard.
//
// Each of these was seen to call a broken silence kept where the others alone were asked.
func silence(c counters, l leaving) Silence {
	switch {
	case c.sent > c.resent+1:
		return Broken
	case c.dead:
		return Proven
	case l.took >= 0 && !l.dropped && !l.stirred && !l.exposed && c.received <= 1 && c.sinceAnswer+l.took < ackDue:
		return Proven
	default:
		return Unproven
	}
}

// stirred reports whether a segment came between two readings of the time since the last one, which lay apart from each other.
// One that came less than clockGrain after the first reading is not found. So an ACK can leave unnoticed in the microseconds of our
// leaving if a peer that has not got our ACK sends: data, after it was quiet at four handshakes; or anything with a hop count of 255,
// which only a peer on the same link can. No TCP sends so.
func stirred(first, second, apart time.Duration) bool { return second+clockGrain < first+apart }
