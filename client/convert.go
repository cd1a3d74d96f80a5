package client

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// maxTarget is longer, in bytes, than any target can be that is well-formed: a name of 253, a colon and 5 digits.
const maxTarget = 1024

// wireTarget returns target as it is sent. A protobuf string has to be UTF-8, and one that is not would break the whole
// message, as would one of megabytes; so their bad bytes are replaced and what is beyond maxTarget is cut off. Either way
// the target stays malformed, which is for the service to say. It bounds a message of maxBatch targets too.
func wireTarget(target string) string {
	if len(target) > maxTarget {
		target = target[:maxTarget]
	}
	return strings.ToValidUTF8(target, "\uFFFD")
}

// newResult reads the result m of the target. The error says which field is wrong; ErrProtocol is in it.
func newResult(target string, m *tcpshakerv1.CheckResult) (Result, error) {
	if m.GetTarget() != wireTarget(target) {
		return Result{}, broken("result %d is of another target", m.GetIndex())
	}
	var r reader
	result := Result{
		Index:          m.GetIndex(),
		Target:         target,
		Verdict:        r.verdict(m.GetVerdict(), m.GetReason()),
		Reason:         Reason(m.GetReason()),
		Address:        r.addrPort("address", m.GetAddress()),
		RTT:            r.duration("rtt", m.GetRtt()),
		Silence:        Silence(m.GetSilence()),
		Observed:       r.time("observed_time", m.GetObservedTime()),
		Detail:         m.GetDetail(),
		Completed:      m.GetCompleted(),
		Attempted:      m.GetAttempted(),
		Elapsed:        r.duration("elapsed", m.GetElapsed()),
		SYNRetransmits: m.GetSynRetransmits(),
	}
	for _, h := range m.GetHandshakes() {
		result.Handshakes = append(result.Handshakes, r.handshake(h))
	}
	if r.bad != "" {
		return Result{}, broken("result %d: bad %s", m.GetIndex(), r.bad)
	}
	return result, nil
}

// reader reads the fields of one message and notes the first that is wrong.
type reader struct {
	bad string // the name of a field; empty while all is well
}

func (r *reader) wrong(field string) {
	if r.bad == "" {
		r.bad = field
	}
}

// verdict believes the service's word unless the reason contradicts it.
func (r *reader) verdict(v tcpshakerv1.Verdict, reason tcpshakerv1.Reason) Verdict {
	switch verdict := Verdict(v); verdict {
	case Reachable, Unreachable, Inconclusive:
		if known := reason >= 1 && reason <= 39; known && Reason(reason).Verdict() != verdict {
			r.wrong("reason")
		}
		return verdict
	default:
		return Inconclusive
	}
}

func (r *reader) handshake(m *tcpshakerv1.Handshake) Handshake {
	return Handshake{
		Address:        r.addrPort("handshake address", m.GetAddress()),
		Source:         r.addrPort("handshake source", m.GetSource()),
		Outcome:        Outcome(m.GetOutcome()),
		Reason:         Reason(m.GetReason()),
		RTT:            r.duration("handshake rtt", m.GetRtt()),
		SYNRetransmits: m.GetSynRetransmits(),
		TCPOptions: TCPOptions{
			Timestamps:    m.GetTcpOptions().GetTimestamps(),
			SACK:          m.GetTcpOptions().GetSack(),
			WindowScaling: m.GetTcpOptions().GetWindowScaling(),
			ECN:           m.GetTcpOptions().GetEcn(),
		},
		Errno:   m.GetErrno(),
		ICMP:    r.icmp(m.GetIcmp()),
		Queued:  r.duration("handshake queued", m.GetQueued()),
		Elapsed: r.duration("handshake elapsed", m.GetElapsed()),
		Silence: Silence(m.GetSilence()),
	}
}

func (r *reader) icmp(m *tcpshakerv1.Icmp) ICMP {
	if m == nil {
		return ICMP{}
	}
	from, err := netip.ParseAddr(m.GetReportedBy())
	if err != nil || m.GetType() > math.MaxUint8 || m.GetCode() > math.MaxUint8 {
		r.wrong("icmp")
		return ICMP{}
	}
	return ICMP{Type: uint8(m.GetType()), Code: uint8(m.GetCode()), ReportedBy: from}
}

func (r *reader) addrPort(field, s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		r.wrong(field)
	}
	return addr
}

func (r *reader) duration(field string, d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if d.CheckValid() != nil || d.AsDuration() < 0 {
		r.wrong(field)
	}
	return d.AsDuration()
}

func (r *reader) time(field string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if t.CheckValid() != nil {
		r.wrong(field)
	}
	return t.AsTime()
}
