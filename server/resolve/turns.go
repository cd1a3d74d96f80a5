package resolve

import "strings"

// turns decides which lookup of a request begins next. Parent zones take turns, and each zone may
// have at most half of the slots that the other zones leave. So names of a zone whose servers are
// dead leave slots to the others. The request's mu protects it.
type turns struct {
	slots   int // how many lookups may run; at least 1
	running int

	zones map[string]*zone // that have a lookup that waits or runs
	ring  []*zone          // that have one that waits, the next one first
}

// zone is what a request looks up in one parent zone.
type zone struct {
	name    string
	waiting []*lookup // oldest first
	running int
}

// zoneOf returns the parent zone of name: what follows its first label, which can be nothing.
func zoneOf(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}

// push adds a lookup that waits for its turn.
func (t *turns) push(l *lookup) {
	name := zoneOf(l.name)
	z := t.zones[name]
	if z == nil {
		z = &zone{name: name}
		t.zones[name] = z
	}
	l.zone = z
	z.waiting = append(z.waiting, l)
	if len(z.waiting) == 1 {
		t.ring = append(t.ring, z)
	}
}

// pop returns the lookup whose turn it is, which now runs; nil if none may begin.
//
// A zone that may not begin another lookup has one running. So at most slots zones are passed over.
func (t *turns) pop() *lookup {
	if t.running >= t.slots {
		return nil
	}
	for i, z := range t.ring {
		if !t.may(z) {
			continue
		}
		copy(t.ring[1:i+1], t.ring[:i])
		t.ring[0] = nil // the array lives on; the zone need not
		t.ring = t.ring[1:]
		l := z.waiting[0]
		z.waiting[0] = nil
		z.waiting = z.waiting[1:]
		if len(z.waiting) > 0 {
			t.ring = append(t.ring, z)
		}
		z.running++
		t.running++
		return l
	}
	return nil
}

// may reports whether z may have one more lookup running.
func (t *turns) may(z *zone) bool {
	left := t.slots - (t.running - z.running)
	return z.running < (left+1)/2
}

// done says that l, which ran, has ended.
func (t *turns) done(l *lookup) {
	z := l.zone
	z.running--
	t.running--
	if z.running == 0 && len(z.waiting) == 0 {
		delete(t.zones, z.name)
	}
}
