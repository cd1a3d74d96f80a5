package policy

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// prefixRules are address rules as a table. An address is answered by the longest prefix that holds it alone, because each
// prefix has the ports of all that cover it as well. The zero value has no rule; not to be copied.
type prefixRules struct{ table bart.Table[grant] }

// grant is what rules say of an address.
type grant struct {
	all    *portSet // of every rule that holds it
	single *portSet // of the rules for it alone: prefixes of 32 or 128 bits
}

// of returns what the rules say of ip, which is not IPv4-mapped.
func (p *prefixRules) of(ip netip.Addr) grant {
	found, _ := p.table.Lookup(ip)
	return found
}

// fill puts the rules into the empty table; their prefixes are as unmapPrefix makes them. It sorts rules.
func (p *prefixRules) fill(rules []AccessRule, sets *portSets) {
	// In this order a prefix comes right before those that it covers.
	slices.SortFunc(rules, func(a, b AccessRule) int { return a.Prefix.Compare(b.Prefix) })

	type cover struct {
		prefix netip.Prefix
		ports  *portSet
	}
	var covers []cover // those of the prefix in hand, each within the one before
	var ranges []PortRange
	for first := 0; first < len(rules); {
		prefix := rules[first].Prefix
		ranges = ranges[:0]
		for ; first < len(rules) && rules[first].Prefix == prefix; first++ {
			ranges = append(ranges, rules[first].Ports...)
		}
		ports := sets.of(ranges)
		for len(covers) > 0 && !within(prefix, covers[len(covers)-1].prefix) {
			covers = covers[:len(covers)-1]
		}
		var inherited *portSet
		if len(covers) > 0 {
			inherited = covers[len(covers)-1].ports
		}
		found := grant{all: sets.union(inherited, ports)}
		if prefix.IsSingleIP() {
			found.single = ports
		}
		if found.all != inherited || found.single != nil { // else the shorter prefix says the same
			p.table.Insert(prefix, found)
		}
		covers = append(covers, cover{prefix, found.all})
	}
}

// within reports whether every address of inner is one of outer. Both are masked.
func within(inner, outer netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
