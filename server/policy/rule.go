package policy

import (
	"net/netip"
	"strconv"
)

// Rule says why an address is denied.
type Rule uint8

const (
	// Allowed is the zero value: no rule denies. No DeniedError carries it.
	Allowed Rule = iota
	// NoAddress: there is no address to judge (the zero netip.Addr).
	NoAddress
	// ThisNetwork: 0.0.0.0/8 (RFC 1122 section 3.2.1.3) and ::, which connect(2) takes for this host.
	ThisNetwork
	// Multicast: 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291 section 2.7).
	Multicast
	// Broadcast: 255.255.255.255 (RFC 919), and the broadcast address of a network that this host has an interface in.
	Broadcast
	// LinkLocal: 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 section 2.5.6). Most clouds' metadata services live
	// there.
	LinkLocal
	// Metadata: a cloud's metadata service outside the link-local networks.
	Metadata
	// Loopback: 127.0.0.0/8 and ::1; with Config.Shared only.
	Loopback
	// OwnAddress: an address of this host's interfaces; with Config.Shared only.
	OwnAddress

	// The rest are those of a caller's own rules; Allow gives none of them.

	// NotAllowed: no allow rule matches address and port.
	NotAllowed
	// DeniedByRule: a deny rule matches address and port.
	DeniedByRule
	// NeedsAddressRule: the address of a name that is allowed, but one that needs an allow address rule besides, and none
	// matches address and port.
	NeedsAddressRule
	// NameNotAllowed: no allow rule matches name and port.
	NameNotAllowed
	// NameDenied: a deny rule matches name and port.
	NameDenied
)

var ruleWords = [...]string{
	Allowed:     "allowed",
	NoAddress:   "no address",
	ThisNetwork: "an address of this network",
	Multicast:   "a multicast address",
	Broadcast:   "a broadcast address",
	LinkLocal:   "a link-local address",
	Metadata:    "the address of a metadata service",
	Loopback:    "a loopback address",
	OwnAddress:  "an address of the service's own host",

	NotAllowed:       "an address that no rule allows with this port",
	DeniedByRule:     "an address that a rule denies with this port",
	NeedsAddressRule: "an address that needs a rule besides its name's",
	NameNotAllowed:   "a name that no rule allows with this port",
	NameDenied:       "a name that a rule denies with this port",
}

// String returns what the rule calls an address that it denies, such as "a multicast address".
func (r Rule) String() string {
	if int(r) < len(ruleWords) {
		return ruleWords[r]
	}
	return "rule " + strconv.Itoa(int(r))
}

// DeniedError says that an address or a name is not probed, and by which rule. All errors of Allow, AllowFor, AllowName and
// AllowNamed are of this type.
type DeniedError struct {
	// Rule is the rule that denies. Never Allowed.
	Rule Rule
	// Addr is the address that was asked about, unmapped and without its zone. Not valid with NoAddress
	// and for a name, which is not told: it may be long.
	Addr netip.Addr
	// Inside is the IPv4 inside Addr that the rule is about. Not valid where the rule is about Addr itself.
	Inside netip.Addr
}

// Error returns one sentence of at most 140 bytes for a person.
func (e *DeniedError) Error() string {
	switch {
	case !e.Addr.IsValid():
		return "not probed: " + e.Rule.String()
	case e.Inside.IsValid():
		return e.Addr.String() + " is not probed: it holds " + e.Inside.String() + ", " + e.Rule.String()
	default:
		return e.Addr.String() + " is not probed: " + e.Rule.String()
	}
}

type entry struct {
	prefix netip.Prefix
	rule   Rule
}

// never4 and never6 are denied by every Policy. They hold what is dangerous or pointless, not all that is reserved:
// 240.0.0.0/4 but for its last address is ordinary unicast to Linux and used as such inside some networks, and private
// networks (RFC 1918, RFC 4193) are what a health check is mostly asked about.
var (
	never4 = []entry{
		{netip.MustParsePrefix("0.0.0.0/8"), ThisNetwork},
		{netip.MustParsePrefix("224.0.0.0/4"), Multicast},
		{netip.MustParsePrefix("255.255.255.255/32"), Broadcast},
		{netip.MustParsePrefix("169.254.0.0/16"), LinkLocal},
		{netip.MustParsePrefix("168.63.129.16/32"), Metadata},   // Azure's WireServer
		{netip.MustParsePrefix("100.100.100.200/32"), Metadata}, // Alibaba Cloud
		{netip.MustParsePrefix("192.0.0.192/32"), Metadata},     // Oracle Cloud
	}
	never6 = []entry{
		{netip.MustParsePrefix("::/128"), ThisNetwork},
		{netip.MustParsePrefix("ff00::/8"), Multicast},
		{netip.MustParsePrefix("fe80::/10"), LinkLocal},
		{netip.MustParsePrefix("fd00:ec2::254/128"), Metadata}, // Amazon EC2
		{netip.MustParsePrefix("fd20:ce::254/128"), Metadata},  // Google Compute Engine
	}
)

// loopback4 and loopback6 come after them with Config.Shared.
var (
	loopback4 = []entry{{netip.MustParsePrefix("127.0.0.0/8"), Loopback}}
	loopback6 = []entry{{netip.MustParsePrefix("::1/128"), Loopback}}
)
