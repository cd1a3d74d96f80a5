package policy

import (
	"net/netip"
	"slices"
)

// Config says what a Policy denies. The zero value denies the never-list, for a service that only this machine's own users
// can reach.
type Config struct {
	// Shared says that others than this machine's own users may ask: a listener is neither loopback nor a unix socket. The
	// loopback networks and this host's own addresses are then denied too, because what listens there may trust its callers
	// to be local ones. Addresses that are local by a route alone (ip-route(8), type local) are not known here.
	Shared bool

	// Except are prefixes that an operator names in spite of the never-list. An IPv4-mapped one counts as its IPv4; one that
	// is not valid matches nothing.
	Except []netip.Prefix

	// OwnAddrs returns the addresses of this host, each with the length of its network's prefix, which tells the network's
	// broadcast address. nil means the interfaces' (net.InterfaceAddrs). It is called by New, and by Allow at most every
	// ownMaxAge, one call at a time. AllowFor and AllowNamed count as Allow here.
	OwnAddrs func() ([]netip.Prefix, error)
}

// Policy judges addresses. Make one with New. Safe for concurrent use.
type Policy struct {
	fixed4, fixed6 []entry // networks of each family; the first that matches names the rule
	except         []netip.Prefix
	own            *own
}

// New returns a Policy for c, of which it keeps no part. It reads the interfaces once; see OwnAddrsError.
func New(c Config) *Policy {
	p := &Policy{fixed4: never4, fixed6: never6, own: newOwn(c.OwnAddrs, c.Shared)}
	if c.Shared {
		p.fixed4 = slices.Concat(never4, loopback4)
		p.fixed6 = slices.Concat(never6, loopback6)
	}
	for _, prefix := range c.Except {
		if prefix.IsValid() {
			p.except = append(p.except, unmapPrefix(prefix))
		}
	}
	return p
}

// Allow returns nil where addr may be probed, else a *DeniedError. The port plays no part. It does not allocate where it
// allows, but for the rare reading of the interfaces.
func (p *Policy) Allow(addr netip.AddrPort) error {
	ip := addr.Addr().Unmap().WithZone("")
	if !ip.IsValid() {
		return &DeniedError{Rule: NoAddress}
	}
	own := p.own.current().rules
	if rule := p.judge(ip, own); rule != Allowed {
		return &DeniedError{Rule: rule, Addr: ip}
	}
	if ip.Is4() {
		return nil
	}
	found, n := embedded(ip)
	for _, inside := range found[:n] {
		if rule := p.judge(inside, own); rule != Allowed {
			return &DeniedError{Rule: rule, Addr: ip, Inside: inside}
		}
	}
	return nil
}

// OwnAddrsError returns why the last reading of this host's own addresses failed; nil if it did not. While it is not nil the
// addresses of the last reading that worked are denied, and none if there was no such reading: a service with Config.Shared
// should then not be started.
func (p *Policy) OwnAddrsError() error { return p.own.lastError() }

// judge gives the first rule of the never-list that denies ip itself. An IPv4 address is no IPv4-mapped IPv6 one here, and none
// has a zone.
func (p *Policy) judge(ip netip.Addr, own map[netip.Addr]Rule) Rule {
	rule := p.fixed(ip)
	if rule == Allowed {
		rule = own[ip] // zero, hence Allowed, for all others
	}
	if rule != Allowed && p.excepted(ip) {
		return Allowed
	}
	return rule
}

// fixed gives the first network of the never-list that holds ip.
func (p *Policy) fixed(ip netip.Addr) Rule {
	fixed := p.fixed6
	if ip.Is4() {
		fixed = p.fixed4
	}
	for i := range fixed {
		if fixed[i].prefix.Contains(ip) {
			return fixed[i].rule
		}
	}
	return Allowed
}

// excepted reports whether an operator names ip in Config.Except.
func (p *Policy) excepted(ip netip.Addr) bool {
	for _, prefix := range p.except {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// unmapPrefix returns the IPv4 form of an IPv4-mapped prefix (::ffff:0:0/96 and longer), and others masked. A shorter prefix
// that holds all of ::ffff:0:0/96 stays as it is and matches no IPv4.
func unmapPrefix(prefix netip.Prefix) netip.Prefix {
	const mapped = 96
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix.Masked()
}
