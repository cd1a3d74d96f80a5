package shaker

import (
	"fmt"
	"net/netip"
	"strings"
)

// Outcome is what the wire, or our own kernel, said of one probe. It is not a verdict: what it means for the target is for
// the caller to say, with the help of [Cause].
type Outcome uint8

const (
	// Unspecified is the zero value. No Result carries it.
	Unspecified Outcome = iota
	// Open: a SYN-ACK came back, and it was not our own (a self-connect is Refused, see shard.open).
	Open
	// Refused: an RST came back, nothing else; and again, where the first may have been meant for an earlier handshake of ours.
	Refused
	// Unreachable: an ICMP error ended the handshake. Cause classes it, and ICMP holds type, code and sender. A kernel that does
	// not keep them (IPv4: before Linux 5.11) leaves it open who said so, and the outcome is LocalError.
	Unreachable
	// TimedOut: nothing came back within the probe's timeout, while our own side worked: source address, link and route.
	TimedOut
	// Canceled: the batch's context ended, or the engine closed, before the probe was decided. Err says which.
	Canceled
	// LocalError: our own side would not or could not send: never to be held against the target. Cause classes it.
	LocalError
)

var outcomeNames = [...]string{"unspecified", "open", "refused", "unreachable", "timed out", "canceled", "local error"}

// String returns the outcome in lower-case words.
func (o Outcome) String() string { return nameOf(outcomeNames[:], o) }

// Cause tells outcomes of one kind apart: which wall the ICMP message of an Unreachable spoke of, and which trouble of ours
// a LocalError was.
type Cause uint8

const (
	// NoCause is the zero value: the outcome says it all.
	NoCause Cause = iota

	// HostUnreachable goes with Unreachable: the host could not be reached, or the packet did not survive the way.
	HostUnreachable
	// NetUnreachable goes with Unreachable: a router knew no way.
	NetUnreachable
	// PortUnreachable goes with Unreachable: the host, or a firewall in its name, said so of the port.
	PortUnreachable
	// Prohibited goes with Unreachable: a firewall said that this is not allowed.
	Prohibited

	// NoRoute goes with LocalError: our kernel has no way to the address, or had none while the SYN waited for its answer. Event
	// names what was lost on the way; without one, nothing was sent.
	NoRoute
	// LocalResources goes with LocalError: no file descriptor, source port or memory, and nothing was sent. Or the kernel ended
	// the handshake, as Event says. Or, without Errno and Event and with a SYN sent: the target was answered 17 times by what may
	// have been another probe of ours.
	LocalResources
	// LocalFiltered goes with LocalError: our own machine rejected the packet. Its firewall did so, a security module, or a route
	// of type prohibit.
	LocalFiltered
)

var causeNames = [...]string{
	"", "host unreachable", "net unreachable", "port unreachable", "prohibited",
	"no route", "local resources", "local filtered",
}

// String returns the cause in lower-case words; of NoCause, nothing.
func (c Cause) String() string { return nameOf(causeNames[:], c) }

// Event names what happened on this host when a LocalError follows from a change, and not from a shortage. Its words name the
// event for an operator.
type Event uint8

const (
	// NoEvent is the zero value: the LocalError has no event, or the outcome is another one.
	NoEvent Event = iota
	// RouteLost: the route that the SYN took is gone, or does not lead out any more.
	RouteLost
	// AddressLost: the SYN's source address was removed from this host, if only for a moment.
	AddressLost
	// LinkDown: the interface was set down or deleted, if only for a moment.
	LinkDown
	// CarrierLost: the interface had no carrier, if only for a moment.
	CarrierLost
	// NoSource: this host has no address of the family to send from.
	NoSource
	// ResendFailed: the kernel could not send the SYN again, and does not say why.
	ResendFailed
	// Unwatched: the host's network changed faster than the engine could follow.
	Unwatched
	// Aborted: another program of this host ended the handshake (SOCK_DESTROY, ss -K).
	Aborted
	// GaveUp: the kernel ended the handshake before the probe's timeout.
	GaveUp
)

var eventNames = [...]string{
	"", "route lost", "address lost", "link down", "carrier lost", "no source address", "resend failed",
	"network changes unwatched", "aborted", "kernel gave up",
}

// String returns the event in lower-case words; of NoEvent, nothing.
func (e Event) String() string { return nameOf(eventNames[:], e) }

// Silence says whether the last ACK of an Open handshake was held back, so that the application cannot have noticed it.
type Silence uint8

const (
	// NoSilence is the zero value: the outcome is not Open, so there was no ACK to hold back.
	NoSilence Silence = iota
	// Proven: the socket had sent nothing but its SYN when it was disconnected, and that was well before the kernel's
	// delayed ACK was due (see silence.go).
	Proven
	// Broken: the kernel had sent an ACK before we left.
	Broken
	// Unproven: neither can be shown. The loop came too late, the peer sent something more, it has sent data without our ACK at an
	// earlier handshake, or the kernel lets us set no least hop count.
	Unproven
)

var silenceNames = [...]string{"", "proven", "broken", "unproven"}

// String returns the silence in lower case; of NoSilence, nothing.
func (s Silence) String() string { return nameOf(silenceNames[:], s) }

// Options are the TCP options that both sides of an Open handshake agreed on, as tcpi_options of TCP_INFO gives them
// (include/uapi/linux/tcp.h, TCPI_OPT_*).
type Options uint8

const (
	// Timestamps, RFC 7323 section 3.
	Timestamps Options = 1
	// SACK is selective acknowledgment, RFC 2018.
	SACK Options = 2
	// WindowScaling, RFC 7323 section 2.
	WindowScaling Options = 4
	// ECN is explicit congestion notification, RFC 3168.
	ECN Options = 8

	allOptions = Timestamps | SACK | WindowScaling | ECN
)

var optionNames = [...]string{"timestamps", "sack", "window scaling", "ecn"}

// String lists the options, separated by commas; of none, nothing.
func (o Options) String() string {
	var names []string
	for i, name := range optionNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// ICMP is an error message that ended a handshake: ICMP (RFC 792) for an IPv4 address, ICMPv6 (RFC 4443) for an IPv6 one.
// The zero value means that there was none, or that the kernel did not keep it.
type ICMP struct {
	Type, Code uint8
	From       netip.Addr // who sent it; valid in all but the zero value
}

// String returns `type/code from sender`; of the zero value, nothing.
func (i ICMP) String() string {
	if !i.From.IsValid() {
		return ""
	}
	return fmt.Sprintf("%d/%d from %s", i.Type, i.Code, i.From)
}

// neighbour reports whether the message says what the kernel itself says of a neighbour that does not answer.
func (i ICMP) neighbour() bool {
	if i.From.Is4() {
		return i.Type == 3 && i.Code == 1
	}
	return i.Type == 1 && i.Code == 3
}

// cause classes an ICMP message by type and code. The errno would not do: icmp_err_convert (net/ipv4/icmp.c) makes
// EHOSTUNREACH of "no such host", of "administratively prohibited" and of "time exceeded" alike.
func (i ICMP) cause() Cause {
	if i.From.Is4() {
		return icmp4Cause(i.Type, i.Code)
	}
	return icmp6Cause(i.Type, i.Code)
}

// icmp4Cause follows RFC 792 and RFC 1812 section 5.2.7.1. Types that end a connection attempt are 3 (destination
// unreachable), 11 (time exceeded) and 12 (parameter problem): tcp_v4_err, net/ipv4/tcp_ipv4.c.
func icmp4Cause(typ, code uint8) Cause {
	if typ != 3 {
		return HostUnreachable
	}
	switch code {
	case 0, 5, 6, 8, 11:
		return NetUnreachable
	case 3:
		return PortUnreachable
	case 9, 10, 13:
		return Prohibited
	default:
		return HostUnreachable
	}
}

// icmp6Cause follows RFC 4443 section 3. Types are 1 (destination unreachable), 3 (time exceeded) and 4 (parameter problem):
// icmpv6_err_convert, net/ipv6/icmp.c.
func icmp6Cause(typ, code uint8) Cause {
	if typ != 1 {
		return HostUnreachable
	}
	switch code {
	case 0:
		return NetUnreachable
	case 1, 5, 6:
		return Prohibited
	case 4:
		return PortUnreachable
	default:
		return HostUnreachable
	}
}

func nameOf[T ~uint8](names []string, value T) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("unknown (%d)", value)
}
