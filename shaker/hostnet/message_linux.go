package hostnet

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// groups are those that a Watcher joins, as bits of sockaddr_nl (rtnetlink(7)).
const groups = 1<<(unix.RTNLGRP_LINK-1) |
	1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1) |
	1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) |
	1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1) |
	1<<(unix.RTNLGRP_NEXTHOP-1)

// apply notes in s what one message says. What it does not understand changes nothing. flags are
// those of the message's header.
func apply(s *State, kind, flags uint16, body []byte, now int64) {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		applyLink(s, kind, body, now)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		applyAddress(s, kind, body, now)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		applyRoute(s, kind, flags, body, now)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		s.change(now)
	}
}

// applyLink reads a struct ifinfomsg. A message of another family speaks of a link's place in a
// bridge.
func applyLink(s *State, kind uint16, body []byte, now int64) {
	if len(body) < unix.SizeofIfInfomsg || body[0] != unix.AF_UNSPEC {
		return
	}
	index := int32(binary.NativeEndian.Uint32(body[4:]))
	if kind == unix.RTM_DELLINK {
		s.removeLink(index, now)
		return
	}
	s.setLink(index, readingOf(body), now)
}

// readingOf reads the flags and the carrier's count of a struct ifinfomsg.
func readingOf(body []byte) reading {
	flags := binary.NativeEndian.Uint32(body[8:])
	r := reading{up: flags&unix.IFF_UP != 0, carrier: flags&unix.IFF_LOWER_UP != 0, loopback: flags&unix.IFF_LOOPBACK != 0}
	eachAttribute(body[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_CARRIER_DOWN_COUNT:
			r.losses, r.counted = number(value), true
		case unix.IFLA_LINK:
			r.lower = int32(number(value))
		case unix.IFLA_MASTER:
			r.master = int32(number(value))
		}
	})
	return r
}

// applyAddress reads a struct ifaddrmsg. With IFA_LOCAL, IFA_ADDRESS can be the other end's.
func applyAddress(s *State, kind uint16, body []byte, now int64) {
	if len(body) < unix.SizeofIfAddrmsg {
		return
	}
	var address, local netip.Addr
	eachAttribute(body[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		}
	})
	if local.IsValid() {
		address = local
	}
	if !address.IsValid() {
		return
	}
	link := int32(binary.NativeEndian.Uint32(body[4:]))
	if kind == unix.RTM_NEWADDR {
		s.addAddress(address, link, body[1], now)
	} else {
		s.removeAddress(address, link, body[1], now)
	}
}

// applyRoute reads a struct rtmsg. Of local routes all are kept, of others the last ends.
func applyRoute(s *State, kind, flags uint16, body []byte, now int64) {
	if len(body) < unix.SizeofRtMsg {
		return
	}
	family, bits, routeType := body[0], int(body[1]), body[7]
	if binary.NativeEndian.Uint32(body[8:])&unix.RTM_F_CLONED != 0 {
		return
	}
	r := localRoute{table: uint32(body[4])}
	destination := netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		destination = netip.IPv6Unspecified()
	}
	eachAttribute(body[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			destination, _ = netip.AddrFromSlice(value)
		case unix.RTA_OIF:
			r.link = number(value)
		case unix.RTA_TABLE:
			r.table = number(value)
		}
	})
	prefix, err := destination.Prefix(bits)
	if err != nil {
		return
	}
	r.prefix = prefix
	if routeType != unix.RTN_LOCAL {
		s.change(now)
		if kind == unix.RTM_DELROUTE || flags&unix.NLM_F_REPLACE != 0 {
			s.addGap(prefix, now)
		}
		return
	}
	if kind == unix.RTM_NEWROUTE {
		s.addLocal(r, now)
	} else {
		s.removeLocal(r, now)
	}
}

func number(value []byte) uint32 {
	if len(value) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// eachAttribute calls f for each attribute of a message (struct rtattr). It stops at the first that
// does not fit.
func eachAttribute(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:length])
		b = b[min(len(b), (length+3)&^3):]
	}
}

// eachMessage calls f for each message of what one recvfrom(2) returned.
func eachMessage(b []byte, f func(h *unix.NlMsghdr, body []byte)) {
	for len(b) >= unix.SizeofNlMsghdr {
		h := unix.NlMsghdr{
			Len: binary.NativeEndian.Uint32(b), Type: binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]), Seq: binary.NativeEndian.Uint32(b[8:]),
		}
		if h.Len < unix.SizeofNlMsghdr || uint64(h.Len) > uint64(len(b)) {
			return
		}
		f(&h, b[unix.SizeofNlMsghdr:h.Len])
		b = b[min(uint64(len(b)), uint64(h.Len+3)&^3):]
	}
}

// attribute appends one attribute to a message.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// errnoOf reads the error of an NLMSG_ERROR message.
func errnoOf(body []byte) syscall.Errno {
	if len(body) < 4 {
		return unix.EPROTO
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
}
