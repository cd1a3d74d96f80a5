package testnet

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Priorities of the hooks that rewrite addresses (linux/netfilter_ipv4.h).
const (
	priorityDNAT = -100
	prioritySNAT = 100
)

// Hairpin makes the calling thread's namespace, a router, send all TCP for an address of its own to
// a host inside, as with a forwarded port. What the host itself sends to that address comes back to
// it from that address, and from the same port if the port is free. It ends with the test.
func Hairpin(t testing.TB, outside, inside netip.Addr) {
	t.Helper()
	install(t, "hairpin", func(table string) []message {
		const in, out = "in", "out"
		return []message{
			nftTable(table),
			nftChain(table, in, "nat", unix.NF_INET_PRE_ROUTING, priorityDNAT),
			nftRule(table, in, append(tcpTo(outside), toAddress(inside)...)...),
			nftChain(table, out, "nat", unix.NF_INET_POST_ROUTING, prioritySNAT),
			nftRule(table, out, append(tcpTo(inside), expression("masq"))...),
		}
	})
}

// toAddress is "dnat to" of nft(8).
func toAddress(ip netip.Addr) []attribute {
	family := uint32(unix.NFPROTO_IPV4)
	if ip.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return []attribute{
		expression("immediate",
			attribute{unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_1)},
			nested(unix.NFTA_IMMEDIATE_DATA, attribute{unix.NFTA_DATA_VALUE, ip.AsSlice()})),
		expression("nat",
			attribute{unix.NFTA_NAT_TYPE, be32(unix.NFT_NAT_DNAT)},
			attribute{unix.NFTA_NAT_FAMILY, be32(family)},
			attribute{unix.NFTA_NAT_REG_ADDR_MIN, be32(unix.NFT_REG_1)}),
	}
}
