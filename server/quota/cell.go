package quota

import "slices"

// cell is the ports that were touched of a caller's address, and of all that collide with it. The zero value has none. Guarded by
// its stripe.
type cell struct {
	touches []touch // those kept, then those of a Take that is not decided yet; no port twice
	kept    int
}

// hold makes room for the port of now: it is there, or is put behind the kept ones until keep or drop. It reports whether at
// most limit ports count then. Where there were more already, since the limit was higher, known ports have no room either: whose
// they are in a shared cell nobody can tell.
func (c *cell) hold(now touch, limit int, w window) bool {
	at := c.find(now.port())
	if at >= 0 && len(c.touches) <= limit && (at >= c.kept || w.counts(c.touches[at], now)) {
		return true
	}
	c.forget(now, w)
	if c.find(now.port()) >= 0 {
		return len(c.touches) <= limit
	}
	if len(c.touches) >= limit {
		return false
	}
	if len(c.touches) == cap(c.touches) { // append would go beyond the limit, to a power of two
		grown := make([]touch, len(c.touches), min(max(2*len(c.touches), 1), limit))
		copy(grown, c.touches)
		c.touches = grown
	}
	c.touches = append(c.touches, now)
	return true
}

// forget removes the kept ports that do not count any more.
func (c *cell) forget(now touch, w window) {
	left := 0
	for i, t := range c.touches {
		if i == c.kept { // what is held starts here, and stays
			break
		}
		if w.counts(t, now) {
			c.touches[left] = t
			left++
		}
	}
	c.touches = append(c.touches[:left], c.touches[c.kept:]...)
	c.kept = left
}

// keep makes what is held count from now on, and the port of now anew. A now that is older than the last touch changes
// nothing.
func (c *cell) keep(now touch) {
	if at := c.find(now.port()); at >= 0 && c.touches[at].ticksUntil(now) > 0 {
		c.touches[at] = now
	}
	c.kept = len(c.touches)
}

// drop removes what is held.
func (c *cell) drop() { c.touches = c.touches[:c.kept] }

// room returns how many nanoseconds until a port has room, as long as nobody else comes: until so many of the other kept ones do not
// count any more. 0: never, since what is held alone is too much. Called where hold found no room.
func (c *cell) room(now int64, port uint16, limit int, w window) int64 {
	var remaining [MaxPorts]int64
	kept, others := 0, 0
	for i, t := range c.touches {
		if t.port() == port {
			continue
		}
		if others++; i < c.kept {
			remaining[kept] = w.remaining(t, now)
			kept++
		}
	}
	excess := others - limit // this many, and one, have to go
	if excess >= kept {
		return 0
	}
	slices.Sort(remaining[:kept])
	return max(remaining[excess], 1)
}

func (c *cell) find(port uint16) int {
	for i, t := range c.touches {
		if t.port() == port {
			return i
		}
	}
	return -1
}
