package server

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/internal/errno"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// This file turns the engine's words into those of the promise. Every function is total: a value that it does not know
// becomes the one that claims least.

// newHandshake is the evidence of one result.
func newHandshake(r *shaker.Result) *tcpshakerv1.Handshake {
	h := &tcpshakerv1.Handshake{
		Address:        r.Addr.String(),
		Outcome:        outcomeProto(r.Outcome),
		Rtt:            durationProto(r.RTT),
		SynRetransmits: r.Retransmits,
		Errno:          errno.Name(r.Errno),
		Queued:         durationProto(r.Queued),
		Silence:        silenceProto(r.Silence),
		Elapsed:        durationProto(r.Elapsed),
		Reason:         reasonOf(r),
	}
	if r.Source.IsValid() {
		h.Source = validText(r.Source.String())
	}
	if r.Outcome == shaker.Open {
		h.TcpOptions = &tcpshakerv1.TcpOptions{
			Timestamps:    r.Options&shaker.Timestamps != 0,
			Sack:          r.Options&shaker.SACK != 0,
			WindowScaling: r.Options&shaker.WindowScaling != 0,
			Ecn:           r.Options&shaker.ECN != 0,
		}
	}
	if r.ICMP.From.IsValid() {
		h.Icmp = &tcpshakerv1.Icmp{
			Type:       uint32(r.ICMP.Type),
			Code:       uint32(r.ICMP.Code),
			ReportedBy: validText(r.ICMP.From.String()),
		}
	}
	return h
}

func outcomeProto(o shaker.Outcome) tcpshakerv1.Outcome {
	switch o {
	case shaker.Open:
		return tcpshakerv1.Outcome_OUTCOME_OPEN
	case shaker.Refused:
		return tcpshakerv1.Outcome_OUTCOME_REFUSED
	case shaker.Unreachable:
		return tcpshakerv1.Outcome_OUTCOME_UNREACHABLE
	case shaker.TimedOut:
		return tcpshakerv1.Outcome_OUTCOME_TIMED_OUT
	case shaker.Canceled:
		return tcpshakerv1.Outcome_OUTCOME_CANCELED
	default:
		return tcpshakerv1.Outcome_OUTCOME_LOCAL_ERROR // as reasonOf
	}
}

func silenceProto(s shaker.Silence) tcpshakerv1.Silence {
	switch s {
	case shaker.NoSilence:
		return tcpshakerv1.Silence_SILENCE_UNSPECIFIED
	case shaker.Proven:
		return tcpshakerv1.Silence_SILENCE_PROVEN
	case shaker.Broken:
		return tcpshakerv1.Silence_SILENCE_BROKEN
	default:
		return tcpshakerv1.Silence_SILENCE_UNPROVEN
	}
}

func modeProto(m shaker.Mode) tcpshakerv1.EngineMode {
	if m == shaker.Reuse {
		return tcpshakerv1.EngineMode_ENGINE_MODE_REUSE
	}
	return tcpshakerv1.EngineMode_ENGINE_MODE_FRESH
}

// durationProto leaves a field unset for 0, which stands for "not known" or "none" in all that the engine measures.
func durationProto(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// setDuration is durationProto into a message that is there already.
func setDuration(message *durationpb.Duration, d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	message.Seconds, message.Nanos = int64(d/time.Second), int32(d%time.Second)
	return message
}

// addressText is addr.String(), which is most often what the caller had written: then that is used, and nothing allocated.
func addressText(addr netip.AddrPort, written string) string {
	var buf [64]byte // an IPv6 address with its port takes 47
	text := addr.AppendTo(buf[:0])
	if string(text) == written {
		return written
	}
	return string(text)
}
