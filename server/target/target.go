package target

import (
	"net/netip"
	"strconv"
)

// maxName is the greatest length of a name in bytes, without the dot of an absolute one: 255 on the wire (RFC 1035 section
// 2.3.4), less the length of the first label and the root.
const maxName = 253

// maxLabel is the greatest length of one label in bytes (RFC 1035 section 2.3.4).
const maxLabel = 63

// Target is what a caller named: a name or an address, and a port. The zero value is no target; Parse gives no such one. Two
// texts that mean the same give equal Targets, so it may be the key of a map.
type Target struct {
	// Name is the host name, in lower case and without a final dot; to be looked up as an absolute name. It is empty if and
	// only if Addr is valid.
	Name string

	// Addr is the address and port of a target that was an address. An IPv4-mapped IPv6 address is its IPv4 here; there is
	// never a zone.
	Addr netip.AddrPort

	// Port is 1 to 65535, also where Addr says it again.
	Port uint16
}

// String returns the target in the form that Parse reads, the shortest there is of equal ones.
func (t Target) String() string {
	if t.Addr.IsValid() {
		return t.Addr.String()
	}
	return t.Name + ":" + strconv.Itoa(int(t.Port))
}
