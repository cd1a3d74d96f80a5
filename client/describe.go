package client

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// String returns the result in one line: target, verdict, reason, and what else is known.
// Characters of the target and of the service's texts that do not print are escaped as in Go.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v (%v)", r.Target, r.Verdict, r.Reason)
	if r.RTT != 0 {
		fmt.Fprintf(&b, ", rtt %v", r.RTT)
	}
	if address := addrPortString(r.Address); address != "" && address != r.Target {
		fmt.Fprintf(&b, ", address %s", address)
	}
	if r.Detail != "" {
		fmt.Fprintf(&b, ": %s", r.Detail)
	}
	return printable(b.String())
}

// LogValue implements slog.LogValuer. It returns a group with the names and the rules of
// [Result.MarshalJSON]; handshakes are a group of groups, numbered from 0. Characters are escaped
// as in [Result.String].
func (r Result) LogValue() slog.Value {
	var g group
	g = append(g, slog.Uint64("index", r.Index), slog.String("target", printable(r.Target)))
	g.text("verdict", r.Verdict, r.Verdict != 0)
	g.text("reason", r.Reason, r.Reason != 0)
	g.text("address", r.Address, r.Address.IsValid())
	g.duration("rtt", r.RTT)
	g.text("silence", r.Silence, r.Silence != 0)
	if !r.Observed.IsZero() {
		g = append(g, slog.Time("observed_time", r.Observed))
	}
	g.string("detail", r.Detail)
	if completed := countOf(r.Completed, r.Attempted); completed != nil {
		g = append(g, slog.Uint64("completed", uint64(*completed)))
	}
	g.count("attempted", r.Attempted)
	g.duration("elapsed", r.Elapsed)
	g.count("syn_retransmits", r.SYNRetransmits)
	if len(r.Handshakes) > 0 {
		var all group
		for i, h := range r.Handshakes {
			all = append(all, slog.Attr{Key: strconv.Itoa(i), Value: h.LogValue()})
		}
		g = append(g, slog.Attr{Key: "handshakes", Value: slog.GroupValue(all...)})
	}
	return slog.GroupValue(g...)
}

// String returns the handshake in one line, with what is set.
func (h Handshake) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", h.Address)
	if h.Source.IsValid() {
		fmt.Fprintf(&b, " from %s", h.Source)
	}
	fmt.Fprintf(&b, ": %v (%v)", h.Outcome, h.Reason)
	if h.Errno != "" {
		fmt.Fprintf(&b, ", %s", h.Errno)
	}
	if h.ICMP != (ICMP{}) {
		fmt.Fprintf(&b, ", ICMP %v", h.ICMP)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"rtt", h.RTT}, {"elapsed", h.Elapsed}, {"queued", h.Queued}} {
		if d.value != 0 {
			fmt.Fprintf(&b, ", %s %v", d.name, d.value)
		}
	}
	if h.SYNRetransmits != 0 {
		fmt.Fprintf(&b, ", SYN retransmits %d", h.SYNRetransmits)
	}
	if h.Silence != 0 {
		fmt.Fprintf(&b, ", silence %v", h.Silence)
	}
	if h.TCPOptions != (TCPOptions{}) {
		fmt.Fprintf(&b, ", %v", h.TCPOptions)
	}
	return printable(b.String())
}

// LogValue implements slog.LogValuer, by the rules of [Result.LogValue].
func (h Handshake) LogValue() slog.Value {
	var g group
	g.text("address", h.Address, h.Address.IsValid())
	g.text("source", h.Source, h.Source.IsValid())
	g.text("outcome", h.Outcome, h.Outcome != 0)
	g.text("reason", h.Reason, h.Reason != 0)
	g.duration("rtt", h.RTT)
	g.count("syn_retransmits", h.SYNRetransmits)
	if h.TCPOptions != (TCPOptions{}) {
		g = append(g, slog.Attr{Key: "tcp_options", Value: h.TCPOptions.LogValue()})
	}
	g.string("errno", h.Errno)
	if h.ICMP != (ICMP{}) {
		g = append(g, slog.Attr{Key: "icmp", Value: h.ICMP.LogValue()})
	}
	g.duration("queued", h.Queued)
	g.duration("elapsed", h.Elapsed)
	g.text("silence", h.Silence, h.Silence != 0)
	return slog.GroupValue(g...)
}

// String returns the options that are on, such as `timestamps, sack`; of the zero value, nothing.
func (o TCPOptions) String() string {
	var on []string
	for _, attr := range o.LogValue().Group() {
		on = append(on, strings.ReplaceAll(attr.Key, "_", " "))
	}
	return strings.Join(on, ", ")
}

// LogValue implements slog.LogValuer. The group has the options that are on.
func (o TCPOptions) LogValue() slog.Value {
	var g group
	g.flag("timestamps", o.Timestamps)
	g.flag("sack", o.SACK)
	g.flag("window_scaling", o.WindowScaling)
	g.flag("ecn", o.ECN)
	return slog.GroupValue(g...)
}

// String returns the message's type, code and sender, such as `3/1 from 192.0.2.1`.
func (i ICMP) String() string {
	return printable(fmt.Sprintf("%d/%d from %s", i.Type, i.Code, i.ReportedBy))
}

// LogValue implements slog.LogValuer.
func (i ICMP) LogValue() slog.Value {
	g := group{slog.Int("type", int(i.Type)), slog.Int("code", int(i.Code))}
	g.text("reported_by", i.ReportedBy, i.ReportedBy.IsValid())
	return slog.GroupValue(g...)
}

// group collects the attributes of a log value. Each method leaves out what is unset.
type group []slog.Attr

// text adds what is text in another form. An address has a zone, which may be any text.
func (g *group) text(key string, value fmt.Stringer, set bool) {
	if set {
		g.string(key, value.String())
	}
}

func (g *group) string(key, value string) {
	if value != "" {
		*g = append(*g, slog.String(key, printable(value)))
	}
}

// duration adds text, because slog's JSON has nanoseconds.
func (g *group) duration(key string, value time.Duration) {
	if value != 0 {
		*g = append(*g, slog.String(key, value.String()))
	}
}

func (g *group) count(key string, value uint32) {
	if value != 0 {
		*g = append(*g, slog.Uint64(key, uint64(value)))
	}
}

func (g *group) flag(key string, on bool) {
	if on {
		*g = append(*g, slog.Bool(key, true))
	}
}
