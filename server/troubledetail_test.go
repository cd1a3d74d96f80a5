package server

import (
	"syscall"
	"testing"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestOwnTroubleHasItsWords: each event on this machine, and each errno by which it refuses to
// send, has a reason and a sentence of its own. The sentence names the event.
func TestOwnTroubleHasItsWords(t *testing.T) {
	const filtered, ours = tcpshakerv1.Reason_REASON_LOCAL_FILTERED, tcpshakerv1.Reason_REASON_LOCAL_RESOURCES
	inFlight := func(cause shaker.Cause, event shaker.Event, errno syscall.Errno) shaker.Result {
		return shaker.Result{Outcome: shaker.LocalError, Cause: cause, Event: event, Errno: errno, Elapsed: 1}
	}
	atConnect := func(cause shaker.Cause, errno syscall.Errno) shaker.Result {
		return shaker.Result{Outcome: shaker.LocalError, Cause: cause, Errno: errno}
	}
	for _, c := range []struct {
		result shaker.Result
		reason tcpshakerv1.Reason
		want   string
	}{
		{inFlight(shaker.NoRoute, shaker.RouteLost, syscall.ENETUNREACH), noRoute, "this machine lost its route to the address while the SYN waited for an answer (ENETUNREACH)"},
		{inFlight(shaker.LocalFiltered, shaker.RouteLost, syscall.EACCES), filtered, "a route of this machine prohibited the address while the SYN waited for an answer (EACCES)"},
		{inFlight(shaker.NoRoute, shaker.AddressLost, 0), noRoute, "this machine lost the address that the SYN was sent from, while it waited for an answer"},
		{inFlight(shaker.NoRoute, shaker.LinkDown, 0), noRoute, "this machine's interface went down while the SYN waited for an answer"},
		{inFlight(shaker.NoRoute, shaker.CarrierLost, 0), noRoute, "this machine's interface had no carrier while the SYN waited for an answer"},
		{inFlight(shaker.NoRoute, shaker.NoSource, 0), noRoute, "this machine has no address of this family to send from"},
		{inFlight(shaker.LocalResources, shaker.ResendFailed, syscall.ENOBUFS), ours, "this machine could not send the SYN again (ENOBUFS)"},
		{inFlight(shaker.LocalResources, shaker.Unwatched, 0), ours, "this machine's network changed faster than the service could follow, so silence proves nothing"},
		{inFlight(shaker.LocalResources, shaker.Aborted, syscall.ECONNABORTED), ours, "another program of this machine ended the handshake (ECONNABORTED)"},
		{inFlight(shaker.LocalResources, shaker.GaveUp, syscall.ETIMEDOUT), ours, "this machine's kernel ended the handshake before the timeout (ETIMEDOUT)"},
		{inFlight(shaker.LocalFiltered, shaker.NoEvent, syscall.EHOSTUNREACH), filtered, "an ICMP message rejected the SYN, and this machine does not know its sender (EHOSTUNREACH)"},
		{atConnect(shaker.NoRoute, syscall.ENETUNREACH), noRoute, "this machine has no route to the address (ENETUNREACH)"},
		{atConnect(shaker.NoRoute, syscall.EINVAL), noRoute, "this machine has no route to the address (EINVAL)"},
		{shaker.Result{Outcome: shaker.LocalError, Cause: shaker.NoRoute, Event: shaker.NoSource, Errno: syscall.EADDRNOTAVAIL}, noRoute, "this machine has no address of this family to send from (EADDRNOTAVAIL)"},
		{atConnect(shaker.LocalFiltered, syscall.EACCES), filtered, "a prohibit route or a security module of this machine rejected the packet (EACCES)"},
		{atConnect(shaker.LocalFiltered, syscall.EPERM), filtered, "a firewall or a security module of this machine rejected the packet (EPERM)"},
		{atConnect(shaker.LocalFiltered, syscall.ECONNREFUSED), filtered, "a firewall or a security module of this machine rejected the packet (ECONNREFUSED)"},
		{atConnect(shaker.LocalResources, syscall.EADDRNOTAVAIL), ours, "no free source port for this address (EADDRNOTAVAIL)"},
	} {
		a := address{reason: reasonOf(&c.result), best: c.result}
		if got := detailOf(&a, &options{attempts: 1}); a.reason != c.reason || got != c.want || len(got) > maxDetail {
			t.Errorf("%s: %s, %q, want %s, %q", c.result.String(), a.reason, got, c.reason, c.want)
		}
	}
	for event := shaker.NoEvent + 1; event.String() != "" && event <= shaker.GaveUp; event++ {
		if eventDetails[event] == "" {
			t.Errorf("%s has no words", event)
		}
	}
}
