package policy

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// twinDenies is Allow written another way: over the net package and over texts, and without saying why.
func twinDenies(ip net.IP, shared bool, own []net.IPNet) bool {
	if v4 := ip.To4(); v4 != nil {
		return twinDenies4(v4, shared, own)
	}
	for _, o := range own {
		if shared && o.IP.Equal(ip) {
			return true
		}
	}
	b := ip.To16()
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), shared && ip.IsLoopback(),
		ip.String() == "fd00:ec2::254", ip.String() == "fd20:ce::254":
		return true
	case ip.IsLoopback():
		return false
	}
	hex := func(prefix string, bytes int) bool {
		return strings.HasPrefix(hexOf(b), prefix) && len(prefix) == 2*bytes
	}
	v4 := func(at ...int) net.IP { return net.IPv4(b[at[0]], b[at[1]], b[at[2]], b[at[3]]).To4() }
	switch {
	case hex(strings.Repeat("00", 12), 12), hex("0064ff9b0000000000000000", 12):
		return twinDenies4(v4(12, 13, 14, 15), shared, own)
	case hex("2002", 2):
		return twinDenies4(v4(2, 3, 4, 5), shared, own)
	case hex("20010000", 4):
		client := v4(12, 13, 14, 15)
		for i := range client {
			client[i] ^= 0xff
		}
		return twinDenies4(v4(4, 5, 6, 7), shared, own) || twinDenies4(client, shared, own)
	case hex("0064ff9b0001", 6):
		known := false
		for _, at := range [][]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}} {
			if b[at[0]] != 0 {
				known = true
				if twinDenies4(v4(at...), shared, own) {
					return true
				}
			}
		}
		return !known
	}
	return false
}

func twinDenies4(ip net.IP, shared bool, own []net.IPNet) bool {
	for _, o := range own {
		if o.IP.To4() == nil {
			continue
		}
		if shared && o.IP.Equal(ip) {
			return true
		}
		inverse := bytes.Clone(o.Mask)
		for i := range inverse {
			inverse[i] = o.IP.To4()[i] | ^inverse[i]
		}
		if ones, _ := o.Mask.Size(); ones < 31 && ip.Equal(inverse) {
			return true
		}
	}
	switch ip.String() {
	case "255.255.255.255", "168.63.129.16", "100.100.100.200", "192.0.0.192":
		return true
	}
	return ip[0] == 0 || ip.IsMulticast() || ip.IsLinkLocalUnicast() || shared && ip.IsLoopback()
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// FuzzAllow compares Allow with its twin, shared and not, on a host with an address of each family.
func FuzzAllow(f *testing.F) {
	for _, ip := range append([]string{
		"0.0.0.0", "127.0.0.1", "169.254.169.254", "192.0.2.5", "192.0.2.255", "224.0.0.1", "255.255.255.255", "::",
		"::1", "::2", "::7f00:1", "fe80::1", "ff02::1", "2001:db8::5", "64:ff9b::7f00:1", "2002:7f00:1::",
		"2001:0:7f00:1::", "2001:0:808:808::80ff:fffe", "64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f:0:1::",
		"64:ff9b:1::7f:0:100:0", "64:ff9b:1::7f00:1", "64:ff9b:1::", "::ffff:127.0.0.1",
	}, allowed...) {
		b := netip.MustParseAddr(ip).AsSlice()
		f.Add(b, true)
		f.Add(b, false)
	}
	own := host("192.0.2.5/24", "198.51.100.1/31", "2001:db8::5/64")
	var twinOwn []net.IPNet
	for _, s := range []string{"192.0.2.5/24", "198.51.100.1/31", "2001:db8::5/64"} {
		ip, network, err := net.ParseCIDR(s)
		if err != nil {
			f.Fatal(err)
		}
		twinOwn = append(twinOwn, net.IPNet{IP: ip, Mask: network.Mask})
	}
	policies := map[bool]*Policy{true: New(Config{Shared: true, OwnAddrs: own}), false: New(Config{OwnAddrs: own})}

	f.Fuzz(func(t *testing.T, b []byte, shared bool) {
		ip, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		got := ruleOf(t, policies[shared], netip.AddrPortFrom(ip, 80))
		if want := twinDenies(b, shared, twinOwn); want != (got != Allowed) {
			t.Errorf("shared %t, %v: %v; twin denies: %t", shared, ip, got, want)
		}
	})
}
