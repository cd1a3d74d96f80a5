package resolve

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Source returns the address from which this host would send to an address. It asks the kernel with
// a UDP connect, which sends nothing.
//
// ok is false if the host has no address of the family to send from, or no route. If the kernel
// cannot be asked, for want of a descriptor for instance, ok is true and from is not valid. Source
// is safe for concurrent use.
func Source(to netip.Addr) (from netip.Addr, ok bool) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, discard)))
	if err != nil {
		return netip.Addr{}, !noSource(err)
	}
	defer conn.Close()
	local, isUDP := conn.LocalAddr().(*net.UDPAddr)
	if !isUDP {
		return netip.Addr{}, true
	}
	from = local.AddrPort().Addr().Unmap().WithZone("")
	if from.IsUnspecified() || from.Is6() && from.IsLinkLocalUnicast() && !to.IsLinkLocalUnicast() {
		return netip.Addr{}, false // no answer finds its way back to such an address
	}
	return from, true
}

// discard is a port for the UDP connect. Any port would do.
const discard = 9

// noSource reports whether the error of a UDP connect says that there is no address to send from.
func noSource(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
