package server

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// Reasons, short.
const (
	synAck  = tcpshakerv1.Reason_REASON_SYN_ACK
	rst     = tcpshakerv1.Reason_REASON_REFUSED
	timeout = tcpshakerv1.Reason_REASON_TIMED_OUT
	hostUn  = tcpshakerv1.Reason_REASON_HOST_UNREACHABLE
	ours    = tcpshakerv1.Reason_REASON_LOCAL_RESOURCES
	noRoute = tcpshakerv1.Reason_REASON_NO_ROUTE
	closing = tcpshakerv1.Reason_REASON_SHUTTING_DOWN

	invalid      = tcpshakerv1.Reason_REASON_INVALID_TARGET
	denied       = tcpshakerv1.Reason_REASON_POLICY_DENIED
	notFound     = tcpshakerv1.Reason_REASON_NAME_NOT_FOUND
	lookupFailed = tcpshakerv1.Reason_REASON_NAME_LOOKUP_FAILED
)

// Address policies, short.
const (
	anyOf = tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY
	allOf = tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL
)

// TestVerdictGoesByDecades: "1 to 9 go with VERDICT_REACHABLE, 10 to 19 with VERDICT_UNREACHABLE, 20 to 29 [and] 30 to 39
// with VERDICT_INCONCLUSIVE", for all reasons that there are, and for those that there may be.
func TestVerdictGoesByDecades(t *testing.T) {
	for r := tcpshakerv1.Reason(-1); r < 60; r++ {
		want := inconclusive
		if r > 0 && r < 10 {
			want = reachable
		} else if r >= 10 && r < 20 {
			want = unreachable
		}
		if got := verdictOf(r); got != want {
			t.Errorf("%d: %v, want %v", r, got, want)
		}
	}
}

// TestReasonOfEveryResult: every outcome and cause has a reason, and no unknown one is held against the target.
func TestReasonOfEveryResult(t *testing.T) {
	for _, test := range []struct {
		outcome shaker.Outcome
		cause   shaker.Cause
		err     error
		want    tcpshakerv1.Reason
	}{
		{outcome: shaker.Open, want: synAck},
		{outcome: shaker.Refused, want: rst},
		{outcome: shaker.TimedOut, want: timeout},
		{outcome: shaker.Unreachable, cause: shaker.HostUnreachable, want: hostUn},
		{outcome: shaker.Unreachable, cause: shaker.NetUnreachable, want: tcpshakerv1.Reason_REASON_NET_UNREACHABLE},
		{outcome: shaker.Unreachable, cause: shaker.PortUnreachable, want: tcpshakerv1.Reason_REASON_PORT_UNREACHABLE},
		{outcome: shaker.Unreachable, cause: shaker.Prohibited, want: tcpshakerv1.Reason_REASON_PROHIBITED},
		{outcome: shaker.Unreachable, want: hostUn},
		{outcome: shaker.LocalError, cause: shaker.NoRoute, want: noRoute},
		{outcome: shaker.LocalError, cause: shaker.LocalResources, want: ours},
		{outcome: shaker.LocalError, cause: shaker.LocalFiltered, want: tcpshakerv1.Reason_REASON_LOCAL_FILTERED},
		{outcome: shaker.LocalError, want: ours},
		{outcome: shaker.Canceled, err: context.DeadlineExceeded, want: cutOff},
		{outcome: shaker.Canceled, err: context.Canceled, want: cutOff},
		{outcome: shaker.Canceled, err: shaker.ErrClosed, want: closing},
		{outcome: shaker.Canceled, err: errors.Join(shaker.ErrClosed), want: closing},
		{outcome: shaker.Unspecified, want: ours},
		{outcome: 200, cause: 200, want: ours},
	} {
		if got := reasonOf(&shaker.Result{Outcome: test.outcome, Cause: test.cause, Err: test.err}); got != test.want {
			t.Errorf("%v %v %v: %v, want %v", test.outcome, test.cause, test.err, got, test.want)
		}
	}
}

// TestHandshakesOfAnAddress: a SYN-ACK wins, then an RST or ICMP, then our own trouble, then what
// was cut off, then silence. Of equals the first wins.
func TestHandshakesOfAnAddress(t *testing.T) {
	results := map[tcpshakerv1.Reason]shaker.Result{
		synAck:  {Outcome: shaker.Open},
		cutOff:  {Outcome: shaker.Canceled, Err: context.DeadlineExceeded},
		closing: {Outcome: shaker.Canceled, Err: shaker.ErrClosed},
		rst:     {Outcome: shaker.Refused},
		hostUn:  {Outcome: shaker.Unreachable},
		timeout: {Outcome: shaker.TimedOut},
		ours:    {Outcome: shaker.LocalError},
		noRoute: {Outcome: shaker.LocalError, Cause: shaker.NoRoute},
	}
	for _, test := range []struct {
		brought []tcpshakerv1.Reason
		want    tcpshakerv1.Reason
	}{
		{[]tcpshakerv1.Reason{timeout, cutOff, rst, ours, synAck}, synAck},
		{[]tcpshakerv1.Reason{synAck, cutOff, rst}, synAck},
		{[]tcpshakerv1.Reason{cutOff, rst, timeout}, rst},
		{[]tcpshakerv1.Reason{timeout, cutOff, timeout}, cutOff},
		{[]tcpshakerv1.Reason{timeout, closing, cutOff}, closing},
		{[]tcpshakerv1.Reason{timeout, rst, hostUn}, rst},
		{[]tcpshakerv1.Reason{ours, timeout}, ours},
		{[]tcpshakerv1.Reason{timeout, noRoute}, noRoute},
		{[]tcpshakerv1.Reason{noRoute, ours}, noRoute},
		{[]tcpshakerv1.Reason{ours, noRoute}, ours},
		{[]tcpshakerv1.Reason{cutOff, noRoute, closing}, noRoute},
		{[]tcpshakerv1.Reason{noRoute, cutOff}, noRoute},
		{[]tcpshakerv1.Reason{closing, noRoute}, noRoute},
		{[]tcpshakerv1.Reason{noRoute, timeout, rst}, rst},
		{[]tcpshakerv1.Reason{noRoute, timeout, synAck}, synAck},
	} {
		var a address
		for _, reason := range test.brought {
			r := results[reason]
			if got, want := a.meet(&r, 0), classOf(reason); got != want {
				t.Errorf("%v: class %d, want %d", reason, got, want)
			}
		}
		if a.reason != test.want || reasonOf(&a.best) != test.want || int(a.ended) != len(test.brought) {
			t.Errorf("%v: %v, want %v", test.brought, a.reason, test.want)
		}
	}
}

// TestAddressesOfATarget is the table of how addresses combine: which one decides, and when that is certain.
func TestAddressesOfATarget(t *testing.T) {
	const (
		first = tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST
		wait  = tcpshakerv1.Reason_REASON_UNSPECIFIED // the address is not closed
	)
	type reasons = []tcpshakerv1.Reason
	for _, test := range []struct {
		policy  tcpshakerv1.AddressPolicy
		reasons reasons
		early   int // which address decides; -1: none yet
		patient int // the same with exhaustive
	}{
		{first, reasons{wait}, -1, -1},
		{first, reasons{synAck}, 0, 0},
		{first, reasons{rst}, 0, 0},
		{first, reasons{ours}, 0, 0},

		{anyOf, reasons{wait, synAck}, 1, -1},
		{anyOf, reasons{wait, rst}, -1, -1},
		{anyOf, reasons{wait, ours}, -1, -1},
		{anyOf, reasons{rst, ours, synAck}, 2, 2},
		{anyOf, reasons{rst, ours, timeout, cutOff}, 1, 1},
		{anyOf, reasons{timeout, rst}, 0, 0},
		{anyOf, reasons{rst, synAck, synAck}, 1, 1},

		{allOf, reasons{wait, rst}, 1, -1},
		{allOf, reasons{wait, synAck}, -1, -1},
		{allOf, reasons{wait, ours}, -1, -1},
		{allOf, reasons{synAck, ours, rst}, 2, 2},
		{allOf, reasons{synAck, synAck, cutOff}, 2, 2},
		{allOf, reasons{synAck, synAck}, 0, 0},
	} {
		addresses := make([]address, len(test.reasons))
		for i, r := range test.reasons {
			addresses[i] = address{reason: r, closed: r != wait}
		}
		for patient, want := range map[bool]int{false: test.early, true: test.patient} {
			at, certain := decide(test.policy, patient, addresses)
			if certain != (want >= 0) || certain && at != want {
				t.Errorf("%v %v, patient %v: %d %v, want %d", test.policy, test.reasons, patient, at, certain, want)
			}
		}
	}
}

// TestDetails: one sentence, at most 160 bytes, that says who, what and how often; nothing with REACHABLE.
func TestDetails(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	target := netip.MustParseAddrPort("198.51.100.7:443")
	long := netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").WithZone("fifteen-letters")
	icmp := func(typ, code uint8, from netip.Addr) shaker.Result {
		return shaker.Result{Addr: target, ICMP: shaker.ICMP{Type: typ, Code: code, From: from}}
	}
	errno := func(e syscall.Errno) shaker.Result { return shaker.Result{Errno: e} }
	prohibited, netUn := tcpshakerv1.Reason_REASON_PROHIBITED, tcpshakerv1.Reason_REASON_NET_UNREACHABLE
	portUn, filtered := tcpshakerv1.Reason_REASON_PORT_UNREACHABLE, tcpshakerv1.Reason_REASON_LOCAL_FILTERED
	one := options{attempts: 1, timeout: 2 * time.Second}
	neighbour := icmp(3, 1, router)
	neighbour.Source = netip.AddrPortFrom(router, 40_000)
	for _, test := range []struct {
		a    address
		o    options
		want string
	}{
		{address{reason: synAck}, one, ""},
		{address{reason: rst}, one, "connection refused (RST): nothing listens on the port"},
		{address{reason: timeout, timeout: 2 * time.Second, ended: 1, sent: 1, best: shaker.Result{Retransmits: 2}}, one, "no answer to 3 SYNs within 2s"},
		{address{reason: timeout, timeout: 2 * time.Second, ended: 3, sent: 3}, one, "no answer to 1 SYN within 2s, nor in 2 handshakes more"},
		{address{reason: timeout, timeout: 2 * time.Second, ended: 3, sent: 2}, one, "no answer to 1 SYN within 2s, nor in 1 handshake more"},
		{
			address{reason: noRoute, quiet: 1, best: errno(syscall.ENETUNREACH)},
			one,
			"this machine has no route to the address (ENETUNREACH); 1 other handshake met silence",
		},
		{
			address{reason: filtered, quiet: 15, best: icmp(1, 1, router)},
			one,
			"this machine's own firewall rejected the packet, says router 192.0.2.1 (ICMP 1/1); 15 other handshakes met silence",
		},
		{ // too long for both
			address{reason: filtered, quiet: 15, best: icmp(1, 1, long)},
			one,
			"this machine's own firewall rejected the packet, says router " + long.String() + " (ICMPv6 1/1)",
		},
		{
			address{reason: cutOff, sent: 2, whole: 1, quiet: 1},
			options{attempts: 2},
			"the deadline of the RPC passed after 1 of 2 handshakes, without an answer that decides" +
				"; set options.timeout below the deadline / 2",
		},
		{address{reason: hostUn, best: icmp(3, 1, router)}, one, "host unreachable, says router 192.0.2.1 (ICMP 3/1)"},
		{address{reason: hostUn, best: icmp(3, 1, target.Addr())}, one, "host unreachable, says the target (ICMP 3/1)"},
		{address{reason: hostUn, best: neighbour}, one, "host unreachable, says this machine (ICMP 3/1)"},
		{
			address{reason: prohibited, best: icmp(1, 1, long)},
			one,
			"prohibited by a firewall, says router " + long.String() + " (ICMPv6 1/1)",
		},
		{address{reason: netUn, best: errno(syscall.ENETUNREACH)}, one, "network unreachable (ENETUNREACH)"},
		{address{reason: portUn}, one, "port unreachable"},
		{address{reason: noRoute, best: errno(syscall.ENETUNREACH)}, one, "this machine has no route to the address (ENETUNREACH)"},
		{address{reason: ours, best: errno(syscall.EADDRNOTAVAIL)}, one, "no free source port for this address (EADDRNOTAVAIL)"},
		{address{reason: ours, best: errno(syscall.EMFILE)}, one, "no free file descriptor (EMFILE)"},
		{
			address{reason: ours, best: shaker.Result{Outcome: shaker.LocalError, Cause: shaker.LocalResources, Elapsed: 1}},
			one,
			"a probe of this service's own may have answered, at each try",
		},
		{address{reason: ours, best: errno(syscall.ENOBUFS)}, one, "no memory for a socket (ENOBUFS)"},
		{address{reason: ours}, one, "this machine could not start the handshake"},
		{address{reason: filtered, best: errno(syscall.EPERM)}, one, "a firewall or a security module of this machine rejected the packet (EPERM)"},
		{address{reason: closing}, one, "the service is shutting down"},
		{address{reason: cutOff}, one, "the deadline of the RPC passed before a SYN was sent"},
		{
			address{reason: cutOff, timeout: 2 * time.Second, sent: 1},
			one,
			"the deadline of the RPC passed before an answer, and before the timeout of 2s; set options.timeout below the deadline",
		},
		{ // fitted, and it waited in the engine
			address{
				reason: cutOff, timeout: 1_876_543_210, sent: 1, best: shaker.Result{Queued: 123_456_789},
			},
			one,
			"the deadline of the RPC passed before an answer, and before the timeout of 1.88s; its SYN waited 123ms" +
				"; set options.timeout below the deadline",
		},
		{ // too long for all of it
			address{reason: cutOff, timeout: 59_999_999_999, sent: 1, best: shaker.Result{Queued: math.MaxInt64}},
			options{attempts: 1, timeout: 59_999_999_999},
			"the deadline of the RPC passed before an answer, and before the timeout of 59.999999999s" +
				"; set options.timeout below the deadline",
		},
		{
			address{reason: cutOff, sent: 16, whole: 15, best: shaker.Result{Queued: fitMargin}},
			options{attempts: 16},
			"the deadline of the RPC passed after 15 of 16 handshakes, without an answer that decides" +
				"; its SYN waited 20ms; set options.timeout below the deadline / 16",
		},
		{ // overlapping
			address{reason: cutOff, sent: 2, best: shaker.Result{Queued: fitMargin - time.Millisecond}},
			options{attempts: 2, exhaustive: true},
			"the deadline of the RPC passed after 0 of 2 handshakes, without an answer that decides" +
				"; set options.timeout below the deadline",
		},
	} {
		got := explain(&test.a, &test.o)
		if got != test.want || len(got) > maxDetail {
			t.Errorf("%v: %q, want %q", test.a.reason, got, test.want)
		}
	}
	if got := clip(strings.Repeat("ä", 100)); got != strings.Repeat("ä", 80) {
		t.Errorf("clip: %q", got)
	}
	if got := clip("x" + strings.Repeat("ä", 100)); got != "x"+strings.Repeat("ä", 79) {
		t.Errorf("clip: %q", got)
	}
}
