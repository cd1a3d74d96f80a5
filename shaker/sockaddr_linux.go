package shaker

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// sockaddr is a struct sockaddr_in or sockaddr_in6 as the kernel reads and writes it: the family in the order of the host,
// port and address in that of the network (ip(7), ipv6(7)).
type sockaddr [unix.SizeofSockaddrInet6]byte

// set writes an address, which must be valid and unmapped, and returns the length of its form.
func (s *sockaddr) set(addr netip.AddrPort, scope uint32) uintptr {
	binary.BigEndian.PutUint16(s[2:], addr.Port())
	if addr.Addr().Is4() {
		binary.NativeEndian.PutUint16(s[0:], unix.AF_INET)
		ip := addr.Addr().As4()
		copy(s[4:8], ip[:])
		clear(s[8:16])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(s[0:], unix.AF_INET6)
	clear(s[4:8]) // flow label
	ip := addr.Addr().As16()
	copy(s[8:24], ip[:])
	binary.NativeEndian.PutUint32(s[24:], scope)
	return unix.SizeofSockaddrInet6
}

// addrPort reads an address, without a zone and unmapped. Not valid where the family is neither of the two.
func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(s[2:])
	switch binary.NativeEndian.Uint16(s[0:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s[8:24])).Unmap(), port)
	default:
		return netip.AddrPort{}
	}
}

// unspecified is the address that disconnects a socket (connect(2)): family AF_UNSPEC, which is 0.
var unspecified sockaddr

// withoutZone takes an address's zone off.
func withoutZone(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port())
}
