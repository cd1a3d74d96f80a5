package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

// AccessRule is one allow or deny rule of a caller: addresses or names, and ports. The zero value matches nothing. ParseRule
// makes one of a text.
type AccessRule struct {
	// Prefix are the addresses of an address rule. Valid: Name counts for nothing. An IPv4-mapped prefix counts as its IPv4,
	// and host bits do not count.
	Prefix netip.Prefix

	// Name is what a name rule matches: "web.example" that name alone, "*.corp.example" every name below corp.example at any
	// depth but not itself, "*" every name. No name rule ever matches an address, and no address rule a name.
	Name string

	// Ports are the ports that the rule is about, 1 to 65535; a range that runs backwards has none. Without any port the rule
	// matches nothing.
	Ports []PortRange
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// allPorts is what * stands for.
var allPorts = PortRange{First: 1, Last: 65535}

// String returns the rule in the form that ParseRule reads, equal texts for equal rules of ParseRule.
func (r AccessRule) String() string {
	var b strings.Builder
	switch prefix := unmapPrefix(r.Prefix); {
	case !prefix.IsValid():
		b.WriteString(r.Name)
	case !prefix.IsSingleIP():
		b.WriteString(prefix.String())
	case prefix.Addr().Is4():
		b.WriteString(prefix.Addr().String())
	default:
		b.WriteString("[" + prefix.Addr().String() + "]")
	}
	separator := ":"
	for _, ports := range r.Ports {
		b.WriteString(separator + ports.String())
		separator = ","
	}
	return b.String()
}

// String returns the range as a rule says it: "*", "443" or "1-1023".
func (p PortRange) String() string {
	switch {
	case p == allPorts:
		return "*"
	case p.First == p.Last:
		return strconv.Itoa(int(p.First))
	default:
		return strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last))
	}
}
