package policy

import "net/netip"

// AllowFor returns nil where the caller with rules r may have addr probed, a target that is an address; else a *DeniedError. It
// may be probed if no deny rule matches it, an allow address rule does, and it is not on the never-list, or an operator names
// it there in r (see named). nil: as Allow.
//
// Of an IPv6 address that carries IPv4 addresses all of this must be true for itself and for each of them. It does not allocate
// where it allows, but for the rare reading of the interfaces.
func (p *Policy) AllowFor(r *Rules, addr netip.AddrPort) error {
	return p.judgeFor(r, addr, false)
}

// AllowNamed is AllowFor for an address of a name that r.AllowName allowed. It needs no allow address rule, unless it is one
// that the owner of any name could point to and that only those near this host can reach: an address of this host itself
// (Config.Shared or not), or one that is not globally reachable (see reachability). One denied address should deny the target.
func (p *Policy) AllowNamed(r *Rules, addr netip.AddrPort) error {
	return p.judgeFor(r, addr, true)
}

func (p *Policy) judgeFor(r *Rules, addr netip.AddrPort, ofName bool) error {
	if r == nil {
		return p.Allow(addr)
	}
	ip := addr.Addr().Unmap().WithZone("")
	if !ip.IsValid() {
		return &DeniedError{Rule: NoAddress}
	}
	host := p.own.current()
	if rule := p.judgeOne(r, ip, addr.Port(), host, ofName); rule != Allowed {
		return &DeniedError{Rule: rule, Addr: ip}
	}
	if ip.Is4() {
		return nil
	}
	found, n := embedded(ip)
	for _, inside := range found[:n] {
		if rule := p.judgeOne(r, inside, addr.Port(), host, ofName); rule != Allowed {
			return &DeniedError{Rule: rule, Addr: ip, Inside: inside}
		}
	}
	return nil
}

// judgeOne gives the rule that denies ip itself. It is not IPv4-mapped, and has no zone.
func (p *Policy) judgeOne(r *Rules, ip netip.Addr, port uint16, host *reading, ofName bool) Rule {
	allow := r.allow.of(ip)
	if rule := p.judgeNever(r, allow, ip, port, host.rules); rule != Allowed {
		return rule
	}
	switch {
	case r.deny.of(ip).all.has(port):
		return DeniedByRule
	case allow.all.has(port):
		return Allowed
	case !ofName:
		return NotAllowed
	case host.isOwn(ip) || !globallyReachable(ip):
		return NeedsAddressRule
	}
	return Allowed
}

// judgeNever gives the entry of the never-list that denies ip in spite of the allow rules of r. A rule names an entry if its
// prefix is the entry's own or lies inside; this host's own addresses and its networks' broadcasts are entries of one address
// each. So 0.0.0.0/0 names nothing, and 10.0.0.0/8 names neither this host's 10.1.2.3 nor the broadcast address of its network.
//
// Loopback addresses are this host's own as well, but who names them as such needs not name them twice.
func (p *Policy) judgeNever(r *Rules, allow grant, ip netip.Addr, port uint16, own map[netip.Addr]Rule) Rule {
	fixed, single := p.fixed(ip), own[ip]
	switch {
	case fixed == Allowed && single == Allowed, p.excepted(ip):
		return Allowed
	case fixed != Allowed && !r.named.of(ip).all.has(port):
		return fixed
	case single != Allowed && fixed != Loopback && !allow.single.has(port):
		return single
	}
	return Allowed
}
