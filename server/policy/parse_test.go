package policy

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func mustRule(s string) AccessRule {
	rule, err := ParseRule(s)
	if err != nil {
		panic(s + ": " + err.Error())
	}
	return rule
}

func mustRules(texts ...string) []AccessRule {
	var rules []AccessRule
	for _, s := range texts {
		rules = append(rules, mustRule(s))
	}
	return rules
}

func TestParseRule(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	tests := []struct{ in, canonical string }{
		{"10.0.0.0/8:*", "10.0.0.0/8:*"},
		{"0.0.0.0/0:1-65535", "0.0.0.0/0:*"},
		{"10.1.2.3:22", "10.1.2.3:22"},
		{"10.1.2.3/32:22", "10.1.2.3:22"},
		{"2001:db8::/32:443,8443", "2001:db8::/32:443,8443"},
		{"[2001:db8::/32]:443", "2001:db8::/32:443"},
		{"::/0:*", "::/0:*"},
		{"[::]:1", "[::]:1"},
		{"[2001:DB8::1]:443", "[2001:db8::1]:443"},
		{"2001:db8::1/128:443", "[2001:db8::1]:443"},
		{"[2001:db8::1/128]:443", "[2001:db8::1]:443"},

		// IPv4-mapped is IPv4.
		{"[::ffff:10.1.2.3]:22", "10.1.2.3:22"},
		{"::ffff:10.0.0.0/104:22", "10.0.0.0/8:22"},
		{"[::ffff:a00:0/104]:22", "10.0.0.0/8:22"},
		{"::ffff:0:0/96:22", "0.0.0.0/0:22"},
		{"::ffc0:0:0/90:22", "::ffc0:0:0/90:22"}, // holds them all, but as IPv6

		{"web.example:443", "web.example:443"},
		{"WEB.Example.:443", "web.example:443"},
		{"*.corp.example:1-1023", "*.corp.example:1-1023"},
		{"*.Corp.example.:1-1023", "*.corp.example:1-1023"},
		{"*.example:*", "*.example:*"},
		{"*:443", "*:443"},
		{"_sip._tcp.example:5060", "_sip._tcp.example:5060"},
		{"1.2.3.4.example:80", "1.2.3.4.example:80"},
		{name253 + ".:65535", name253 + ":65535"},
		{"*." + name253 + ":65535", "*." + name253 + ":65535"},

		{"a:1,2", "a:1-2"},
		{"a:2,1", "a:1-2"},
		{"a:1,3", "a:1,3"},
		{"a:8443,443,443", "a:443,8443"},
		{"a:5-9,1-3,4", "a:1-9"},
		{"a:1-9,2-3", "a:1-9"},
		{"a:7-7", "a:7"},
		{"a:1-65534", "a:1-65534"},
		{"a:1-65534,65535", "a:*"},
		{"a:65535,65534,1", "a:1,65534-65535"},
		{"a:" + strings.Repeat("80,", 340) + "443", "a:80,443"},
	}
	for _, tt := range tests {
		rule, err := ParseRule(tt.in)
		if err != nil {
			t.Errorf("ParseRule(%q): %v", tt.in, err)
			continue
		}
		if rule.String() != tt.canonical {
			t.Errorf("ParseRule(%q) = %v, want %s", tt.in, rule, tt.canonical)
		}
		if again, err := ParseRule(rule.String()); err != nil || !reflect.DeepEqual(again, rule) {
			t.Errorf("ParseRule(%q) = %v, read again: %v, %v", tt.in, rule, again, err)
		}
	}
}

func TestParseRuleRefuses(t *testing.T) {
	long := strings.Repeat("a.", 149) + "aa"
	const (
		portsMissing  = "the ports are missing: " + ruleForm
		hostMissing   = "the host is missing: " + ruleForm
		nameForm      = "a name has ASCII letters, digits, '-', '_' and '.' only"
		zone          = "an IPv6 address with a zone is not allowed here"
		needsBrackets = "an IPv6 address without /bits must stand in brackets"
		badIPv4       = "a host that ends in a number must be an IPv4 address: four of 0 to 255, no leading zeros"
		bits32        = "the length of a prefix is 0 to 32 here, in decimal digits"
		bits128       = "the length of a prefix is 0 to 128 here, in decimal digits"
		hostBits      = "the prefix has bits set behind its length: its network is "
	)
	tests := []struct {
		in       string
		at       int
		sentence string
	}{
		{"", 0, "empty: " + ruleForm},
		{strings.Repeat("a", 1281), 1280, "a rule has at most 1280 bytes"},
		{"a:" + strings.Repeat("80,", 341) + "443", 2 + 1023, "the ports have at most 1023 bytes"},

		{"10.0.0.0/8", 10, portsMissing},
		{"10.0.0.0/8:", 11, portsMissing},
		{"2001:db8::/32", 13, portsMissing},
		{"[2001:db8::/32]", 15, portsMissing},
		{"[2001:db8::/32]:", 16, portsMissing},
		{"web.example", 11, portsMissing},
		{":80", 0, hostMissing},
		{"[]:80", 1, hostMissing},

		{"a:0", 2, portsForm},
		{"a:65536", 2, portsForm},
		{"a:080", 2, portsForm},
		{"a:+80", 2, portsForm},
		{"a:http", 2, portsForm},
		{"a: 80", 2, portsForm},
		{"a:80,", 5, portsForm},
		{"a:80,,81", 5, portsForm},
		{"a:80, 81", 5, portsForm},
		{"a:*,81", 2, portsForm},
		{"a:81,*", 5, portsForm},
		{"a:1-", 4, portsForm},
		{"a:-1", 2, portsForm},
		{"a:1-2-3", 4, portsForm},
		{"a:1-99999", 4, portsForm},
		{"a:1-*", 4, portsForm},
		{"a:22,443-80", 5, "the range of ports runs backwards"},
		{"10.0.0.0:80/8", 9, portsForm},
		{"http://a", 5, portsForm},

		{"2001:db8::1:443", 0, needsBrackets},
		{"::1", 0, needsBrackets},
		{"a:1:2", 0, needsBrackets},
		{"[2001:db8::1:443", 0, bracketsForm},
		{"[2001:db8::]/32:443", 12, bracketsForm},
		{"[::1]443", 5, bracketsForm},
		{"[10.1.2.3]:22", 1, bracketsForm},
		{"[10.0.0.0/8]:22", 1, bracketsForm},
		{"[web.example]:22", 1, bracketsForm},
		{"[::g]:22", 1, "not an IPv6 address between the brackets"},
		{"[fe80::1%eth0]:22", 8, zone},
		{"fe80::%eth0/10:22", 6, zone},
		{"[fe80::%1/10]:22", 7, zone},

		{"10.0.0.0/33:22", 9, bits32},
		{"10.0.0.0/:22", 9, bits32},
		{"10.0.0.0/08:22", 9, bits32},
		{"10.0.0.0/+8:22", 9, bits32},
		{"10.0.0.0/8/8:22", 9, bits32},
		{"10.0.0.0/255.0.0.0:22", 9, bits32},
		{"2001:db8::/129:22", 11, bits128},
		{"[::/129]:22", 4, bits128},
		{"10.1/16:22", 0, noAddressForm},
		{"a/b:22", 0, noAddressForm},
		{"http://a:80", 0, noAddressForm},
		{"[g::/16]:22", 1, noAddressForm},
		{"10.1.2.3/8:22", 0, hostBits + "10.0.0.0/8"},
		{"2001:db8::1/32:22", 0, hostBits + "2001:db8::/32"},
		{"[2001:db8::1/32]:22", 1, hostBits + "2001:db8::/32"},
		{"::ffff:10.1.2.3/104:22", 0, hostBits + "10.0.0.0/8"},

		{"1.2.3:80", 0, badIPv4},
		{"0x7f.1:80", 0, badIPv4},
		{"01.2.3.4:80", 0, badIPv4},
		{"*.1.2.3:80", 2, badIPv4},
		{"*.1.2.3.4:80", 0, wildcardForm},
		{"*.:80", 0, wildcardForm},
		{"**.example:80", 0, wildcardForm},
		{"*a.example:80", 0, wildcardForm},
		{"www.*.example:80", 4, wildcardForm},
		{"*.*.example:80", 2, wildcardForm},
		{"*.*:80", 2, wildcardForm},
		{"*..example:80", 2, "the name has an empty label: a dot at its start, or two in a row"},
		{"a..b:80", 2, "the name has an empty label: a dot at its start, or two in a row"},
		{".:80", 0, "the name has an empty label: a dot at its start, or two in a row"},
		{"-a:80", 0, "the name has a label that begins or ends with '-'"},
		{strings.Repeat("a", 64) + ":80", 0, "the name has a label longer than 63 bytes"},
		{long + ":80", 253, "the name is longer than 253 bytes"},
		{"*." + long + ":80", 255, "the name is longer than 253 bytes"},
		{"user@a:80", 4, nameForm},
		{"b\u00fccher.example:80", 1, nameForm},
		{"a\x00:80", 1, nameForm},
		{" a:80", 0, nameForm},
		{"10.1.2.3%eth0:80", 8, nameForm},
		{"a]:80", 1, nameForm},
	}
	for _, tt := range tests {
		rule, err := ParseRule(tt.in)
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("ParseRule(%.40q) = %v, %v; want a *SyntaxError", tt.in, rule, err)
			continue
		}
		if e.Sentence != tt.sentence || e.At != tt.at {
			t.Errorf("ParseRule(%.40q): %q at %d, want %q at %d", tt.in, e.Sentence, e.At, tt.sentence, tt.at)
		}
		checkSyntaxError(t, tt.in, rule, e)
	}
}

// checkSyntaxError holds an error to what its type promises.
func checkSyntaxError(t *testing.T, in string, rule AccessRule, e *SyntaxError) {
	t.Helper()
	if !reflect.DeepEqual(rule, AccessRule{}) {
		t.Errorf("ParseRule(%.40q) = %v with an error", in, rule)
	}
	if e.At < 0 || e.At > len(in) {
		t.Errorf("ParseRule(%.40q): offset %d of %d", in, e.At, len(in))
	}
	if n := len(e.Sentence); n == 0 || n > 140 {
		t.Errorf("ParseRule(%.40q): a sentence of %d bytes: %q", in, n, e.Sentence)
	}
	for _, r := range e.Error() {
		if r < ' ' || r > '~' {
			t.Errorf("ParseRule(%.40q): %q holds %q", in, e, r)
		}
	}
}

// TestAccessRuleString is about rules that ParseRule does not make.
func TestAccessRuleString(t *testing.T) {
	tests := []struct {
		rule AccessRule
		want string
	}{
		{AccessRule{}, ""},
		{AccessRule{Prefix: netip.MustParsePrefix("10.1.2.3/8"), Name: "a", Ports: []PortRange{{1, 65535}}}, "10.0.0.0/8:*"},
		{AccessRule{Prefix: netip.MustParsePrefix("::ffff:10.1.2.3/128"), Ports: []PortRange{{9, 9}, {1, 2}}}, "10.1.2.3:9,1-2"},
	}
	for _, tt := range tests {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// FuzzParseRule: a rule or an error, a rule's text is read as the same rule, and ParseRule finds no rule's text too long.
func FuzzParseRule(f *testing.F) {
	for _, s := range []string{
		"10.0.0.0/8:*", "2001:db8::/32:443,8443", "[2001:db8::/32]:443", "10.1.2.3:22", "[2001:db8::1]:443", "*:443",
		"*.corp.example:1-1023", "WEB.example.:1,2,3-9,8", "[::ffff:10.1.2.3]:22", "::ffff:10.0.0.0/104:1", "10.1.2.3/8:1",
		"1:0:3:4:5:6:7::/112:1", "*.:1", "[fe80::1%eth0]:1", "a:65535,1-65534", "::/0:*", "user@a:1", "*.1.2.3.4:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rule, err := ParseRule(s)
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("ParseRule(%q): error of type %T", s, err)
			}
			checkSyntaxError(t, s, rule, e)
			return
		}
		if rule.Prefix.IsValid() == (rule.Name != "") || len(rule.Ports) == 0 {
			t.Errorf("ParseRule(%q) = %#v", s, rule)
		}
		if rule.Prefix.IsValid() && (rule.Prefix != rule.Prefix.Masked() || rule.Prefix.Addr().Is4In6()) {
			t.Errorf("ParseRule(%q): prefix %v", s, rule.Prefix)
		}
		for i, r := range rule.Ports {
			if r.First == 0 || r.First > r.Last || i > 0 && int(rule.Ports[i-1].Last)+1 >= int(r.First) {
				t.Errorf("ParseRule(%q): ports %v", s, rule.Ports)
			}
		}
		again, err := ParseRule(rule.String())
		if err != nil || !reflect.DeepEqual(again, rule) {
			t.Errorf("ParseRule(%q) = %v, read again: %v, %v", s, rule, again, err)
		}
	})
}
