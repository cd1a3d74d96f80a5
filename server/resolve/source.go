package resolve

import (
	"errors"
	"net"
	"net/netip"
	"slices"
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

// noSource reports whether the error of a UDP connect says that nothing can be sent: no route, a
// route that leads nowhere, or no address to send from. A shortage says nothing of that.
func noSource(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && !slices.Contains(shortages, errno)
}

// shortages are the errnos with which the kernel could not be asked.
var shortages = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN}
