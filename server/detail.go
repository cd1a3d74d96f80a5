package server

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/internal/errno"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// maxDetail is the greatest length of CheckResult.detail in bytes.
const maxDetail = 160

// Details of targets that have no handshake to speak of.
const (
	detailFamily   = "the address is not of the family that ip_family asks for"
	detailNotFound = "the name does not exist, or has no address of the family asked for"
	detailLookup   = "the name could not be looked up: no answer from the resolver, or one that says it failed"
	detailCut      = "the deadline of the RPC passed before a SYN was sent"
	detailCutName  = "the deadline of the RPC passed before the name was looked up"
	detailDenied   = "the service's policy does not allow this caller to have this target probed"
	detailShutdown = "the service is shutting down"
)

// detailOf tells a person what decided about an address, with what they would look for next: who said so, with which
// message, after how long, or what this machine ran out of. Empty where the address is REACHABLE.
func detailOf(a *address, o *options) string {
	r := &a.best
	switch a.reason {
	case tcpshakerv1.Reason_REASON_SYN_ACK:
		return ""
	case tcpshakerv1.Reason_REASON_REFUSED:
		return "connection refused (RST): nothing listens on the port"
	case tcpshakerv1.Reason_REASON_TIMED_OUT:
		return silenceDetail(a, o)
	case tcpshakerv1.Reason_REASON_HOST_UNREACHABLE:
		return "host unreachable" + icmpDetail(r)
	case tcpshakerv1.Reason_REASON_NET_UNREACHABLE:
		return "network unreachable" + icmpDetail(r)
	case tcpshakerv1.Reason_REASON_PORT_UNREACHABLE:
		return "port unreachable" + icmpDetail(r)
	case tcpshakerv1.Reason_REASON_PROHIBITED:
		return "prohibited by a firewall" + icmpDetail(r)
	case tcpshakerv1.Reason_REASON_NO_ROUTE,
		tcpshakerv1.Reason_REASON_LOCAL_RESOURCES,
		tcpshakerv1.Reason_REASON_LOCAL_FILTERED:
		return troubleDetail(a.reason, r)
	default:
		return cutDetail(a, o)
	}
}

// explain is detailOf and, if our own trouble decided, how many handshakes met silence. What does
// not fit is left out.
func explain(a *address, o *options) string {
	detail := detailOf(a, o)
	if a.quiet > 0 && classOf(a.reason) == classTrouble {
		more := "; " + counted(uint64(a.quiet), "other handshake") + " met silence"
		if len(detail)+len(more) <= maxDetail {
			detail += more
		}
	}
	return detail
}

// silenceDetail counts SYNs of the deciding handshake, and the handshakes of which a SYN was sent.
func silenceDetail(a *address, o *options) string {
	detail := fmt.Sprintf("no answer to %s within %v",
		counted(uint64(a.best.Retransmits)+1, "SYN"), readable(a.timeout, o))
	if a.sent > 1 {
		detail += fmt.Sprintf(", nor in %s more", counted(uint64(a.sent)-1, "handshake"))
	}
	return detail
}

// icmpDetail says who sent which message; where the kernel did not keep it, the errno is the trace that is left.
func icmpDetail(r *shaker.Result) string {
	from := r.ICMP.From
	if !from.IsValid() {
		return errnoDetail(r)
	}
	who := "router " + from.String()
	switch from.Unmap() {
	case r.Addr.Addr().Unmap():
		who = "the target"
	case r.Source.Addr().Unmap(): // so says a kernel of a neighbour that does not answer ARP, or neighbour discovery
		who = "this machine"
	}
	protocol := "ICMP"
	if from.Is6() && !from.Is4In6() {
		protocol = "ICMPv6"
	}
	return fmt.Sprintf(", says %s (%s %d/%d)", who, protocol, r.ICMP.Type, r.ICMP.Code)
}

func errnoDetail(r *shaker.Result) string {
	if r.Errno == 0 {
		return ""
	}
	return " (" + errno.Name(r.Errno) + ")"
}

// cutDetail says how far the handshakes of an address had come when its RPC, or the service, ended.
func cutDetail(a *address, o *options) string {
	if a.reason == tcpshakerv1.Reason_REASON_SHUTTING_DOWN {
		return detailShutdown
	}
	var detail string
	switch {
	case a.sent == 0:
		return detailCut
	case o.attempts == 1:
		detail = fmt.Sprintf("the deadline of the RPC passed before an answer, and before the timeout of %v",
			readable(a.timeout, o))
	default:
		detail = fmt.Sprintf("the deadline of the RPC passed after %d of %d handshakes, without an answer that decides",
			a.whole, o.attempts)
	}
	advice := "; set options.timeout below the deadline"
	if o.attempts > 1 && !o.exhaustive {
		advice += " / " + strconv.Itoa(o.attempts)
	}
	if waited := a.best.Queued.Round(time.Millisecond); waited >= fitMargin {
		more := fmt.Sprintf("; its SYN waited %v", waited)
		if len(detail)+len(more)+len(advice) <= maxDetail {
			detail += more
		}
	}
	return detail + advice
}

// readable returns the timeout of a handshake as detail names it: rounded if the service has fitted
// it into the deadline, and otherwise as the caller or the operator has set it.
func readable(timeout time.Duration, o *options) time.Duration {
	if timeout != o.timeout {
		return timeout.Round(10 * time.Millisecond)
	}
	return timeout
}

// limitedDetail says which limit of a destination has no room, by its name in the configuration,
// and until when. If the target does not fit in the limit at all, limitedDetail says what the
// target may need.
func limitedDetail(e quota.Excess) string {
	setting, most := "limits."+e.Limit.String()+".burst", counted(uint64(e.Most), "handshake")+" at once with one address"
	switch e.Limit {
	case quota.PerPrefix:
		most = counted(uint64(e.Most), "handshake") + " at once with one prefix"
	case quota.PortsPerAddress:
		setting, most = "limits.ports_per_address.ports", counted(uint64(e.Most), "port")+" of one address"
	}
	if e.Wait == 0 {
		return fmt.Sprintf("not probed: at most %s (%s), this target may need %d", most, setting, e.Need)
	}
	// Rounded up, so that the limit has room after that time.
	return fmt.Sprintf("not probed: %s is used up; ask again in %v", setting, (e.Wait + time.Millisecond - 1).Truncate(time.Millisecond))
}

func counted(n uint64, what string) string {
	s := strconv.FormatUint(n, 10) + " " + what
	if n != 1 {
		s += "s"
	}
	return s
}

// clip cuts s to maxDetail bytes of valid UTF-8. The sentences above are shorter; those of other packages should be.
func clip(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	end := maxDetail
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
