package policy

import "net/netip"

// The networks of IPv6 whose addresses carry an IPv4. IPv4-mapped addresses (::ffff:0:0/96) are not here: they are IPv4 to
// everyone, and Allow unmaps them before anything else.
var (
	compatible   = netip.MustParsePrefix("::/96")          // RFC 4291 section 2.5.5.1
	nat64        = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052 section 2.1
	nat64Local   = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour    = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo       = netip.MustParsePrefix("2001::/32")      // RFC 4380
	ipv6Loopback = netip.IPv6Loopback()
)

// maxEmbedded is how many IPv4 addresses one IPv6 address can be read as.
const maxEmbedded = 4

// embedded returns the IPv4 addresses that ip, an IPv6 address, carries: the first n of found.
func embedded(ip netip.Addr) (found [maxEmbedded]netip.Addr, n int) {
	b := ip.As16()
	switch {
	case compatible.Contains(ip):
		if ip != ipv6Loopback { // ::1, like ::, lies in the network but is not of the kind
			found[0], n = ipv4(b[12], b[13], b[14], b[15]), 1
		}
	case nat64.Contains(ip):
		found[0], n = ipv4(b[12], b[13], b[14], b[15]), 1
	case nat64Local.Contains(ip):
		return nat64Readings(&b)
	case sixToFour.Contains(ip):
		found[0], n = ipv4(b[2], b[3], b[4], b[5]), 1
	case teredo.Contains(ip):
		// Section 4: the server's address is plain, the client's has every bit inverted.
		found[0] = ipv4(b[4], b[5], b[6], b[7])
		found[1] = ipv4(^b[12], ^b[13], ^b[14], ^b[15])
		n = 2
	}
	return found, n
}

// nat64Readings returns the IPv4 addresses that an address of 64:ff9b:1::/48 may stand for. Its operator cuts translation
// prefixes of 48, 56, 64 or 96 bits out of that network, and nothing in the address tells which: RFC 6052 section 2.2
// puts the IPv4 behind the prefix, around byte 8. Byte 8 and what follows the IPv4 should be 0, but a translator does not
// look.
//
// So every position is read. One that reads as 0.0.0.0/8 is passed over: with the IPv4 elsewhere the zeros of prefix and
// suffix stand there, and no translator can send to such an address. If all do, the first is told.
func nat64Readings(b *[16]byte) (found [maxEmbedded]netip.Addr, n int) {
	readings := [maxEmbedded]netip.Addr{
		ipv4(b[12], b[13], b[14], b[15]), // behind 96 bits
		ipv4(b[9], b[10], b[11], b[12]),  // 64
		ipv4(b[7], b[9], b[10], b[11]),   // 56
		ipv4(b[6], b[7], b[9], b[10]),    // 48
	}
	for _, ip := range readings {
		if ip.As4()[0] != 0 {
			found[n] = ip
			n++
		}
	}
	if n == 0 {
		return readings, 1
	}
	return found, n
}

func ipv4(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }
