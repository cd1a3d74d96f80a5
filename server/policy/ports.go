package policy

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// portSet is the ports of one rule or of several together: ranges in order that neither overlap nor touch. It does not change
// once it is made. A nil *portSet is the empty set, and no other one is empty.
type portSet struct{ ranges []PortRange }

// has reports whether port is in the set.
func (s *portSet) has(port uint16) bool {
	if s == nil {
		return false
	}
	low, high := 0, len(s.ranges) // the first range that does not end before port is in ranges[low:high], or high is
	for low < high {
		if middle := (low + high) / 2; s.ranges[middle].Last < port {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(s.ranges) && s.ranges[low].First <= port
}

// mergePorts returns the ports of ranges, which may be of any order and kind, in the form that a portSet has. It does not
// change ranges.
func mergePorts(ranges []PortRange) []PortRange {
	sorted := make([]PortRange, 0, len(ranges))
	for _, r := range ranges {
		r.First = max(r.First, 1) // no target has port 0
		if r.First <= r.Last {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, func(a, b PortRange) int { return cmp.Compare(a.First, b.First) })
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 && int(r.First) <= int(merged[n-1].Last)+1 {
			merged[n-1].Last = max(merged[n-1].Last, r.Last)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// portSets makes sets and makes each one once: the rules of a caller have many prefixes and names, but few lists of ports. So
// equal sets are one pointer. For Compile alone.
type portSets struct {
	known  map[string]*portSet
	unions map[[2]*portSet]*portSet
	key    []byte
}

func newPortSets() *portSets {
	return &portSets{known: make(map[string]*portSet), unions: make(map[[2]*portSet]*portSet)}
}

// of returns the set of ranges, which may be of any order and kind.
func (p *portSets) of(ranges []PortRange) *portSet {
	merged := mergePorts(ranges)
	if len(merged) == 0 {
		return nil
	}
	p.key = p.key[:0]
	for _, r := range merged {
		p.key = binary.BigEndian.AppendUint16(p.key, r.First)
		p.key = binary.BigEndian.AppendUint16(p.key, r.Last)
	}
	set := p.known[string(p.key)]
	if set == nil {
		set = &portSet{ranges: slices.Clip(merged)}
		p.known[string(p.key)] = set
	}
	return set
}

// union returns the set of the ports that a or b has.
func (p *portSets) union(a, b *portSet) *portSet {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	pair := [2]*portSet{a, b}
	set := p.unions[pair]
	if set == nil {
		set = p.of(slices.Concat(a.ranges, b.ranges))
		p.unions[pair] = set
	}
	return set
}
