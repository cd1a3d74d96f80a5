package shaker

import (
	"net"
	"strconv"
)

// zones resolves the zones of addresses (RFC 4007 section 11), each of them once: the index of an interface in decimal, or its
// name. It asks the kernel, so it is used before a probe reaches a loop, never in one. The zero value is ready.
type zones map[string]uint32

func (z *zones) index(zone string) (uint32, error) {
	if n, err := strconv.ParseUint(zone, 10, 31); err == nil && n > 0 {
		return uint32(n), nil
	}
	if known, ok := (*z)[zone]; ok {
		return known, nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	if *z == nil {
		*z = make(zones)
	}
	(*z)[zone] = uint32(i.Index)
	return uint32(i.Index), nil
}
