package policy

import "net/netip"

// Rules are what one caller may have probed, compiled for lookups whose cost does not grow with the number of rules. Immutable,
// safe for concurrent use; not to be copied.
//
// A nil *Rules is a service without callers, which has no rules and denies the never-list alone. The zero value, like
// Compile(nil, nil), is a caller without rules: everything is denied.
type Rules struct {
	allow, deny         prefixRules
	named               prefixRules // the allow rules that lie within an entry of the never-list: an operator named it
	allowName, denyName nameRules
}

// Compile returns the Rules of a caller, of which it keeps no part but the names. The order of the rules does not matter. A
// rule whose Name is none (ParseRule gives no such one) matches nothing.
func Compile(allow, deny []AccessRule) *Rules {
	r := new(Rules)
	sets := newPortSets()

	prefixes, names := splitRules(allow)
	r.allow.fill(prefixes, sets)
	r.allowName.fill(names, sets)
	var named []AccessRule
	for _, rule := range prefixes {
		if withinNever(rule.Prefix) {
			named = append(named, rule)
		}
	}
	r.named.fill(named, sets)

	prefixes, names = splitRules(deny)
	r.deny.fill(prefixes, sets)
	r.denyName.fill(names, sets)
	return r
}

// splitRules returns the address rules and the name rules among rules, in the form that fill wants.
func splitRules(rules []AccessRule) (prefixes, names []AccessRule) {
	for _, rule := range rules {
		if rule.Prefix.IsValid() {
			prefixes = append(prefixes, AccessRule{Prefix: unmapPrefix(rule.Prefix), Ports: rule.Ports})
			continue
		}
		named, err := parseName(rule.Name)
		if err == nil && !named.Prefix.IsValid() {
			names = append(names, AccessRule{Name: named.Name, Ports: rule.Ports})
		}
	}
	return prefixes, names
}

// withinNever reports whether prefix names addresses of the never-list: whether it is one of its networks, or inside one. The
// loopback networks count always, though only a Policy with Config.Shared denies them.
func withinNever(prefix netip.Prefix) bool {
	for _, entries := range [][]entry{never4, loopback4, never6, loopback6} {
		for i := range entries {
			if within(prefix, entries[i].prefix) {
				return true
			}
		}
	}
	return false
}

// AllowName returns nil where name may be looked up for a probe of port, else a *DeniedError that does not tell the name. It is
// to be asked before any lookup, so that a caller learns nothing of names that it has no rule for; AllowNamed then judges each
// address. name is as target.Parse gives it: in lower case, without a final dot. It does not allocate where it allows.
func (r *Rules) AllowName(name string, port uint16) error {
	switch {
	case r == nil:
		return nil
	case name == "" || len(name) > maxName:
		return &DeniedError{Rule: NameNotAllowed}
	case r.denyName.of(name).has(port):
		return &DeniedError{Rule: NameDenied}
	case !r.allowName.of(name).has(port):
		return &DeniedError{Rule: NameNotAllowed}
	}
	return nil
}
