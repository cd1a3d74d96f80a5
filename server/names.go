package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

// This file takes the answer of a lookup to the targets that asked for it, and holds the rules for
// what is not known of a name: a family whose lookup failed, and addresses beyond maxAddresses.

// named takes the answer of a lookup to all targets with that name.
func (s *session) named(a resolve.Answer) {
	s.logLookup(&a)
	for _, place := range a.Waiters {
		t := s.tasks.tasks[place]
		if a.Err != nil {
			s.answer(t, s.lookupFinding(&a))
			continue
		}
		s.judge(t, &a)
	}
}

// logLookup logs why a family could not be looked up. The resolver's words go to the log alone:
// they may name the DNS servers.
func (s *session) logLookup(a *resolve.Answer) {
	for _, part := range [...]resolve.Part{a.IPv4, a.IPv6} {
		if part.State.Unknown() {
			s.server.log.LogAttrs(s.ctx, slog.LevelDebug, "name lookup failed",
				slog.String("request_id", requestID(s.ctx)), slog.String("name", a.Name), slog.Any("error", part.Err))
		}
	}
}

// lookupFinding is what an answer without addresses makes of a target.
func (s *session) lookupFinding(a *resolve.Answer) finding {
	switch {
	case errors.Is(a.Err, resolve.ErrNotFound):
		return finding{reason: tcpshakerv1.Reason_REASON_NAME_NOT_FOUND, detail: detailNotFound}
	case !errors.Is(a.Err, resolve.ErrLookupFailed) && s.work.Err() != nil:
		return finding{reason: cutOff, detail: detailCutName}
	default:
		return failedFamily(a)
	}
}

// judge starts a target whose name has addresses, if the policy allows every one of them, whichever
// are to be probed. One denied address denies the target before any packet.
func (s *session) judge(t *task, a *resolve.Answer) {
	for _, addr := range a.Addrs {
		if s.denied(t, t.view.Named(netip.AddrPortFrom(addr, t.port))) {
			return
		}
	}
	addrs := a.Addrs
	switch t.options.addresses {
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY:
		addrs, t.note = leaveOut(a)
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL:
	}
	if len(addrs) > maxAddresses {
		t.unknown = finding{
			reason: tcpshakerv1.Reason_REASON_TOO_MANY_ADDRESSES,
			detail: fmt.Sprintf("the name has %d addresses, and only %d of them were probed", len(addrs), maxAddresses),
		}
	}
	if a.IPv4.State.Unknown() || a.IPv6.State.Unknown() {
		t.unknown = failedFamily(a)
	}
	s.start(t, addrs[:min(len(addrs), t.options.addressesAtMost())], t.port)
}

// leaveOut returns the addresses of a name for ANY, and a note for detail if some are left out:
// those of a family that this host has no address to send from, if it has one for the other family.
func leaveOut(a *resolve.Answer) (addrs []netip.Addr, note string) {
	if a.IPv4.NoSource == a.IPv6.NoSource {
		return a.Addrs, ""
	}
	note = "; IPv6 left out: no source address"
	if a.IPv4.NoSource {
		note = "; IPv4 left out: no source address"
	}
	for _, addr := range a.Addrs {
		if addr.Is4() == a.IPv6.NoSource {
			addrs = append(addrs, addr)
		}
	}
	return addrs, note
}

// conclude returns the finding of a target whose addresses came to f. What is unknown counts under
// ANY and ALL as one more address, which is INCONCLUSIVE. So it decides if all others have the
// verdict that gives way to INCONCLUSIVE: UNREACHABLE under ANY, REACHABLE under ALL. Both verdicts
// are certain only when all addresses are closed.
func (t *task) conclude(f finding) finding {
	givesWay := unreachable
	switch t.options.addresses {
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL:
		givesWay = reachable
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST:
		return f
	}
	switch verdict := verdictOf(f.reason); {
	case verdict == givesWay && t.unknown.reason != tcpshakerv1.Reason_REASON_UNSPECIFIED:
		return t.unknown
	case verdict != reachable && len(f.detail)+len(t.note) <= maxDetail:
		f.detail += t.note
	}
	return f
}

// failedFamily is the finding for what could not be looked up of a name.
func failedFamily(a *resolve.Answer) finding {
	return finding{reason: tcpshakerv1.Reason_REASON_NAME_LOOKUP_FAILED, detail: lookupDetail(a.IPv4.State, a.IPv6.State)}
}

// lookupDetail says which family of a name could not be looked up, and why.
func lookupDetail(v4, v6 resolve.State) string {
	failed, which, other := v4, "IPv4 addresses (A)", ""
	switch {
	case v4.Unknown() && v6.Unknown():
		return detailLookup
	case v6.Unknown():
		failed, which = v6, "IPv6 addresses (AAAA)"
		if v4 == resolve.NotFound {
			other = ", and it has no IPv4 address"
		}
	case !v4.Unknown():
		return detailLookup
	case v6 == resolve.NotFound:
		other = ", and it has no IPv6 address"
	}
	why := "the resolver says that it failed"
	if failed == resolve.NoAnswer {
		why = "no answer in time from the resolver"
	}
	return "the name's " + which + " could not be looked up: " + why + other
}

// familyOf is the family in the words of the resolver.
func familyOf(family tcpshakerv1.IpFamily) resolve.Family {
	switch family {
	case tcpshakerv1.IpFamily_IP_FAMILY_IPV4:
		return resolve.IPv4
	case tcpshakerv1.IpFamily_IP_FAMILY_IPV6:
		return resolve.IPv6
	default:
		return resolve.Any
	}
}
