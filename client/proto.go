package client

import (
	"maps"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Proto returns r as the protocol's own message, for those who pass results on or write them as JSON (protojson). It holds
// all that the service sent, but for fields and verdicts that this version does not know, and for bytes of the target
// that are not UTF-8, which are replaced.
func (r Result) Proto() *tcpshakerv1.CheckResult {
	m := &tcpshakerv1.CheckResult{
		Index:          r.Index,
		Target:         strings.ToValidUTF8(r.Target, "\uFFFD"),
		Verdict:        tcpshakerv1.Verdict(r.Verdict),
		Reason:         tcpshakerv1.Reason(r.Reason),
		Address:        addrPortString(r.Address),
		Rtt:            durationProto(r.RTT),
		Silence:        tcpshakerv1.Silence(r.Silence),
		Detail:         r.Detail,
		Completed:      r.Completed,
		Attempted:      r.Attempted,
		Elapsed:        durationProto(r.Elapsed),
		SynRetransmits: r.SYNRetransmits,
	}
	if !r.Observed.IsZero() {
		m.ObservedTime = timestamppb.New(r.Observed)
	}
	for _, h := range r.Handshakes {
		m.Handshakes = append(m.Handshakes, h.proto())
	}
	return m
}

func (h Handshake) proto() *tcpshakerv1.Handshake {
	m := &tcpshakerv1.Handshake{
		Address:        addrPortString(h.Address),
		Source:         addrPortString(h.Source),
		Outcome:        tcpshakerv1.Outcome(h.Outcome),
		Rtt:            durationProto(h.RTT),
		SynRetransmits: h.SYNRetransmits,
		Errno:          h.Errno,
		Queued:         durationProto(h.Queued),
		Silence:        tcpshakerv1.Silence(h.Silence),
		Elapsed:        durationProto(h.Elapsed),
		Reason:         tcpshakerv1.Reason(h.Reason),
	}
	if h.Outcome == OutcomeOpen {
		m.TcpOptions = &tcpshakerv1.TcpOptions{
			Timestamps:    h.TCPOptions.Timestamps,
			Sack:          h.TCPOptions.SACK,
			WindowScaling: h.TCPOptions.WindowScaling,
			Ecn:           h.TCPOptions.ECN,
		}
	}
	if h.ICMP.ReportedBy.IsValid() {
		m.Icmp = &tcpshakerv1.Icmp{
			Type:       uint32(h.ICMP.Type),
			Code:       uint32(h.ICMP.Code),
			ReportedBy: h.ICMP.ReportedBy.String(),
		}
	}
	return m
}

func addrPortString(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func durationProto(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// Proto returns v as the protocol's own message, to be passed on or written as JSON (protojson). It holds
// all that the service sent, except for fields that this version does not know.
func (v Vantage) Proto() *tcpshakerv1.GetVantageResponse {
	m := &tcpshakerv1.GetVantageResponse{
		Name:             v.Name,
		Labels:           maps.Clone(v.Labels),
		Version:          v.Version,
		EngineMode:       tcpshakerv1.EngineMode(v.EngineMode),
		EngineModeDetail: v.EngineModeDetail,
		KernelRelease:    v.KernelRelease,
		Caller:           v.Caller,
		Limits: &tcpshakerv1.Limits{
			TargetsPerMessage:    v.Limits.TargetsPerMessage,
			OutstandingPerStream: v.Limits.OutstandingPerStream,
			MinTimeout:           durationProto(v.Limits.MinTimeout),
			MaxTimeout:           durationProto(v.Limits.MaxTimeout),
			HandshakesPerSecond:  v.Limits.HandshakesPerSecond,
			InFlight:             v.Limits.InFlight,
			InFlightDetail:       v.Limits.InFlightDetail,

			CallerHandshakesPerSecond: v.Limits.CallerHandshakesPerSecond,
			CallerBurst:               v.Limits.CallerBurst,
			CallerOutstanding:         v.Limits.CallerOutstanding,
			CallerRpcs:                v.Limits.CallerRPCs,
		},
	}
	for _, addr := range v.SourceAddresses {
		m.SourceAddresses = append(m.SourceAddresses, addr.String())
	}
	return m
}
