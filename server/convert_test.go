package server

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

var (
	longestAddr = netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	longestZone = netip.AddrPortFrom(longestAddr.Addr().WithZone("fifteen-letters"), 65535)
)

// TestHandshake: everything that the engine saw is told, in the words of the promise.
func TestHandshake(t *testing.T) {
	source := netip.MustParseAddrPort("192.0.2.1:54321")
	target := netip.MustParseAddrPort("198.51.100.7:443")
	router := netip.MustParseAddr("203.0.113.9")
	for _, test := range []struct {
		result shaker.Result
		want   *tcpshakerv1.Handshake
	}{
		{
			shaker.Result{
				Addr: target, Source: source, Outcome: shaker.Open, Silence: shaker.Broken,
				Options: shaker.Timestamps | shaker.ECN, Retransmits: 1, RTT: 1500 * time.Millisecond, Queued: time.Microsecond, Elapsed: 2 * time.Second,
			},
			&tcpshakerv1.Handshake{
				Address: "198.51.100.7:443", Source: "192.0.2.1:54321", Outcome: tcpshakerv1.Outcome_OUTCOME_OPEN,
				Rtt: durationpb.New(1500 * time.Millisecond), SynRetransmits: 1,
				TcpOptions: &tcpshakerv1.TcpOptions{Timestamps: true, Ecn: true},
				Queued:     durationpb.New(time.Microsecond), Silence: tcpshakerv1.Silence_SILENCE_BROKEN,
				Elapsed: durationpb.New(2 * time.Second), Reason: synAck,
			},
		},
		{
			shaker.Result{
				Addr: target, Source: source, Outcome: shaker.Unreachable, Cause: shaker.HostUnreachable,
				Errno: syscall.EHOSTUNREACH, ICMP: shaker.ICMP{Type: 3, Code: 1, From: router}, Elapsed: 1,
			},
			&tcpshakerv1.Handshake{
				Address: "198.51.100.7:443", Source: "192.0.2.1:54321", Outcome: tcpshakerv1.Outcome_OUTCOME_UNREACHABLE,
				Errno: "EHOSTUNREACH", Icmp: &tcpshakerv1.Icmp{Type: 3, Code: 1, ReportedBy: "203.0.113.9"}, Elapsed: durationpb.New(1), Reason: hostUn,
			},
		},
		{
			shaker.Result{Addr: target, Outcome: shaker.Canceled, Queued: time.Second, Err: shaker.ErrClosed},
			&tcpshakerv1.Handshake{
				Address: "198.51.100.7:443", Outcome: tcpshakerv1.Outcome_OUTCOME_CANCELED,
				Queued: durationpb.New(time.Second), Reason: closing,
			},
		},
	} {
		if got := newHandshake(&test.result); !proto.Equal(got, test.want) {
			t.Errorf("got  %v\nwant %v", got, test.want)
		}
	}
}

// TestConversionsAreTotal: no value of the engine's, known or not, becomes one that is never sent.
func TestConversionsAreTotal(t *testing.T) {
	for v := range math.MaxUint8 + 1 {
		if outcomeProto(shaker.Outcome(v)) == tcpshakerv1.Outcome_OUTCOME_UNSPECIFIED {
			t.Errorf("outcome %d is unspecified", v)
		}
		if (silenceProto(shaker.Silence(v)) == tcpshakerv1.Silence_SILENCE_UNSPECIFIED) != (v == 0) {
			t.Errorf("silence %d", v)
		}
		if modeProto(shaker.Mode(v)) == tcpshakerv1.EngineMode_ENGINE_MODE_UNSPECIFIED {
			t.Errorf("mode %d is unspecified", v)
		}
		for cause := range math.MaxUint8 + 1 {
			if reasonOf(&shaker.Result{Outcome: shaker.Outcome(v), Cause: shaker.Cause(cause)}) == tcpshakerv1.Reason_REASON_UNSPECIFIED {
				t.Errorf("outcome %d, cause %d: no reason", v, cause)
			}
		}
	}
	for outcome, want := range map[shaker.Outcome]tcpshakerv1.Outcome{
		shaker.Open: 1, shaker.Refused: 2, shaker.Unreachable: 3, shaker.TimedOut: 4, shaker.Canceled: 5, shaker.LocalError: 6,
	} {
		if got := outcomeProto(outcome); got != want {
			t.Errorf("%v: %v, want %v", outcome, got, want)
		}
	}
}

// TestSlotsLeaveNothingBehind: a slot that was used before gives the same result as a fresh one.
func TestSlotsLeaveNothingBehind(t *testing.T) {
	o := &options{attempts: 1}
	full := &task{
		index: 7, text: "[2001:db8::1]:80", options: o, completed: 3, attempted: 4, last: time.Second,
		handshakes: []*tcpshakerv1.Handshake{{Address: "x"}},
	}
	a := &address{
		addr: netip.MustParseAddrPort("[2001:db8::1]:80"), reason: synAck,
		best: shaker.Result{Outcome: shaker.Open, Silence: shaker.Proven, RTT: time.Second, Retransmits: 1},
	}
	bare, f := &task{text: "x", options: o}, finding{reason: invalid, detail: "bad"}
	var used, fresh slot
	used.fill(full, finding{reason: synAck, decider: a})
	r := &used.result
	if r.Index != 7 || r.Rtt.AsDuration() != time.Second || r.Elapsed.AsDuration() != time.Second || len(r.Handshakes) != 1 {
		t.Errorf("full: %v", r)
	}
	if got, want := used.fill(bare, f), fresh.fill(bare, f); !proto.Equal(got, want) || got.Rtt != nil || got.Elapsed != nil {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestBoundIsAnUpperBound: no CheckResult is larger than its bound, whatever became of its target; and the bounds are near.
func TestBoundIsAnUpperBound(t *testing.T) {
	const index = math.MaxUint64
	week := durationpb.New(7*24*time.Hour + 999_999_999)
	handshake := newHandshake(&shaker.Result{
		Addr: longestAddr, Source: longestZone, Outcome: shaker.Open, Silence: shaker.Unproven, Options: 15,
		Retransmits: math.MaxUint32, Errno: math.MaxInt32, ICMP: shaker.ICMP{Type: 255, Code: 255, From: longestZone.Addr()},
		RTT: time.Hour + 999_999_999, Queued: week.AsDuration(), Elapsed: week.AsDuration(),
	})
	for _, test := range []struct {
		target     string
		handshakes int
	}{
		{"", 0},
		{longestAddr.String(), 0},
		{strings.Repeat("x", 300), 1},
		{"192.0.2.1:80", 16},
		{"name:1", 256},
		{strings.Repeat("x", 2<<20), 0},
	} {
		reach := &tcpshakerv1.CheckResult{
			Index: index, Target: test.target, Verdict: reachable, Reason: synAck, Address: longestAddr.String(),
			Rtt: week, Silence: tcpshakerv1.Silence_SILENCE_PROVEN, Completed: 256, Attempted: 256, Elapsed: week,
			SynRetransmits: math.MaxUint32,
			Handshakes:     slices.Repeat([]*tcpshakerv1.Handshake{handshake}, test.handshakes),
		}
		other := proto.Clone(reach).(*tcpshakerv1.CheckResult)
		other.Rtt, other.Silence, other.Verdict, other.Reason = nil, 0, inconclusive, 39
		other.Detail = strings.Repeat("d", maxDetail)
		bound := resultBound(index, len(test.target), test.handshakes)
		for _, r := range []*tcpshakerv1.CheckResult{reach, other} {
			size := proto.Size(&tcpshakerv1.CheckResponse{Results: []*tcpshakerv1.CheckResult{r}})
			if size > bound {
				t.Errorf("%d bytes of target, %d handshakes: %d bytes, bound %d", len(test.target), test.handshakes, size, bound)
			}
			if quick := resultSize(r); size > quick {
				t.Errorf("%d bytes of target, %d handshakes: %d bytes, resultSize %d", len(test.target), test.handshakes, size, quick)
			}
		}
		size := proto.Size(&tcpshakerv1.CheckResponse{Results: []*tcpshakerv1.CheckResult{other}})
		if test.handshakes == 0 && bound-size > 8 {
			t.Errorf("%d bytes of target: bound %d, worst %d", len(test.target), bound, size)
		}
	}
}

// TestOrdinaryChecksFit: 10,000 literals of either family, without evidence, are no reason for StreamCheck.
func TestOrdinaryChecksFit(t *testing.T) {
	o := &options{attempts: maxAttempts, addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL}
	targets := slices.Repeat([]string{longestAddr.String()}, DefaultTargetsPerMessage)
	if !answerFits(targets, o) {
		t.Error("10,000 of the longest literals do not fit")
	}
	o.evidence = true
	if answerFits(targets, o) {
		t.Error("160,000 handshakes fit")
	}
	if !answerFits([]string{"a.test:80"}, o) {
		t.Error("one name with all evidence does not fit")
	}
}
