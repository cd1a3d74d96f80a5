package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAllowName(t *testing.T) {
	tests := []struct {
		allow, deny string
		name        string
		port        uint16
		want        Rule
	}{
		{"web.example:443", "", "web.example", 443, Allowed},
		{"web.example:443", "", "web.example", 80, NameNotAllowed},
		{"web.example:443", "", "a.web.example", 443, NameNotAllowed},
		{"web.example:443", "", "example", 443, NameNotAllowed},
		{"web.example:443", "", "xweb.example", 443, NameNotAllowed},
		{"web.example:443 web.example:80", "", "web.example", 80, Allowed},

		{"*.corp.example:1-1023", "", "a.corp.example", 1, Allowed},
		{"*.corp.example:1-1023", "", "a.corp.example", 1023, Allowed},
		{"*.corp.example:1-1023", "", "a.corp.example", 1024, NameNotAllowed},
		{"*.corp.example:1-1023", "", "a.b.c.d.corp.example", 22, Allowed},
		{"*.corp.example:1-1023", "", "corp.example", 22, NameNotAllowed}, // not the name itself
		{"*.corp.example:1-1023", "", "xcorp.example", 22, NameNotAllowed},
		{"*.corp.example:1-1023", "", "a.xcorp.example", 22, NameNotAllowed},
		{"*.corp.example:1-1023", "", "example", 22, NameNotAllowed},
		{"*.corp.example:1-1023", "", "a.corp.example.net", 22, NameNotAllowed},
		{"*.corp.example:1-1023", "", "corp.example.corp.example", 22, Allowed},
		{"*.example:80", "", "a.b.example", 80, Allowed},

		{"*:443", "", "anything.at.all", 443, Allowed},
		{"*:443", "", "localhost", 443, Allowed},
		{"*:443", "", "localhost", 80, NameNotAllowed},
		{"0.0.0.0/0:* ::/0:*", "", "web.example", 80, NameNotAllowed}, // addresses

		// All rules that match count together, at every depth.
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "a.corp.example", 1, Allowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "a.corp.example", 2, Allowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "a.corp.example", 3, Allowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "a.corp.example", 4, Allowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "a.corp.example", 5, NameNotAllowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "b.corp.example", 4, NameNotAllowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "corp.example", 3, NameNotAllowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "corp.example", 2, Allowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "example", 2, NameNotAllowed},
		{"*:1 *.example:2 *.corp.example:3 a.corp.example:4", "", "example", 1, Allowed},
		{"*.a.b.c.d.example:1 *.c.d.example:2", "", "x.a.b.c.d.example", 2, Allowed}, // with no rule for b.c.d.example between
		{"*.a.b.c.d.example:1 *.c.d.example:2", "", "a.b.c.d.example", 1, NameNotAllowed},
		{"*.a.b.c.d.example:1 *.c.d.example:2", "", "a.b.c.d.example", 2, Allowed},
		{"*.a.b.c.d.example:1 *.c.d.example:2", "", "y.c.d.example", 2, Allowed},
		{"*.a.b.c.d.example:1 *.c.d.example:2", "", "x.d.example", 2, NameNotAllowed},
		{"*.a.b.c.d.example:1", "", "x.b.c.d.example", 1, NameNotAllowed},

		// Deny wins.
		{"*:*", "db.corp.example:*", "db.corp.example", 1, NameDenied},
		{"*:*", "db.corp.example:*", "a.db.corp.example", 1, Allowed},
		{"*:*", "*.corp.example:22", "a.b.corp.example", 22, NameDenied},
		{"*:*", "*.corp.example:22", "a.b.corp.example", 23, Allowed},
		{"*:*", "*.corp.example:22", "corp.example", 22, Allowed},
		{"web.example:*", "*:22", "web.example", 22, NameDenied},
		{"web.example:*", "*:22", "web.example", 23, Allowed},
		{"web.example:22", "web.example:22", "web.example", 22, NameDenied},
		{"", "web.example:22", "web.example", 22, NameDenied},
		{"*:*", "0.0.0.0/0:*", "web.example", 22, Allowed}, // denies addresses
	}
	for _, tt := range tests {
		r := Compile(mustRules(strings.Fields(tt.allow)...), mustRules(strings.Fields(tt.deny)...))
		if got := ruleIn(t, tt.name, r.AllowName(tt.name, tt.port)); got != tt.want {
			t.Errorf("allow %q, deny %q, %s:%d: %v, want %v", tt.allow, tt.deny, tt.name, tt.port, got, tt.want)
		}
	}
}

// TestNoName: what no target can be is denied, whatever the rules.
func TestNoName(t *testing.T) {
	r := Compile(mustRules("*:*", "*.example:*"), nil)
	for _, name := range []string{"", strings.Repeat("a.", 123) + "aexample", strings.Repeat("a.", 1<<16) + "example"} {
		if got := ruleIn(t, len(name), r.AllowName(name, 80)); got != NameNotAllowed {
			t.Errorf("a name of %d bytes: %v", len(name), got)
		}
	}
	longest := strings.Repeat("a.", 123) + "example"
	if got := ruleIn(t, longest, r.AllowName(longest, 80)); len(longest) != maxName || got != Allowed {
		t.Errorf("a name of %d bytes: %v", len(longest), got)
	}
}

// TestDeepNames: wildcards and names of as many labels as there can be, each depth with a port of its own.
func TestDeepNames(t *testing.T) {
	name := strings.Repeat("a.", maxLabels-1) + "b"
	var rules []AccessRule
	for labels := 1; labels < maxLabels; labels++ {
		rules = append(rules, AccessRule{Name: "*." + name[len(name)+1-2*labels:], Ports: []PortRange{{uint16(labels), uint16(labels)}}})
	}
	r := Compile(rules, nil)
	for labels := 1; labels <= maxLabels; labels++ {
		for port := 1; port <= maxLabels; port++ {
			want := NameNotAllowed
			if port < labels {
				want = Allowed
			}
			if got := ruleIn(t, labels, r.AllowName(name[len(name)+1-2*labels:], uint16(port))); got != want {
				t.Fatalf("%d labels, port %d: %v, want %v", labels, port, got, want)
			}
		}
	}
}

// TestAllowNamed is about the addresses of a name that a rule allows, the answers of a hostile DNS among them.
func TestAllowNamed(t *testing.T) {
	own := host("8.8.4.4/24", "10.1.2.3/8", "2001:4860::5/64", "127.0.0.1/8", "::1/128")
	alone, shared := New(Config{OwnAddrs: own}), New(Config{Shared: true, OwnAddrs: own})
	tests := []struct {
		allow, deny, ask string
		alone, shared    Rule
	}{
		{"*:443", "", "8.8.8.8:443", Allowed, Allowed},
		{"*:443", "", "8.8.8.8:80", Allowed, Allowed}, // the port is AllowName's to judge
		{"*:443", "", "[2001:4860:4860::8888]:443", Allowed, Allowed},
		{"*:443", "8.8.8.0/24:443", "8.8.8.8:443", DeniedByRule, DeniedByRule},
		{"*:443", "8.8.8.0/24:443", "[64:ff9b::8.8.8.8]:443", DeniedByRule, DeniedByRule},
		{"*:443", "8.8.8.0/24:443", "[::ffff:8.8.8.8]:443", DeniedByRule, DeniedByRule},
		{"*:443", "2001:db8::/32:*", "8.8.8.8:443", Allowed, Allowed},

		// DNS rebinding.
		{"*:443", "", "169.254.169.254:443", LinkLocal, LinkLocal},
		{"*:443", "", "[fd00:ec2::254]:443", Metadata, Metadata},
		{"*:443", "", "127.0.0.1:443", NeedsAddressRule, Loopback},
		{"*:443", "", "[::1]:443", NeedsAddressRule, Loopback},
		{"*:443", "", "0.0.0.0:443", ThisNetwork, ThisNetwork},
		{"*:443", "", "[::]:443", ThisNetwork, ThisNetwork},
		{"*:443", "", "10.0.0.1:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "172.31.255.255:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "192.168.1.1:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "100.64.0.1:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "[fd12:3456::1]:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "[::ffff:10.0.0.1]:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "[64:ff9b::10.0.0.1]:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443", "", "[64:ff9b::127.0.0.1]:443", NeedsAddressRule, Loopback},
		{"*:443", "", "[64:ff9b::8.8.8.8]:443", Allowed, Allowed},
		{"*:443", "", "[2002:808:808::1]:443", NeedsAddressRule, NeedsAddressRule},

		// This host's own, though globally reachable.
		{"*:443", "", "8.8.4.4:443", NeedsAddressRule, OwnAddress},
		{"*:443", "", "[2001:4860::5]:443", NeedsAddressRule, OwnAddress},
		{"*:443", "", "[64:ff9b::8.8.4.4]:443", NeedsAddressRule, OwnAddress},
		{"*:443", "", "8.8.4.5:443", Allowed, Allowed},
		{"*:443 8.8.0.0/16:443", "", "8.8.4.4:443", Allowed, OwnAddress},
		{"*:443 8.8.4.4:443", "", "8.8.4.4:443", Allowed, Allowed},
		{"*:443 8.8.4.4:80", "", "8.8.4.4:443", NeedsAddressRule, OwnAddress},

		// With an address rule besides, for address and port.
		{"*:443 10.0.0.0/8:443", "", "10.0.0.1:443", Allowed, Allowed},
		{"*:443 10.0.0.0/8:80", "", "10.0.0.1:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443 10.0.0.0/8:443", "", "10.1.2.3:443", Allowed, OwnAddress},
		{"*:443 10.0.0.0/8:443", "", "[64:ff9b::10.0.0.1]:443", Allowed, Allowed},
		{"*:443 64:ff9b::/96:443", "", "[64:ff9b::10.0.0.1]:443", NeedsAddressRule, NeedsAddressRule},
		{"*:443 10.0.0.0/8:443", "", "[2002:a00:1::]:443", NeedsAddressRule, NeedsAddressRule}, // 6to4 itself
		{"*:443 10.0.0.0/8:443 2002::/16:443", "", "[2002:a00:1::]:443", Allowed, Allowed},
		{"*:443 10.0.0.0/8:443", "10.0.0.1:443", "10.0.0.1:443", DeniedByRule, DeniedByRule},
		{"*:443 127.0.0.0/8:443", "", "127.0.0.1:443", Allowed, Allowed},
		{"*:443 0.0.0.0/0:*", "", "127.0.0.1:443", Allowed, Loopback},
		{"*:443 0.0.0.0/0:*", "", "169.254.169.254:443", LinkLocal, LinkLocal},
		{"*:443 169.254.169.254:443", "", "169.254.169.254:443", Allowed, Allowed},
		{"*:443 fc00::/7:*", "", "[fd12:3456::1%eth0]:443", Allowed, Allowed},
	}
	for _, tt := range tests {
		r := Compile(mustRules(strings.Fields(tt.allow)...), mustRules(strings.Fields(tt.deny)...))
		for _, p := range []struct {
			*Policy
			want Rule
		}{{alone, tt.alone}, {shared, tt.shared}} {
			if got := ruleIn(t, tt.ask, p.AllowNamed(r, netip.MustParseAddrPort(tt.ask))); got != p.want {
				t.Errorf("allow %q, deny %q, %s, shared %t: %v, want %v", tt.allow, tt.deny, tt.ask, p.Policy == shared, got, p.want)
			}
		}
	}
	if got := ruleIn(t, "zero", alone.AllowNamed(new(Rules), netip.AddrPort{})); got != NoAddress {
		t.Errorf("the zero AddrPort: %v, want %v", got, NoAddress)
	}
}

// TestGloballyReachable goes through the registries, with the edges of every row from both sides.
func TestGloballyReachable(t *testing.T) {
	for ip, want := range map[string]bool{
		"0.255.255.255": false, "1.0.0.0": true, "9.255.255.255": true, "10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true,
		"100.63.255.255": true, "100.64.0.0": false, "100.127.255.255": false, "100.128.0.0": true,
		"126.255.255.255": true, "127.0.0.0": false, "127.255.255.255": false, "128.0.0.0": true,
		"169.253.255.255": true, "169.254.0.0": false, "169.254.255.255": false, "169.255.0.0": true,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"191.255.255.255": true, "192.0.0.0": false, "192.0.0.8": false, "192.0.0.9": true, "192.0.0.10": true, "192.0.0.11": false,
		"192.0.0.170": false, "192.0.0.255": false, "192.0.1.0": true, "192.0.1.255": true, "192.0.2.0": false,
		"192.0.2.255": false, "192.0.3.0": true, "192.31.196.1": true, "192.52.193.1": true, "192.175.48.1": true,
		"192.88.98.255": true, "192.88.99.1": false, "192.88.99.2": false, "192.88.100.0": true,
		"192.167.255.255": true, "192.168.0.0": false, "192.168.255.255": false, "192.169.0.0": true,
		"198.17.255.255": true, "198.18.0.0": false, "198.19.255.255": false, "198.20.0.0": true,
		"198.51.99.255": true, "198.51.100.0": false, "198.51.100.255": false, "198.51.101.0": true,
		"203.0.112.255": true, "203.0.113.0": false, "203.0.113.255": false, "203.0.114.0": true,
		"223.255.255.255": true, "224.0.0.0": false, "239.255.255.255": false, "240.0.0.0": false, "255.255.255.255": false,

		"::": false, "::1": false, "::8.8.8.8": false, "64:ff9a:ffff::": false, "64:ff9b::": true, "64:ff9b::ffff:ffff": true,
		"64:ff9b::1:0:0": false, "64:ff9b:1::": false, "100::": false, "100:0:0:1::": false, "200::1": false,
		"1fff:ffff::": false, "2000::": true, "2000:ffff::": true, "2001::": false, "2001:0:808:808::": false,
		"2001:1::": false, "2001:1::1": true, "2001:1::2": true, "2001:1::3": true, "2001:1::4": false, "2001:2::": false,
		"2001:2:ffff::": false, "2001:3::": true, "2001:3:ffff::": true, "2001:4::": false, "2001:4:111:ffff::": false,
		"2001:4:112::": true, "2001:4:112:ffff::": true, "2001:4:113::": false, "2001:10::": false, "2001:1f:ffff::": false,
		"2001:20::": true, "2001:2f:ffff::": true, "2001:30::": true, "2001:3f:ffff::": true, "2001:40::": false,
		"2001:1ff:ffff::": false, "2001:200::": true, "2001:db7:ffff::": true, "2001:db8::": false, "2001:db8:ffff::": false,
		"2001:db9::": true, "2001:ffff:ffff::": true, "2002::": false, "2002:808:808::": false, "2003::": true,
		"2620:4f:8000::": true, "3ffe:ffff::": true, "3fff::": false, "3fff:fff:ffff::": false, "3fff:1000::": true,
		"3fff:ffff::": true, "4000::": false, "5f00::": false, "fc00::": false, "fdff:ffff::": false, "fe00::": false,
		"fe80::1": false, "fec0::1": false, "feff::": false, "ff0e::1": false,
	} {
		if got := globallyReachable(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %t, want %t", ip, got, want)
		}
	}
}

// TestAllowNamedKnowsOwnAddresses as they change, without Config.Shared, and those of the last reading where one fails.
func TestAllowNamedKnowsOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var own []netip.Prefix
		var err error
		p := New(Config{OwnAddrs: func() ([]netip.Prefix, error) { return own, err }})
		r := Compile(mustRules("*:443"), nil)
		expect := func(when string, want Rule) {
			t.Helper()
			time.Sleep(ownMaxAge)
			if got := ruleIn(t, when, p.AllowNamed(r, netip.MustParseAddrPort("8.8.4.4:443"))); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		expect("another's", Allowed)
		own = []netip.Prefix{{}, netip.MustParsePrefix("::ffff:8.8.4.4/120")}
		expect("own", NeedsAddressRule)
		own, err = nil, errors.New("out of file descriptors")
		expect("unreadable", NeedsAddressRule)
		err = nil
		expect("another's again", Allowed)
	})
}
