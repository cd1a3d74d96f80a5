package policy

import (
	"slices"
	"strings"
)

// maxLabels is how many labels a name of maxName bytes can have.
const (
	maxName   = 253
	maxLabels = (maxName + 1) / 2
)

// nameRules are name rules as tables. The zero value has no rule.
//
// A name is answered by one lookup among the names, else by the longest suffix of it among the suffixes, because each has the
// ports of all wildcards that match as well. With a suffix every shorter one of it is there too, so the longest is found by
// halving, and a name made of 127 labels costs seven lookups at the most.
type nameRules struct {
	every    *portSet            // the ports of *
	names    map[string]*portSet // the rules without wildcard
	suffixes map[string]*portSet // what stands behind "*.", and every shorter suffix of that
	deepest  int                 // the labels of the longest of suffixes
}

// of returns the ports for name, which is in lower case, without a final dot, and of at most maxName bytes.
func (n *nameRules) of(name string) *portSet {
	if ports, ok := n.names[name]; ok {
		return ports
	}
	return n.below(name)
}

// below returns the ports that * and the wildcards have for name.
func (n *nameRules) below(name string) *portSet {
	var starts [maxLabels]uint8 // where the suffix of one label begins, of two, …; a wildcard leaves a label over
	labels := 0
	for at := len(name) - 1; at > 0 && labels < n.deepest; at-- {
		if name[at] == '.' {
			starts[labels] = uint8(at + 1)
			labels++
		}
	}
	found := n.every
	for low, high := 0, labels; low < high; {
		middle := (low + high) / 2
		if ports, ok := n.suffixes[name[starts[middle]:]]; ok {
			found, low = ports, middle+1
		} else {
			high = middle
		}
	}
	return found
}

// fill puts the rules into the empty tables; their names are as parseName makes them.
func (n *nameRules) fill(rules []AccessRule, sets *portSets) {
	names, suffixes := make(map[string]*portSet), make(map[string]*portSet) // each by itself
	for _, rule := range rules {
		ports := sets.of(rule.Ports)
		if suffix, wildcard := strings.CutPrefix(rule.Name, "*."); wildcard {
			suffixes[suffix] = sets.union(suffixes[suffix], ports)
		} else if rule.Name == "*" {
			n.every = sets.union(n.every, ports)
		} else {
			names[rule.Name] = sets.union(names[rule.Name], ports)
		}
	}

	// The shortest first, so that what a suffix inherits is there before it.
	byLabels := make([][]string, maxLabels+1)
	for suffix := range suffixes {
		labels := strings.Count(suffix, ".") + 1
		byLabels[labels] = append(byLabels[labels], suffix)
		n.deepest = max(n.deepest, labels)
	}
	n.suffixes = make(map[string]*portSet, len(suffixes))
	for _, suffix := range slices.Concat(byLabels...) {
		inherited := n.every
		for at := len(suffix) - 1; at > 0; at-- {
			if suffix[at] != '.' {
				continue
			}
			if ports, ok := n.suffixes[suffix[at+1:]]; ok {
				inherited = ports
			} else {
				n.suffixes[suffix[at+1:]] = inherited
			}
		}
		n.suffixes[suffix] = sets.union(inherited, suffixes[suffix])
	}
	n.names = names
	for name, ports := range names {
		names[name] = sets.union(n.below(name), ports)
	}
}
