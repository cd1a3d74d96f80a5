package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/CarterTsai/tcp-shaker/client"
)

// Widths of the columns, in characters. Lines are written before the ones after them are known, so the columns cannot fit
// themselves to what will come: what is longer moves the rest of its own line to the right.
const (
	targetWidth  = 32 // of targets from a file; those of the command line are known, and fitted to
	maxTarget    = 48
	verdictWidth = len("inconclusive")
	reasonWidth  = len("name lookup failed")
	rttWidth     = len("123.456ms")
	silenceWidth = len("unproven")
	doneWidth    = len("16/16") // handshakes completed and attempted; more with several addresses
	addrWidth    = len("255.255.255.255:65535")
)

// table is for people: aligned columns, and below a result, indented, the evidence of its handshakes.
type table struct{ width int } // of the first column

func newTable(o *options) table {
	if o.file != "" {
		return table{targetWidth}
	}
	width := len("TARGET")
	for _, target := range o.targets {
		width = max(width, utf8.RuneCountInString(printable(target)))
	}
	return table{min(width, maxTarget)}
}

func (t table) header() string {
	return string(t.row(nil, "TARGET", "VERDICT", "REASON", "RTT", "SILENCE", "DONE", "ADDRESS", "DETAIL"))
}

func (t table) append(dst []byte, r client.Result) ([]byte, error) {
	rtt, silence, done, address := "-", "-", "-", "-"
	if r.RTT > 0 {
		rtt = r.RTT.String()
	}
	if r.Silence != 0 {
		silence = r.Silence.String()
	}
	if r.Attempted > 0 {
		done = fmt.Sprintf("%d/%d", r.Completed, r.Attempted)
	}
	if r.Address.IsValid() {
		address = printable(r.Address.String()) // a zone may be any text
	}
	dst = t.row(dst, printable(r.Target), r.Verdict.String(), r.Reason.String(), rtt, silence, done, address, remark(r))
	for _, h := range r.Handshakes {
		dst = fmt.Appendf(dst, "  %s\n", printable(evidence(h)))
	}
	return dst, nil
}

func (t table) row(dst []byte, target, verdict, reason, rtt, silence, done, address, detail string) []byte {
	line := fmt.Sprintf("%-*s  %-*s  %-*s  %-*s  %-*s  %-*s  %-*s  %s", t.width, target, verdictWidth, verdict,
		reasonWidth, reason, rttWidth, rtt, silenceWidth, silence, doneWidth, done, addrWidth, address, detail)
	return append(append(dst, strings.TrimRight(line, " ")...), '\n')
}

// remark is what a person should know besides the columns: the service's sentence, and of a reachable
// target, which has none, that its SYN was sent again.
func remark(r client.Result) string {
	var parts []string
	if r.Detail != "" {
		parts = append(parts, printable(r.Detail))
	}
	if r.Verdict == client.Reachable && r.SYNRetransmits > 0 {
		parts = append(parts, resent(r.SYNRetransmits))
	}
	return strings.Join(parts, ", ")
}

// evidence is one line on a handshake.
func evidence(h client.Handshake) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", h.Address)
	if h.Source.IsValid() {
		fmt.Fprintf(&b, " from %s", h.Source)
	}
	fmt.Fprintf(&b, ": %s", h.Outcome)
	if h.Outcome != client.OutcomeOpen && h.Reason.String() != h.Outcome.String() {
		fmt.Fprintf(&b, ", %s", h.Reason)
	}
	if h.ICMP.ReportedBy.IsValid() {
		fmt.Fprintf(&b, ", ICMP %d/%d from %s", h.ICMP.Type, h.ICMP.Code, h.ICMP.ReportedBy)
	}
	if h.Errno != "" {
		fmt.Fprintf(&b, ", %s", h.Errno)
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"rtt", h.RTT}, {"elapsed", h.Elapsed}, {"queued", h.Queued}} {
		if t.d > 0 {
			fmt.Fprintf(&b, ", %s %s", t.name, t.d)
		}
	}
	if h.SYNRetransmits > 0 {
		fmt.Fprintf(&b, ", %s", resent(h.SYNRetransmits))
	}
	if h.Silence != 0 {
		fmt.Fprintf(&b, ", silence %s", h.Silence)
	}
	for _, o := range []struct {
		name string
		on   bool
	}{
		{"timestamps", h.TCPOptions.Timestamps},
		{"sack", h.TCPOptions.SACK},
		{"window scaling", h.TCPOptions.WindowScaling},
		{"ecn", h.TCPOptions.ECN},
	} {
		if o.on {
			fmt.Fprintf(&b, ", %s", o.name)
		}
	}
	return b.String()
}

func resent(times uint32) string {
	if times == 1 {
		return "SYN sent again once"
	}
	return fmt.Sprintf("SYN sent again %d times", times)
}
