package client

import (
	"encoding/json"
	"net/netip"
	"time"
)

// MarshalJSON implements json.Marshaler. Fields have the names of the message
// tcpshaker.v1.CheckResult; those that are unset are left out, except index and target. Enums are
// the text of their String, durations that of time.Duration, such as "1.5ms", and times RFC 3339.
// For protobuf's JSON, see [Result.Proto]. Bytes of the target that are not UTF-8 are replaced.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(resultJSON{
		Index: r.Index, Target: r.Target, Verdict: r.Verdict, Reason: r.Reason, Address: r.Address, RTT: duration(r.RTT),
		Silence: r.Silence, Observed: r.Observed, Detail: r.Detail, Completed: countOf(r.Completed, r.Attempted),
		Attempted: r.Attempted, Elapsed: duration(r.Elapsed), SYNRetransmits: r.SYNRetransmits, Handshakes: r.Handshakes,
	})
}

// UnmarshalJSON implements json.Unmarshaler. It reads what MarshalJSON writes, and sets the fields
// that are not there to their zero values.
func (r *Result) UnmarshalJSON(data []byte) error {
	var j resultJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*r = Result{
		Index: j.Index, Target: j.Target, Verdict: j.Verdict, Reason: j.Reason, Address: j.Address, RTT: time.Duration(j.RTT),
		Silence: j.Silence, Observed: j.Observed, Detail: j.Detail, Attempted: j.Attempted, Elapsed: time.Duration(j.Elapsed),
		SYNRetransmits: j.SYNRetransmits, Handshakes: j.Handshakes,
	}
	if j.Completed != nil {
		r.Completed = *j.Completed
	}
	return nil
}

// resultJSON is the JSON of a Result.
type resultJSON struct {
	Index          uint64         `json:"index"`
	Target         string         `json:"target"`
	Verdict        Verdict        `json:"verdict,omitzero"`
	Reason         Reason         `json:"reason,omitzero"`
	Address        netip.AddrPort `json:"address,omitzero"`
	RTT            duration       `json:"rtt,omitzero"`
	Silence        Silence        `json:"silence,omitzero"`
	Observed       time.Time      `json:"observed_time,omitzero"`
	Detail         string         `json:"detail,omitzero"`
	Completed      *uint32        `json:"completed,omitzero"`
	Attempted      uint32         `json:"attempted,omitzero"`
	Elapsed        duration       `json:"elapsed,omitzero"`
	SYNRetransmits uint32         `json:"syn_retransmits,omitzero"`
	Handshakes     []Handshake    `json:"handshakes,omitzero"`
}

// countOf returns how many of all there were; nil if there is no all, so that 0 of 3 is told from
// nothing.
func countOf(n, all uint32) *uint32 {
	if n == 0 && all == 0 {
		return nil
	}
	return &n
}

// MarshalJSON implements json.Marshaler, by the rules of [Result.MarshalJSON].
func (h Handshake) MarshalJSON() ([]byte, error) {
	return json.Marshal(handshakeJSON{
		Address: h.Address, Source: h.Source, Outcome: h.Outcome, Reason: h.Reason, RTT: duration(h.RTT),
		SYNRetransmits: h.SYNRetransmits, TCPOptions: h.TCPOptions, Errno: h.Errno, ICMP: h.ICMP, Queued: duration(h.Queued),
		Elapsed: duration(h.Elapsed), Silence: h.Silence,
	})
}

// UnmarshalJSON implements json.Unmarshaler, by the rules of [Result.UnmarshalJSON].
func (h *Handshake) UnmarshalJSON(data []byte) error {
	var j handshakeJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*h = Handshake{
		Address: j.Address, Source: j.Source, Outcome: j.Outcome, Reason: j.Reason, RTT: time.Duration(j.RTT),
		SYNRetransmits: j.SYNRetransmits, TCPOptions: j.TCPOptions, Errno: j.Errno, ICMP: j.ICMP,
		Queued: time.Duration(j.Queued), Elapsed: time.Duration(j.Elapsed), Silence: j.Silence,
	}
	return nil
}

// handshakeJSON is the JSON of a Handshake.
type handshakeJSON struct {
	Address        netip.AddrPort `json:"address,omitzero"`
	Source         netip.AddrPort `json:"source,omitzero"`
	Outcome        Outcome        `json:"outcome,omitzero"`
	Reason         Reason         `json:"reason,omitzero"`
	RTT            duration       `json:"rtt,omitzero"`
	SYNRetransmits uint32         `json:"syn_retransmits,omitzero"`
	TCPOptions     TCPOptions     `json:"tcp_options,omitzero"`
	Errno          string         `json:"errno,omitzero"`
	ICMP           ICMP           `json:"icmp,omitzero"`
	Queued         duration       `json:"queued,omitzero"`
	Elapsed        duration       `json:"elapsed,omitzero"`
	Silence        Silence        `json:"silence,omitzero"`
}

// duration is a time.Duration as text, such as 1.5ms.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}
