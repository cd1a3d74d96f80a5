package policy

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// twinRules are Rules written another way: loops over all rules, as they were given.
type twinRules struct{ allow, deny []AccessRule }

func twinPorts(r AccessRule, port uint16) bool {
	return slices.ContainsFunc(r.Ports, func(p PortRange) bool { return port > 0 && p.First <= port && port <= p.Last })
}

// twinMatches reports whether r is an address rule for ip and port; in limits it to prefixes inside that one.
func twinMatches(r AccessRule, ip netip.Addr, port uint16, in netip.Prefix) bool {
	if !r.Prefix.IsValid() || !twinPorts(r, port) {
		return false
	}
	prefix := r.Prefix.Masked()
	if prefix.Addr().Is4In6() { // with 96 bits at least, or the mask had made another address of it
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Contains(ip) && (!in.IsValid() || in.Overlaps(prefix) && prefix.Bits() >= in.Bits())
}

// twinNever are the entries of the never-list, the loopback ones at the end.
var twinNever = prefixes("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "169.254.0.0/16", "168.63.129.16/32",
	"100.100.100.200/32", "192.0.0.192/32", "::/128", "ff00::/8", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128",
	"127.0.0.0/8", "::1/128")

var twinLoopback = twinNever[len(twinNever)-2:]

// twinReachable and twinUnreachable: the first of either that matches, in this order, tells; else IPv4 is reachable.
var (
	twinReachable = prefixes("192.0.0.9/32", "192.0.0.10/32", "64:ff9b::/96", "2001:1::1/128", "2001:1::2/127",
		"2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28")
	twinUnreachable = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "::/3", "4000::/2", "8000::/1")
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func holds(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// denies is AllowFor, or AllowNamed, without saying why. The readings of an address are FuzzAllow's matter.
func (r twinRules) denies(ip netip.Addr, port uint16, ofName, shared bool, own []netip.Prefix) bool {
	ip = ip.Unmap()
	readings := []netip.Addr{ip}
	if ip.Is6() {
		found, n := embedded(ip)
		readings = append(readings, found[:n]...)
	}
	return slices.ContainsFunc(readings, func(ip netip.Addr) bool { return r.deniesOne(ip, port, ofName, shared, own) })
}

func (r twinRules) deniesOne(ip netip.Addr, port uint16, ofName, shared bool, own []netip.Prefix) bool {
	never := twinNever
	if !shared {
		never = never[:len(never)-2]
	}
	isOwn := false
	for _, o := range own {
		isOwn = isOwn || o.Addr() == ip
		alone := netip.PrefixFrom(ip, ip.BitLen())
		broadcast := o.Addr().Is4() && o.Bits() < 31 && o.Contains(ip) && !o.Contains(ip.Next())
		if (broadcast || shared && o.Addr() == ip) && (!shared || !holds(twinLoopback, ip)) {
			never = append(slices.Clip(never), alone)
		}
	}
	for _, entry := range never {
		if !entry.Contains(ip) {
			continue
		}
		if !slices.ContainsFunc(r.allow, func(rule AccessRule) bool { return twinMatches(rule, ip, port, entry) }) {
			return true
		}
	}
	matches := func(rule AccessRule) bool { return twinMatches(rule, ip, port, netip.Prefix{}) }
	if slices.ContainsFunc(r.deny, matches) {
		return true
	}
	if ofName && !isOwn && (holds(twinReachable, ip) || !holds(twinUnreachable, ip)) {
		return false
	}
	return !slices.ContainsFunc(r.allow, matches)
}

func (r twinRules) deniesName(name string, port uint16) bool {
	matches := func(rule AccessRule) bool {
		if rule.Prefix.IsValid() || !twinPorts(rule, port) {
			return false
		}
		suffix, wildcard := strings.CutPrefix(rule.Name, "*")
		return name == rule.Name || wildcard && len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return slices.ContainsFunc(r.deny, matches) || !slices.ContainsFunc(r.allow, matches)
}

// dice makes rules and questions of the bytes of a fuzzer; after the last it throws zeros.
type dice struct{ left []byte }

func (d *dice) throw(sides int) int {
	if len(d.left) == 0 {
		return 0
	}
	n := int(d.left[0]) % sides
	d.left = d.left[1:]
	return n
}

// places are addresses next to which something changes.
var places = func() (places []netip.Addr) {
	for _, s := range []string{
		"0.0.0.0", "8.8.8.8", "10.0.0.0", "10.1.2.3", "10.1.2.4", "10.255.255.255", "127.0.0.1", "127.255.255.255",
		"100.100.100.200", "169.254.7.7", "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.0.9", "224.0.0.1",
		"203.0.113.7", "255.255.255.255", "::", "::1", "::7f00:1", "::a01:203", "fe80::1", "ff02::1", "fd00:ec2::254", "fd12::1",
		"2001:db8::5", "2001:4860::8888", "64:ff9b::a01:203", "64:ff9b::808:808", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a01:203",
		"64:ff9b:1:a01:2:300::", "2002:a01:203::1", "2001:0:a01:203::f7f7:f7f7", "2001:0:808:808::f5fe:fdfc", "2001:1::2",
		"::ffff:10.1.2.3", "::ffff:0.0.0.0",
	} {
		places = append(places, netip.MustParseAddr(s))
	}
	return places
}()

func (d *dice) addr() netip.Addr {
	ip := places[d.throw(len(places))]
	for range d.throw(3) { // somewhere near
		if next := ip.Next(); next.IsValid() {
			ip = next
		}
	}
	if d.throw(4) == 0 {
		b := ip.AsSlice()
		b[d.throw(len(b))] ^= byte(d.throw(256))
		ip, _ = netip.AddrFromSlice(b)
	}
	return ip
}

func (d *dice) port() uint16 {
	return []uint16{80, 1, 2, 79, 81, 443, 65534, 65535, 0}[d.throw(9)]
}

func (d *dice) name() string {
	labels := []string{"example"}
	for range d.throw(6) {
		labels = append(labels, []string{"a", "b", "aa", "example"}[d.throw(4)])
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

func (d *dice) rules() (rules []AccessRule) {
	for range d.throw(24) {
		var rule AccessRule
		switch d.throw(8) {
		case 0:
			rule.Name = d.name()
		case 1, 2:
			rule.Name = "*." + d.name()
		case 3:
			rule.Name = "*"
		default:
			ip := d.addr()
			bits := ip.BitLen()
			if d.throw(2) == 0 {
				bits = d.throw(bits + 1)
			}
			rule.Prefix = netip.PrefixFrom(ip, bits)
		}
		for range d.throw(4) {
			rule.Ports = append(rule.Ports, PortRange{d.port(), d.port()})
		}
		rules = append(rules, rule)
	}
	return rules
}

// FuzzPolicy compares AllowFor, AllowNamed and AllowName with their twin. A question is about a place, and about each address
// that a rule names, so that it often meets one.
func FuzzPolicy(f *testing.F) {
	for seed := range uint32(64) {
		b := make([]byte, 0, 512)
		for x := seed*2654435761 + 1; len(b) < 512; x ^= x << 5 { // xorshift
			x ^= x << 13
			x ^= x >> 17
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		f.Add(b)
	}
	own := prefixes("10.1.2.3/8", "169.254.7.7/16", "127.0.0.1/8", "::1/128", "2001:db8::5/64", "8.8.8.9/31")
	read := func() ([]netip.Prefix, error) { return own, nil }
	policies := map[bool]*Policy{true: New(Config{Shared: true, OwnAddrs: read}), false: New(Config{OwnAddrs: read})}

	f.Fuzz(func(t *testing.T, b []byte) {
		d := &dice{left: b}
		twin := twinRules{allow: d.rules(), deny: d.rules()}
		r := Compile(twin.allow, twin.deny)

		ips, names := []netip.Addr{d.addr(), d.addr()}, []string{d.name(), d.name()}
		for _, rule := range slices.Concat(twin.allow, twin.deny) {
			if rule.Prefix.IsValid() {
				ips = append(ips, rule.Prefix.Addr(), rule.Prefix.Masked().Addr())
			} else {
				name := strings.TrimPrefix(rule.Name, "*.")
				names = append(names, name, "x."+name, "x.y."+name)
			}
		}
		for _, port := range []uint16{d.port(), d.port()} {
			for shared, p := range policies {
				for _, ip := range ips {
					addr := netip.AddrPortFrom(ip, port)
					got := ruleIn(t, addr, p.AllowFor(r, addr))
					if want := twin.denies(ip, port, false, shared, own); want != (got != Allowed) {
						t.Errorf("AllowFor: shared %t, %v: %v; twin denies: %t\nallow %v\ndeny %v", shared, addr, got, want, twin.allow, twin.deny)
					}
					got = ruleIn(t, addr, p.AllowNamed(r, addr))
					if want := twin.denies(ip, port, true, shared, own); want != (got != Allowed) {
						t.Errorf("AllowNamed: shared %t, %v: %v; twin denies: %t\nallow %v\ndeny %v", shared, addr, got, want, twin.allow, twin.deny)
					}
				}
			}
			for _, name := range names {
				got := ruleIn(t, name, r.AllowName(name, port))
				if want := twin.deniesName(name, port); want != (got != Allowed) {
					t.Errorf("AllowName(%s, %d): %v; twin denies: %t\nallow %v\ndeny %v", name, port, got, want, twin.allow, twin.deny)
				}
			}
		}
	})
}
