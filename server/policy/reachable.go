package policy

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// reachability says which addresses are globally reachable: an address is what the longest prefix that holds it is. The source
// are the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) as of 2025-10-09, column "Globally
// Reachable", where "N/A" and what was returned count as no; a row that says what a shorter one says is left out. Of IPv6 no
// global unicast is assigned outside of 2000::/3 (RFC 4291 section 2.4, IANA IPv6 Address Space), so the rest is not reachable,
// with 64:ff9b::/96 the one exception; among the rest are ::/96, fc00::/7, fe80::/10, fec0::/10 and the networks in 100::/8.
var reachability = newReachability(
	[]string{
		"0.0.0.0/0",
		"192.0.0.9/32",    // RFC 7723, Port Control Protocol anycast
		"192.0.0.10/32",   // RFC 8155, TURN anycast
		"64:ff9b::/96",    // RFC 6052; the IPv4 inside is judged too
		"2000::/3",        // RFC 4291
		"2001:1::1/128",   // RFC 7723
		"2001:1::2/128",   // RFC 8155
		"2001:1::3/128",   // RFC 9665, DNS-SD registration anycast
		"2001:3::/32",     // RFC 7450, AMT
		"2001:4:112::/48", // RFC 7535, AS112
		"2001:20::/28",    // RFC 7343, ORCHIDv2
		"2001:30::/28",    // RFC 9374, drone remote identification
	},
	[]string{
		"0.0.0.0/8",       // RFC 791, this network
		"10.0.0.0/8",      // RFC 1918
		"100.64.0.0/10",   // RFC 6598, shared address space
		"127.0.0.0/8",     // RFC 1122, loopback
		"169.254.0.0/16",  // RFC 3927, link-local
		"172.16.0.0/12",   // RFC 1918
		"192.0.0.0/24",    // RFC 6890, protocol assignments
		"192.0.2.0/24",    // RFC 5737, documentation
		"192.88.99.0/24",  // RFC 7526, returned
		"192.168.0.0/16",  // RFC 1918
		"198.18.0.0/15",   // RFC 2544, benchmarking
		"198.51.100.0/24", // RFC 5737
		"203.0.113.0/24",  // RFC 5737
		"224.0.0.0/4",     // RFC 5771, multicast: in no registry of unicast
		"240.0.0.0/4",     // RFC 1112, reserved
		"::/0",
		"2001::/23",     // RFC 2928, protocol assignments; Teredo among them
		"2001:db8::/32", // RFC 3849, documentation
		"2002::/16",     // RFC 3056, 6to4: N/A
		"3fff::/20",     // RFC 9637, documentation
	},
)

func newReachability(reachable, not []string) *bart.Table[bool] {
	table := new(bart.Table[bool])
	for _, prefix := range reachable {
		table.Insert(netip.MustParsePrefix(prefix), true)
	}
	for _, prefix := range not {
		table.Insert(netip.MustParsePrefix(prefix), false)
	}
	return table
}

// globallyReachable reports whether ip, which is not IPv4-mapped, is globally reachable.
func globallyReachable(ip netip.Addr) bool {
	reachable, _ := reachability.Lookup(ip)
	return reachable
}
