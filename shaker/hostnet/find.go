package hostnet

import (
	"net/netip"
	"syscall"
)

// Loss is what our own side has lost while a packet waited for its answer.
type Loss uint8

const (
	// Nothing is the zero value: our own side worked.
	Nothing Loss = iota
	// RouteLost: no route leads to the target any more. Finding.Errno says what the kernel answers.
	RouteLost
	// AddressLost: the source address was removed, if only for a moment.
	AddressLost
	// LinkDown: the link was set down or deleted, if only for a moment.
	LinkDown
	// CarrierLost: the link had no carrier, if only for a moment.
	CarrierLost
	// Unsure: the kernel dropped messages, or an answer of it did not come, so a change may have
	// been missed.
	Unsure
)

// Packet is a packet that met silence.
type Packet struct {
	Source, Target netip.AddrPort // both without a zone, neither IPv4-mapped
	Scope          uint32         // the index of the interface that Target's zone names, 0 without a zone
	Since          int64          // when it left, by the Watcher's clock
}

// Finding is the answer for one packet. The zero value says that our own side worked.
type Finding struct {
	Loss  Loss
	Errno syscall.Errno // set with RouteLost only
}

// asker asks the kernel. It is the half of a Watcher that tests replace.
type asker interface {
	// route returns the link by which a packet would leave now, or the kernel's errno. known is
	// false if no answer came.
	route(p *Packet) (link int32, errno syscall.Errno, known bool)
	// link reads a link at the time at. exists is false if there is none; known is false if no
	// answer came.
	link(index int32) (r reading, at int64, exists, known bool)
}

// Look judges packets by one reading of the host. It must not be kept: what it has read grows old.
// One goroutine at a time may use it.
type Look struct {
	ask   asker
	state *State
	read  map[int32]linkNow
}

// Find says whether our own side worked for p, from Since until the Look began.
func (l *Look) Find(p *Packet) Finding {
	if p.Since < l.state.unsure {
		return Finding{Loss: Unsure}
	}
	target := p.Target.Addr()
	source := p.Source.Addr()
	if target.IsLoopback() && source.IsLoopback() {
		return Finding{}
	}
	at, only, present := l.state.present(source, p.Scope)
	if !present || at.since > p.Since {
		return Finding{Loss: l.whyAddress(source, at, present, p.Since)}
	}
	if source == target || l.state.Own(target) { // the packet went through the loopback link
		return Finding{}
	}
	through := at.link
	quiet := l.state.changed < p.Since && !l.state.dark()
	if own, known := l.state.links[at.link]; !quiet || !only || !known || !own.up || own.loopback {
		link, errno, ok := l.ask.route(p)
		switch {
		case !ok:
			return Finding{Loss: Unsure}
		case errno != 0:
			return Finding{Loss: l.whyRoute(at.link, p.Since), Errno: errno}
		case l.state.gapFor(target, p.Since): // with rp_filter the kernel drops an answer that comes in the gap
			return Finding{Loss: l.whyRoute(link, p.Since)}
		}
		through = link
	}
	return Finding{Loss: l.judge(through, p.Since)}
}

// whyAddress names the event that took an address away: the end of its link, or its own. at is
// where the address is again.
func (l *Look) whyAddress(ip netip.Addr, at home, present bool, since int64) Loss {
	index, ok := at.link, present
	if !present {
		index, ok = l.state.left[ip]
	}
	if own, known := l.state.links[index]; ok && (!known || !own.up || own.upSince > since) {
		return LinkDown
	}
	return AddressLost
}

// whyRoute names the event that took a route away: the end of the source address's link, or its
// own.
func (l *Look) whyRoute(link int32, since int64) Loss {
	if loss := l.judge(link, since); loss == LinkDown {
		return loss
	}
	return RouteLost
}

// judge says whether a link worked from since until now, and what it stands on. A bridge or a bond
// works as long as one of its ports does. The kernel tells the upper link of a lost carrier up to a
// second later than the lower one.
func (l *Look) judge(index int32, since int64) Loss {
	loss := l.judgeOne(index, since)
	for depth := 0; loss == Nothing && depth < mostDepth; depth++ {
		if lower := l.read[index].lower; lower != 0 && lower != index {
			if _, known := l.state.links[lower]; known { // else it is in another namespace
				index = lower
				loss = l.judgeOne(index, since)
				continue
			}
		}
		port, ports := l.bestPort(index, since)
		if !ports {
			break
		}
		index, loss = port, l.judgeOne(port, since)
	}
	return loss
}

// mostDepth bounds how many links stand on one another.
const mostDepth = 8

// bestPort returns a port of a bridge or bond that works, or else any, and whether there are ports.
func (l *Look) bestPort(master int32, since int64) (port int32, ports bool) {
	for index, link := range l.state.links {
		if link.master != master {
			continue
		}
		port, ports = index, true
		if l.judgeOne(index, since) == Nothing {
			break
		}
	}
	return port, ports
}

// judgeOne says whether a link itself worked from since until now.
func (l *Look) judgeOne(index int32, since int64) Loss {
	now, read := l.read[index]
	if !read {
		now = l.readLink(index)
		if l.read == nil {
			l.read = make(map[int32]linkNow)
		}
		l.read[index] = now
	}
	switch {
	case now.unread:
		return Unsure
	case !now.exists, !now.up, now.upSince > since:
		return LinkDown
	case !now.carrier, now.carrierSince > since:
		return CarrierLost
	default:
		return Nothing
	}
}

// linkNow is a link as a Look has read it.
type linkNow struct {
	link
	exists, unread bool
}

func (l *Look) readLink(index int32) linkNow {
	r, at, exists, known := l.ask.link(index)
	before, was := l.state.links[index]
	return linkNow{link: before.next(r, was, at), exists: exists, unread: !known}
}
