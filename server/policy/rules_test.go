package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// ruleIn returns the rule of an error of AllowFor, AllowName or AllowNamed, which it holds to what DeniedError promises.
func ruleIn(t *testing.T, what any, err error) Rule {
	t.Helper()
	if err == nil {
		return Allowed
	}
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok {
		t.Fatalf("%v: error of type %T", what, err)
	}
	if denied.Rule == Allowed || int(denied.Rule) >= len(ruleWords) {
		t.Errorf("%v: denied by %v", what, denied.Rule)
	}
	if n := len(err.Error()); n == 0 || n > 140 {
		t.Errorf("%v: a sentence of %d bytes: %q", what, n, err)
	}
	if denied.Addr.Zone() != "" || denied.Addr.Is4In6() {
		t.Errorf("%v: tells of %v", what, denied.Addr)
	}
	return denied.Rule
}

// TestDeniedSentences holds every rule to the length that DeniedError promises, with the longest addresses.
func TestDeniedSentences(t *testing.T) {
	words := map[string]bool{}
	for rule := range Rule(len(ruleWords)) {
		err := &DeniedError{
			Rule: rule, Addr: netip.MustParseAddr("2001:1000:1000:1000:1000:1000:1000:1000"), Inside: netip.MustParseAddr("100.100.100.100"),
		}
		if n := len(err.Error()); n > 140 {
			t.Errorf("%d bytes: %q", n, err)
		}
		if words[rule.String()] || rule.String() == "" {
			t.Errorf("rule %d is called %q", rule, rule)
		}
		words[rule.String()] = true
	}
	if got := (&DeniedError{Rule: NameNotAllowed}).Error(); got != "not probed: a name that no rule allows with this port" {
		t.Errorf("of a name: %q", got)
	}
}

// question is one question to the rules, and the answer.
type question struct {
	ask  string // an address with port
	want Rule
}

// TestAllowFor is about the rules alone: on a host with no addresses, for addresses that are not on the never-list.
func TestAllowFor(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: host()})
	tests := []struct {
		allow, deny string // rules with spaces between
		questions   []question
	}{
		{"", "", []question{{"8.8.8.8:53", NotAllowed}, {"[2001:db8::1]:80", NotAllowed}, {"169.254.169.254:80", LinkLocal}}},
		{"0.0.0.0/0:*", "", []question{{"8.8.8.8:1", Allowed}, {"8.8.8.8:65535", Allowed}, {"[2001:db8::1]:80", NotAllowed}}},
		{"::/0:*", "", []question{{"8.8.8.8:1", NotAllowed}, {"[::ffff:8.8.8.8]:1", NotAllowed}, {"[2001:db8::1]:80", Allowed}}},
		{"*:*", "", []question{{"8.8.8.8:1", NotAllowed}, {"[2001:db8::1]:80", NotAllowed}}}, // names

		// The union of the ports of all covering prefixes, whatever their order.
		{"10.1.0.0/16:443 10.0.0.0/8:80 10.1.2.0/24:22-25,30", "", []question{
			{"10.1.2.3:80", Allowed},
			{"10.1.2.3:443", Allowed},
			{"10.1.2.3:22", Allowed},
			{"10.1.2.3:25", Allowed},
			{"10.1.2.3:26", NotAllowed},
			{"10.1.2.3:30", Allowed},
			{"10.1.3.3:80", Allowed},
			{"10.1.3.3:443", Allowed},
			{"10.1.3.3:22", NotAllowed},
			{"10.2.2.3:80", Allowed},
			{"10.2.2.3:443", NotAllowed},
			{"11.1.2.3:80", NotAllowed},
			{"10.1.2.3:0", NotAllowed},
		}},
		{"10.0.0.0/8:* 10.1.0.0/16:443", "", []question{{"10.1.2.3:80", Allowed}}},
		{"10.0.0.0/8:80 10.0.0.0/8:443 10.0.0.0/8:80", "", []question{
			{"10.1.2.3:80", Allowed},
			{"10.1.2.3:443", Allowed},
			{"10.1.2.3:81", NotAllowed},
		}},
		{"10.1.2.3:22 10.1.2.4:23", "", []question{
			{"10.1.2.3:22", Allowed},
			{"10.1.2.3:23", NotAllowed},
			{"10.1.2.4:22", NotAllowed},
			{"10.1.2.5:22", NotAllowed},
			{"[::ffff:10.1.2.3]:22", Allowed},
		}},
		// A prefix that ends before its sibling begins covers it not.
		{"10.0.0.0/16:80 10.0.1.0/24:81 10.1.0.0/16:82", "", []question{
			{"10.1.0.1:80", NotAllowed},
			{"10.1.0.1:81", NotAllowed},
			{"10.1.0.1:82", Allowed},
			{"10.0.1.1:80", Allowed},
			{"10.0.1.1:81", Allowed},
			{"10.0.2.1:81", NotAllowed},
		}},

		// Deny wins, the wider and the narrower one, and an equal one.
		{"10.0.0.0/8:*", "10.9.0.0/16:*", []question{
			{"10.8.255.255:1", Allowed},
			{"10.9.0.0:1", DeniedByRule},
			{"10.9.255.255:1", DeniedByRule},
			{"10.10.0.0:1", Allowed},
		}},
		{"10.9.1.0/24:*", "10.9.0.0/16:22 10.0.0.0/8:25", []question{
			{"10.9.1.1:22", DeniedByRule},
			{"10.9.1.1:25", DeniedByRule},
			{"10.9.1.1:80", Allowed},
			{"10.9.2.1:80", NotAllowed},
			{"10.9.2.1:22", DeniedByRule},
		}},
		{"10.1.2.3:22", "10.1.2.3:22", []question{{"10.1.2.3:22", DeniedByRule}}},
		{"10.0.0.0/8:*", "*:*", []question{{"10.1.2.3:22", Allowed}}}, // denies names
		{"2001:db8::/32:443,8443", "[2001:db8::1]:443", []question{
			{"[2001:db8::1]:443", DeniedByRule},
			{"[2001:db8::1]:8443", Allowed},
			{"[2001:db8::2]:443", Allowed},
			{"[2001:db8::2%eth0]:443", Allowed},
			{"[2001:db9::2]:443", NotAllowed},
			{"[2001:db8::2]:444", NotAllowed},
		}},
	}
	for _, tt := range tests {
		r := Compile(mustRules(strings.Fields(tt.allow)...), mustRules(strings.Fields(tt.deny)...))
		for _, q := range tt.questions {
			if got := ruleIn(t, q.ask, p.AllowFor(r, netip.MustParseAddrPort(q.ask))); got != q.want {
				t.Errorf("allow %q, deny %q, %s: %v, want %v", tt.allow, tt.deny, q.ask, got, q.want)
			}
		}
		if got := ruleIn(t, "zero", p.AllowFor(r, netip.AddrPort{})); got != NoAddress {
			t.Errorf("the zero AddrPort: %v, want %v", got, NoAddress)
		}
	}
}

// TestNilRulesAreAllow: without callers the never-list is all there is.
func TestNilRulesAreAllow(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: host("192.0.2.5/24")})
	for _, ip := range append([]string{
		"169.254.169.254", "127.0.0.1", "192.0.2.5", "192.0.2.255", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "10.0.0.1", "::1",
	}, allowed...) {
		addr := addrPort(ip)
		want := ruleOf(t, p, addr)
		if got := ruleIn(t, ip, p.AllowFor(nil, addr)); got != want {
			t.Errorf("AllowFor(nil, %s): %v, want %v", ip, got, want)
		}
		if got := ruleIn(t, ip, p.AllowNamed(nil, addr)); got != want {
			t.Errorf("AllowNamed(nil, %s): %v, want %v", ip, got, want)
		}
	}
	var none *Rules
	if err := none.AllowName("web.example", 80); err != nil {
		t.Error(err)
	}
}

// TestZeroRulesDeny: a caller without rules may do nothing.
func TestZeroRulesDeny(t *testing.T) {
	p := New(Config{OwnAddrs: host()})
	for _, r := range []*Rules{new(Rules), Compile(nil, nil), Compile(nil, mustRules("10.0.0.0/8:*", "a.example:*"))} {
		if got := ruleIn(t, "zero", p.AllowFor(r, addrPort("8.8.8.8"))); got != NotAllowed {
			t.Errorf("an address: %v, want %v", got, NotAllowed)
		}
		if got := ruleIn(t, "zero", r.AllowName("web.example", 80)); got != NameNotAllowed {
			t.Errorf("a name: %v, want %v", got, NameNotAllowed)
		}
		if got := ruleIn(t, "zero", p.AllowNamed(r, addrPort("10.0.0.1"))); got == Allowed {
			t.Errorf("a private address of a name is allowed")
		}
	}
}

// TestRulesThatMatchNothing are those that ParseRule does not make.
func TestRulesThatMatchNothing(t *testing.T) {
	every := []PortRange{allPorts}
	r := Compile([]AccessRule{
		{},
		{Ports: every},
		{Name: "web.example"},
		{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Ports: []PortRange{{443, 80}, {0, 0}}},
		{Name: "web.example", Ports: []PortRange{{443, 80}, {0, 0}}},
		{Name: "*.", Ports: every},
		{Name: "..", Ports: every},
		{Name: "*." + strings.Repeat(".", 252), Ports: every},
		{Name: strings.Repeat("a.", 200) + "a", Ports: every},
		{Name: "8.8.8.8", Ports: every}, // a Prefix says that
		{Name: "w*.example", Ports: every},
	}, nil)
	p := New(Config{OwnAddrs: host()})
	for _, port := range []uint16{0, 80, 443} {
		for _, ip := range []string{"10.0.0.1", "8.8.8.8"} {
			if got := ruleIn(t, ip, p.AllowFor(r, netip.AddrPortFrom(netip.MustParseAddr(ip), port))); got != NotAllowed {
				t.Errorf("%s, port %d: %v", ip, port, got)
			}
		}
		for _, name := range []string{
			"", "web.example", ".", "..", strings.Repeat(".", 253), strings.Repeat("a.", 200) + "a", "8.8.8.8", "ww.example",
		} {
			if got := ruleIn(t, name, r.AllowName(name, port)); got != NameNotAllowed {
				t.Errorf("%q, port %d: %v", name, port, got)
			}
		}
	}
	// Ports of a hand-made rule may be in any order, and reach down to 0.
	r = Compile([]AccessRule{{Prefix: netip.MustParsePrefix("::ffff:10.1.2.3/104"), Ports: []PortRange{{443, 443}, {0, 80}}}}, nil)
	for port, want := range map[uint16]Rule{0: NotAllowed, 1: Allowed, 80: Allowed, 81: NotAllowed, 443: Allowed} {
		if got := ruleIn(t, port, p.AllowFor(r, netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), port))); got != want {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
}

// TestNeverListIsNamed holds invariant 6: what opens an entry of the never-list, and what is too wide for it.
func TestNeverListIsNamed(t *testing.T) {
	shared := New(Config{Shared: true, OwnAddrs: host(
		"192.0.2.5/24", "10.1.2.3/8", "169.254.7.7/16", "2001:db8::5/64", "127.0.0.1/8", "::1/128")})
	alone := New(Config{OwnAddrs: host("192.0.2.5/24", "127.0.0.1/8")})
	everything := []string{"0.0.0.0/0:*", "::/0:*", "*:*"}
	tests := []struct {
		p    *Policy
		rule string // besides everything
		ask  string
		want Rule
	}{
		{shared, "8.0.0.0/8:*", "169.254.169.254:80", LinkLocal},
		{shared, "169.0.0.0/8:*", "169.254.169.254:80", LinkLocal},
		{shared, "169.254.0.0/15:*", "169.254.169.254:80", LinkLocal},
		{shared, "169.254.0.0/16:80", "169.254.169.254:80", Allowed},
		{shared, "169.254.0.0/16:80", "169.254.169.254:81", LinkLocal}, // names it for this port
		{shared, "169.254.128.0/17:80", "169.254.169.254:80", Allowed},
		{shared, "169.254.0.0/17:80", "169.254.169.254:80", LinkLocal},
		{shared, "169.254.169.254:80", "169.254.169.254:80", Allowed},
		{shared, "169.254.169.254:80", "169.254.169.253:80", LinkLocal},
		{shared, "fe80::/10:80", "[fe80::1%eth0]:80", Allowed},
		{shared, "fe80::/9:80", "[fe80::1]:80", LinkLocal},
		{shared, "127.0.0.0/8:*", "127.0.0.2:80", Allowed},
		{shared, "127.0.0.0/8:*", "127.0.0.1:80", Allowed}, // an interface's too, and named as what it is
		{shared, "126.0.0.0/7:*", "127.0.0.1:80", Loopback},
		{shared, "[::1]:80", "[::1]:80", Allowed},
		{shared, "::/127:80", "[::1]:80", Loopback},
		{shared, "224.0.0.0/4:*", "224.0.0.1:80", Allowed},
		{shared, "224.0.0.0/3:*", "224.0.0.1:80", Multicast},
		{shared, "224.0.0.0/3:*", "255.255.255.255:80", Broadcast},
		{shared, "255.255.255.255:80", "255.255.255.255:80", Allowed},
		{shared, "0.0.0.0/8:*", "0.0.0.0:80", Allowed},
		{shared, "168.63.129.16:80", "168.63.129.16:80", Allowed},
		{shared, "168.63.129.16/31:80", "168.63.129.16:80", Metadata},
		{shared, "[fd00:ec2::254]:80", "[fd00:ec2::254]:80", Allowed},
		{shared, "fd00:ec2::/32:80", "[fd00:ec2::254]:80", Metadata},

		// This host's own, and the broadcasts of its networks: an address alone names them.
		{shared, "10.0.0.0/8:*", "10.1.2.3:80", OwnAddress},
		{shared, "10.1.2.2/31:*", "10.1.2.3:80", OwnAddress},
		{shared, "10.1.2.3:80", "10.1.2.3:80", Allowed},
		{shared, "10.1.2.3:80", "10.1.2.3:81", OwnAddress},
		{shared, "10.1.2.3/32:80", "10.1.2.3:80", Allowed},
		{shared, "10.0.0.0/8:*", "10.255.255.255:80", Broadcast},
		{shared, "10.255.255.255:80", "10.255.255.255:80", Allowed},
		{shared, "192.0.2.255:80", "192.0.2.5:80", OwnAddress},
		{shared, "2001:db8::/32:*", "[2001:db8::5]:80", OwnAddress},
		{shared, "[2001:db8::5]:80", "[2001:db8::5]:80", Allowed},
		{shared, "10.0.0.0/8:*", "10.1.2.4:80", Allowed},
		{shared, "169.254.0.0/16:*", "169.254.7.7:80", OwnAddress}, // two entries, of which one is named
		{shared, "169.254.7.7:80", "169.254.7.7:80", Allowed},

		// Where the service is not shared, loopback and own addresses are as any other.
		{alone, "8.0.0.0/8:*", "127.0.0.1:80", Allowed},
		{alone, "8.0.0.0/8:*", "192.0.2.5:80", Allowed},
		{alone, "192.0.2.0/24:*", "192.0.2.255:80", Broadcast},
		{alone, "192.0.2.255:*", "192.0.2.255:80", Allowed},
		{alone, "127.0.0.0/8:*", "127.255.255.255:80", Broadcast},
		{alone, "127.255.255.255:*", "127.255.255.255:80", Allowed},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddrPort(tt.ask)
		r := Compile(mustRules(append(everything, tt.rule)...), nil)
		if got := ruleIn(t, tt.ask, tt.p.AllowFor(r, addr)); got != tt.want {
			t.Errorf("AllowFor: %s, %s: %v, want %v", tt.rule, tt.ask, got, tt.want)
		}
		if got := ruleIn(t, tt.ask, tt.p.AllowNamed(r, addr)); got != tt.want {
			t.Errorf("AllowNamed: %s, %s: %v, want %v", tt.rule, tt.ask, got, tt.want)
		}
		// What is named is denied all the same by a deny rule, and naming it by a deny rule opens nothing.
		r = Compile(mustRules(append(everything, tt.rule)...), mustRules("0.0.0.0/0:*", "::/0:*"))
		if got := ruleIn(t, tt.ask, tt.p.AllowFor(r, addr)); got == Allowed || tt.want == Allowed && got != DeniedByRule {
			t.Errorf("denied: %s, %s: %v", tt.rule, tt.ask, got)
		}
	}
}

// TestExceptNeedsAnAllowRule: Config.Except takes an address off the never-list, for everyone; it is no allow rule.
func TestExceptNeedsAnAllowRule(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: host("10.1.2.3/8"), Except: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	addr := netip.MustParseAddrPort("10.1.2.3:80")
	for rules, want := range map[string]Rule{"": NotAllowed, "10.0.0.0/8:80": Allowed} {
		if got := ruleIn(t, addr, p.AllowFor(Compile(mustRules(strings.Fields(rules)...), nil), addr)); got != want {
			t.Errorf("%q: %v, want %v", rules, got, want)
		}
	}
	if got := ruleIn(t, addr, p.AllowNamed(Compile(nil, nil), addr)); got != NeedsAddressRule {
		t.Errorf("of a name: %v, want %v", got, NeedsAddressRule)
	}
}

// carriers returns the IPv6 addresses that carry ip, in every form that embedded.go knows but IPv4-mapped, which is ip itself.
func carriers(ip string) []string {
	b := netip.MustParseAddr(ip).As4()
	return []string{
		"::" + ip,
		"64:ff9b::" + ip,
		fmt.Sprintf("64:ff9b:1:%02x%02x:%02x:%02x00::", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("64:ff9b:1:%02x:%02x:%02x%02x::", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("64:ff9b:1:0:%02x:%02x%02x:%02x00:0", b[0], b[1], b[2], b[3]),
		"64:ff9b:1::" + ip,
		fmt.Sprintf("2002:%02x%02x:%02x%02x::1", b[0], b[1], b[2], b[3]),
		fmt.Sprintf("2001:0:%02x%02x:%02x%02x::f7f7:f7f7", b[0], b[1], b[2], b[3]), // the server; the client is 8.8.8.8
		fmt.Sprintf("2001:0:808:808::%02x%02x:%02x%02x", ^b[0], ^b[1], ^b[2], ^b[3]),
	}
}

// TestEmbeddedIsJudgedFully: every form of IPv4 inside IPv6, for an IPv4 that a rule denies, that no rule allows, that is on the
// never-list, and that an operator names there.
func TestEmbeddedIsJudgedFully(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: host("192.0.2.5/24")})
	// All but 11.0.0.0/8, so that only the IPv4 inside is in question, and no other reading of the address.
	r := Compile(mustRules("::/0:*", "0.0.0.0/5:80", "8.0.0.0/7:80", "10.0.0.0/8:80", "12.0.0.0/6:80", "16.0.0.0/4:80",
		"32.0.0.0/3:80", "64.0.0.0/2:80", "128.0.0.0/1:80"), mustRules("10.9.0.0/16:*"))
	for ip, want := range map[string]Rule{
		"10.9.9.9":        DeniedByRule,
		"11.9.9.9":        NotAllowed,
		"10.10.10.10":     Allowed,
		"169.254.169.254": LinkLocal,
		"127.0.0.1":       Loopback,
		"192.0.2.5":       OwnAddress,
		"192.0.2.255":     Broadcast,
		"168.63.129.16":   Metadata,
	} {
		for _, carrier := range append(carriers(ip), "::ffff:"+ip) {
			addr := addrPort(carrier)
			err := p.AllowFor(r, addr)
			if got := ruleIn(t, carrier, err); got != want {
				t.Errorf("%s: %v, want %v", carrier, got, want)
			}
			// Of 64:ff9b:1::/48 another reading may be denied for the same reason before it.
			denied, ok := errors.AsType[*DeniedError](err)
			if ok && denied.Addr.Is6() && denied.Inside != netip.MustParseAddr(ip) && !nat64Local.Contains(denied.Addr) {
				t.Errorf("%s: %v, want it told of %s", carrier, err, ip)
			}
			if err := p.AllowFor(r, netip.AddrPortFrom(addr.Addr(), 81)); err == nil {
				t.Errorf("%s: port 81 is allowed", carrier)
			}
			if got := ruleIn(t, carrier, p.AllowNamed(r, addr)); want != NotAllowed && got != want {
				t.Errorf("AllowNamed(%s): %v, want %v", carrier, got, want)
			}
		}
	}

	// An IPv4 that rules allow does not bring the IPv6 with it.
	r = Compile(mustRules("0.0.0.0/0:*", "2001:db8::/32:*"), nil)
	for _, carrier := range carriers("8.8.8.8") {
		if got := ruleIn(t, carrier, p.AllowFor(r, addrPort(carrier))); got != NotAllowed {
			t.Errorf("%s: %v, want %v", carrier, got, NotAllowed)
		}
	}

	// What is named is named inside as well.
	r = Compile(mustRules("::/0:*", "0.0.0.0/0:*", "169.254.0.0/16:80", "127.0.0.1:80"), nil)
	for _, carrier := range append(carriers("127.0.0.1"), carriers("169.254.169.254")...) {
		if got := ruleIn(t, carrier, p.AllowFor(r, addrPort(carrier))); got != Allowed {
			t.Errorf("%s: %v, want %v", carrier, got, Allowed)
		}
	}
}
