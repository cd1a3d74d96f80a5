package server

import (
	"syscall"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// eventDetails say what happened on this machine while a handshake waited for its answer.
var eventDetails = map[shaker.Event]string{
	shaker.RouteLost:    "this machine lost its route to the address while the SYN waited for an answer",
	shaker.AddressLost:  "this machine lost the address that the SYN was sent from, while it waited for an answer",
	shaker.LinkDown:     "this machine's interface went down while the SYN waited for an answer",
	shaker.CarrierLost:  "this machine's interface had no carrier while the SYN waited for an answer",
	shaker.NoSource:     "this machine has no address of this family to send from",
	shaker.ResendFailed: "this machine could not send the SYN again",
	shaker.Unwatched:    "this machine's network changed faster than the service could follow, so silence proves nothing",
	shaker.Aborted:      "another program of this machine ended the handshake",
	shaker.GaveUp:       "this machine's kernel ended the handshake before the timeout",
}

// troubleDetail says what own trouble ended a handshake: the event if there was one, or what
// connect(2) or socket(2) said.
func troubleDetail(reason tcpshakerv1.Reason, r *shaker.Result) string {
	what, known := eventDetails[r.Event]
	switch {
	case r.Event == shaker.RouteLost && reason == tcpshakerv1.Reason_REASON_LOCAL_FILTERED:
		what = "a route of this machine prohibited the address while the SYN waited for an answer"
	case known:
	case reason == tcpshakerv1.Reason_REASON_NO_ROUTE:
		what = "this machine has no route to the address"
	case reason == tcpshakerv1.Reason_REASON_LOCAL_FILTERED:
		return filteredDetail(r)
	default:
		what = resourceDetail(r)
	}
	return what + errnoDetail(r)
}

// filteredDetail says what on this machine rejected a packet.
func filteredDetail(r *shaker.Result) string {
	switch {
	case r.ICMP.From.IsValid():
		return "this machine's own firewall rejected the packet" + icmpDetail(r)
	case r.Sent():
		return "an ICMP message rejected the SYN, and this machine does not know its sender" + errnoDetail(r)
	case r.Errno == syscall.EACCES:
		return "a prohibit route or a security module of this machine rejected the packet" + errnoDetail(r)
	default:
		return "a firewall or a security module of this machine rejected the packet" + errnoDetail(r)
	}
}

// resourceDetail says what this machine ran out of, as far as the errno tells: connect(2),
// socket(2).
func resourceDetail(r *shaker.Result) string {
	switch r.Errno {
	case 0:
		if r.Sent() {
			return "a probe of this service's own may have answered, at each try"
		}
	case syscall.EADDRNOTAVAIL, syscall.EADDRINUSE:
		return "no free source port for this address"
	case syscall.EMFILE, syscall.ENFILE:
		return "no free file descriptor"
	case syscall.ENOBUFS, syscall.ENOMEM:
		return "no memory for a socket"
	}
	return "this machine could not start the handshake"
}
