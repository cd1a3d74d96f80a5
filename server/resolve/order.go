package resolve

import (
	"cmp"
	"net/netip"
	"slices"
)

// orderedAddrs is how many addresses of a family are compared with those of the other family. It is
// as many as package server probes of a name.
const orderedAddrs = 16

// union merges the addresses of two families, the best first. noSource4 and noSource6 say that this
// host has no address to send from to any of the compared addresses of that family.
func (g *Group) union(v4, v6 []netip.Addr) (all []netip.Addr, noSource4, noSource6 bool) {
	first4, first6 := g.rankAll(v4), g.rankAll(v6)
	all = make([]netip.Addr, 0, len(v4)+len(v6))
	for i, j := 0, 0; i < len(first4) || j < len(first6); {
		if j == len(first6) || i < len(first4) && compare(first4[i], first6[j]) > 0 {
			all = append(all, v4[i])
			i++
		} else {
			all = append(all, v6[j])
			j++
		}
	}
	all = append(append(all, v4[len(first4):]...), v6[len(first6):]...)
	return all, !slices.ContainsFunc(first4, rank.isUsable), !slices.ContainsFunc(first6, rank.isUsable)
}

// rank is what RFC 6724 section 6 compares of a destination, as far as it tells families apart:
// rules 1, 2, 5 and 6. Greater is better.
type rank struct {
	usable     int // 1: this host has an address to send from
	sameScope  int // 1: source and destination are of the same scope
	sameLabel  int // 1: source and destination have the same label
	precedence int
}

func (r rank) isUsable() bool { return r.usable > 0 }

func compare(a, b rank) int {
	return cmp.Or(
		cmp.Compare(a.usable, b.usable),
		cmp.Compare(a.sameScope, b.sameScope),
		cmp.Compare(a.sameLabel, b.sameLabel),
		cmp.Compare(a.precedence, b.precedence),
	)
}

// rankAll ranks the first orderedAddrs of addrs.
func (g *Group) rankAll(addrs []netip.Addr) []rank {
	ranks := make([]rank, min(len(addrs), orderedAddrs))
	for i := range ranks {
		from, ok := g.source(addrs[i])
		ranks[i] = rankOf(addrs[i], from, ok)
	}
	return ranks
}

func rankOf(to, from netip.Addr, usable bool) rank {
	entry := policyOf(to)
	r := rank{precedence: entry.precedence}
	if !usable {
		return r
	}
	r.usable = 1
	if !from.IsValid() || scopeOf(from) == scopeOf(to) {
		r.sameScope = 1
	}
	if !from.IsValid() || policyOf(from).label == entry.label {
		r.sameLabel = 1
	}
	return r
}

// scopeOf returns the scope of a unicast address: 2 link-local, 5 site-local, 14 global (RFC 6724
// section 3.1 and 3.2).
func scopeOf(addr netip.Addr) int {
	switch {
	case addr.IsLoopback(), addr.IsLinkLocalUnicast():
		return 2
	case siteLocal.Contains(addr):
		return 5
	default:
		return 14
	}
}

var siteLocal = netip.MustParsePrefix("fec0::/10")

// policyEntry is a row of the policy table of RFC 6724 section 2.1.
type policyEntry struct {
	prefix     netip.Prefix
	precedence int
	label      int
}

// policyTable has the longest prefixes first. IPv4 has the row of ::ffff:0:0/96.
var policyTable = []policyEntry{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::/96"), 1, 3},
	{netip.MustParsePrefix("2001::/32"), 5, 5},
	{netip.MustParsePrefix("2002::/16"), 30, 2},
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},
	{netip.MustParsePrefix("fec0::/10"), 1, 11},
	{netip.MustParsePrefix("fc00::/7"), 3, 13},
	{netip.MustParsePrefix("::/0"), 40, 1},
	{netip.MustParsePrefix("0.0.0.0/0"), 35, 4},
}

func policyOf(addr netip.Addr) policyEntry {
	for _, entry := range policyTable {
		if entry.prefix.Contains(addr) {
			return entry
		}
	}
	return policyEntry{}
}
