package shaker

import (
	"net"
	"strconv"
)

// interfaceIndex resolves the zone of an address (RFC 4007 section 11): the index of an interface in decimal, or its name.
// It asks the kernel, so it is called before a probe reaches a loop, never in one.
func interfaceIndex(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 31); err == nil && n > 0 {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}
