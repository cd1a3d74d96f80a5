package resolve

import "slices"

// place is the right to look one name up: to have up to two queries under way. The group's mu
// protects it, apart from the channel.
type place struct {
	request *Request
	granted chan struct{} // closed when the place is granted; nil if it was free at once
	users   int           // the lookup that got the place, and queries that it started
}

// may reports whether r may have one more place; g.mu must be held. The fewer places are free, the
// fewer one request may have, down to one. So requests whose lookups hang, as with a dead name
// server, leave places to newcomers.
func (g *Group) may(r *Request) bool {
	all := g.places * g.places
	most := (g.perRequest*g.free*g.free + all - 1) / all
	return g.free > 0 && r.running < most
}

// enter waits for a place of r; nil if the request's context ends first. Among those that wait, the
// first that may have one gets it. The caller releases it.
func (g *Group) enter(r *Request) *place {
	g.mu.Lock()
	if g.may(r) {
		p := &place{request: r}
		g.grant(p)
		g.mu.Unlock()
		return p
	}
	p := &place{request: r, granted: make(chan struct{})}
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	select {
	case <-p.granted:
		return p
	case <-r.ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, p); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return nil
	}
	g.release(p) // it was granted meanwhile
	return nil
}

// grant gives p to its request, with one user; g.mu must be held.
func (g *Group) grant(p *place) {
	g.free--
	p.request.running++
	p.users = 1
}

// release takes one user from p; g.mu must be held. After the last one the place is free, and all
// that may have a place now get one. They can be more than one, as the request of p has one less.
func (g *Group) release(p *place) {
	if p.users--; p.users > 0 {
		return
	}
	g.free++
	p.request.running--
	g.waiting = slices.DeleteFunc(g.waiting, func(next *place) bool {
		if !g.may(next.request) {
			return false
		}
		g.grant(next)
		close(next.granted)
		return true
	})
}
