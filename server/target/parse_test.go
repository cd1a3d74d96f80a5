package target

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	name253 := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	tests := []struct {
		in, canonical string
	}{
		{"192.0.2.1:80", "192.0.2.1:80"},
		{"0.0.0.0:1", "0.0.0.0:1"},
		{"255.255.255.255:65535", "255.255.255.255:65535"},
		{"[::1]:80", "[::1]:80"},
		{"[::]:80", "[::]:80"},
		{"[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"},
		{"[64:ff9b::1.2.3.4]:443", "[64:ff9b::102:304]:443"},
		{"[::ffff:1.2.3.4]:80", "1.2.3.4:80"}, // IPv4-mapped is IPv4
		{"[::FFFF:102:304]:80", "1.2.3.4:80"},
		{"localhost:9", "localhost:9"},
		{"a:1", "a:1"},
		{"WWW.Example.COM:443", "www.example.com:443"},
		{"www.example.com.:443", "www.example.com:443"}, // absolute, as every name here
		{"xn--bcher-kva.example:80", "xn--bcher-kva.example:80"},
		{"_sip._tcp.example:80", "_sip._tcp.example:80"},
		{"my_service:80", "my_service:80"},
		{"_:1", "_:1"},
		{"a--b:1", "a--b:1"},
		{"1.2.3.4.example:80", "1.2.3.4.example:80"},
		{"1a:80", "1a:80"},
		{"a.1b:80", "a.1b:80"},
		{"3com.0y:80", "3com.0y:80"},
		{"0x7f.example:80", "0x7f.example:80"},
		{label63 + ":80", label63 + ":80"},
		{name253 + ":65535", name253 + ":65535"},
		{name253 + ".:65535", name253 + ":65535"},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		if got.String() != tt.canonical {
			t.Errorf("Parse(%q) = %v, want %v", tt.in, got, tt.canonical)
		}
		checkTarget(t, tt.in, got)
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("a.", 149) + "aa" // 300 bytes
	tests := []struct {
		in   string
		code Code
		at   int
	}{
		{"", Empty, 0},

		{"127.0.0.1", PortMissing, 9},
		{"example.com", PortMissing, 11},
		{"example.com:", PortMissing, 12},
		{"[::1]", PortMissing, 5},
		{"[::1]:", PortMissing, 6},
		{"a:0", PortInvalid, 2},
		{"a:70000", PortInvalid, 2},
		{"a:65536", PortInvalid, 2},
		{"a:99999", PortInvalid, 2},
		{"a:4294967376", PortInvalid, 2}, // 80 in 32 bits
		{"a:+1", PortInvalid, 2},
		{"a:-1", PortInvalid, 2},
		{"a:01", PortInvalid, 2},
		{"a:00080", PortInvalid, 2},
		{"a: 80", PortInvalid, 2},
		{"a:80 ", PortInvalid, 2},
		{"a:80\n", PortInvalid, 2},
		{"a:80\x00", PortInvalid, 2},
		{"a:0x50", PortInvalid, 2},
		{"a:8_0", PortInvalid, 2},
		{"a:http", PortInvalid, 2},
		{"a:\uff18\uff10", PortInvalid, 2}, // full-width digits
		{"a:\u0668\u0660", PortInvalid, 2}, // Arabic-Indic digits
		{"[::1]:0", PortInvalid, 6},
		{"[::1]:80:80", PortInvalid, 6},

		{":80", HostMissing, 0},
		{"[]:80", HostMissing, 1},

		{"http://a:80", NotHostPort, 5},
		{"tcp://1.2.3.4:80", NotHostPort, 4},
		{"//a:80", NotHostPort, 0},
		{"a:80/", NotHostPort, 4},
		{"[::1]:80/path", NotHostPort, 8},
		{"[fe80::/10]:80", NotHostPort, 7},
		{"user@a:80", NotHostPort, 4},
		{"user:pw@a:80", NotHostPort, 7},
		{"a/b", NotHostPort, 1},

		{"::1:80", ManyColons, 1},
		{"a:1:2", ManyColons, 3},
		{"a:1:", ManyColons, 3},
		{"2001:db8::1", ManyColons, 8},
		{"1.2.3.4::80", ManyColons, 8},

		{"[1.2.3.4]:80", Brackets, 0},
		{"[localhost]:80", Brackets, 0},
		{"[::1]80", Brackets, 5},
		{"[::1] :80", Brackets, 5},
		{"[::1]]:80", Brackets, 5},
		{"[::1:80", Brackets, 0},
		{"[", Brackets, 0},
		{"[::1%lo]:80", Zone, 4},
		{"[fe80::1%eth0]:80", Zone, 8},
		{"[fe80::1%25eth0]:80", Zone, 8},
		{"[::ffff:1.2.3.4%1]:80", Zone, 15},
		{"[[::1]:80", IPv6Invalid, 1},
		{"[::g]:80", IPv6Invalid, 1},
		{"[:]:80", IPv6Invalid, 1},
		{"[1:2:3:4:5:6:7]:80", IPv6Invalid, 1},
		{"[1::2::3]:80", IPv6Invalid, 1},
		{"[::1.2.3]:80", IPv6Invalid, 1},
		{"[::01.2.3.4]:80", IPv6Invalid, 1},
		{"[ ::1]:80", IPv6Invalid, 1},
		{"[::1\x00]:80", IPv6Invalid, 1},

		{"1.2.3:80", IPv4Invalid, 0},
		{"127.1:80", IPv4Invalid, 0},
		{"2130706433:80", IPv4Invalid, 0},
		{"0x7f.1:80", IPv4Invalid, 0},
		{"0x7f000001:80", IPv4Invalid, 0},
		{"0X7F000001:80", IPv4Invalid, 0},
		{"127.0.0.0x1:80", IPv4Invalid, 0},
		{"a.0x:80", IPv4Invalid, 0},
		{"a.0xyz:80", IPv4Invalid, 0},
		{"127.0x1.:80", IPv4Invalid, 0},
		{"1.2.3.4.:80", IPv4Invalid, 0},
		{"1.2.3.4.5:80", IPv4Invalid, 0},
		{"1.2.3.256:80", IPv4Invalid, 0},
		{"01.2.3.4:80", IPv4Invalid, 0},
		{"1.2.3.04:80", IPv4Invalid, 0},
		{"+1.2.3.4:80", IPv4Invalid, 0},
		{"example.1:80", IPv4Invalid, 0},
		{"0:80", IPv4Invalid, 0},
		{"..1:80", IPv4Invalid, 0},

		{long + ":80", NameTooLong, 253},
		{strings.Repeat("a", 300) + ":80", NameTooLong, 253},
		{strings.Repeat("a.", 126) + "bb:80", NameTooLong, 253},
		{strings.Repeat("a", 64) + ":80", LabelTooLong, 0},
		{"www." + strings.Repeat("a", 64) + ".com:80", LabelTooLong, 4},

		{"a\x00b:80", NameInvalid, 1},
		{"\x00:80", NameInvalid, 0},
		{"a\xffb:80", NameInvalid, 1},
		{"\xc3\x28:80", NameInvalid, 0},
		{" a:80", NameInvalid, 0},
		{"a :80", NameInvalid, 1},
		{"a b:80", NameInvalid, 1},
		{"a\tb:80", NameInvalid, 1},
		{"a\r\nb:80", NameInvalid, 1},
		{"b\u00fccher.example:80", NameInvalid, 1},
		{"example\u3002com:80", NameInvalid, 7}, // a full stop to IDNA
		{"example\uff0ecom:80", NameInvalid, 7}, // and another
		{"\uff11.\uff12.\uff13.\uff14:80", NameInvalid, 0},
		{"\u212a.example:80", NameInvalid, 0}, // the Kelvin sign, which strings.ToLower makes a k
		{"a%00:80", NameInvalid, 1},
		{"fe80%eth0:80", NameInvalid, 4},
		{"a*:80", NameInvalid, 1},
		{"a]:80", NameInvalid, 1},
		{"a,b:80", NameInvalid, 1},

		{"a..b:1", LabelEmpty, 2},
		{".a:1", LabelEmpty, 0},
		{".:1", LabelEmpty, 0},
		{"..:1", LabelEmpty, 0},
		{"a..:1", LabelEmpty, 2},

		{"-a:1", LabelHyphen, 0},
		{"a-:1", LabelHyphen, 0},
		{"-:1", LabelHyphen, 0},
		{"www.-a:1", LabelHyphen, 4},
		{"a-.b:1", LabelHyphen, 0},
		{"--help:1", LabelHyphen, 0},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("Parse(%.40q) = %v, %v; want an *Error", tt.in, got, err)
			continue
		}
		if e.Code != tt.code || e.At != tt.at {
			t.Errorf("Parse(%.40q): %v at %d, want %v at %d", tt.in, e.Code, e.At, tt.code, tt.at)
		}
		if got != (Target{}) {
			t.Errorf("Parse(%.40q) = %v with an error", tt.in, got)
		}
		checkError(t, tt.in, e)
	}
}

// TestErrorSentences holds every code to what Error promises, with the longest offset that a message can have.
func TestErrorSentences(t *testing.T) {
	names := map[string]Code{}
	for code := range Code(len(codes)) {
		if other, taken := names[code.String()]; taken || code.String() == "" {
			t.Errorf("code %d is called %q, as %d is", code, code, other)
		}
		names[code.String()] = code
		checkError(t, "", &Error{Code: code, At: 4 << 20})
	}
	beyond := &Error{Code: 200, At: 1}
	if beyond.Error() == "" || beyond.Code.String() != "code_200" {
		t.Errorf("a code from elsewhere: %q, %q", beyond.Code, beyond)
	}
}

// checkTarget holds a target to what its type promises.
func checkTarget(t *testing.T, in string, got Target) {
	t.Helper()
	if (got.Name == "") != got.Addr.IsValid() {
		t.Errorf("Parse(%q): name %q and address %v", in, got.Name, got.Addr)
	}
	if got.Port == 0 || got.Addr.IsValid() && got.Addr.Port() != got.Port {
		t.Errorf("Parse(%q): port %d and address %v", in, got.Port, got.Addr)
	}
	if ip := got.Addr.Addr(); ip.Is4In6() || ip.Zone() != "" {
		t.Errorf("Parse(%q): address %v is mapped or has a zone", in, ip)
	}
	if _, err := netip.ParseAddr(got.Name); err == nil {
		t.Errorf("Parse(%q): name %q is an address", in, got.Name)
	}
	again, err := Parse(got.String())
	if err != nil || again != got {
		t.Errorf("Parse(%q) = %v, read again: %v, %v", in, got, again, err)
	}
}

// checkError holds an error to what its type promises.
func checkError(t *testing.T, in string, e *Error) {
	t.Helper()
	sentence := e.Error()
	if sentence == "" || len(sentence) > 120 {
		t.Errorf("%v: a sentence of %d bytes: %q", e.Code, len(sentence), sentence)
	}
	for _, r := range sentence {
		if r < ' ' || r > '~' {
			t.Errorf("%v: %q holds %q", e.Code, sentence, r)
		}
	}
	if in != "" && e.At > len(in) || e.At < 0 {
		t.Errorf("Parse(%.40q): offset %d of %d", in, e.At, len(in))
	}
}

// literals are the targets whose cost matters most: a stream may carry millions.
var literals = []string{
	"192.0.2.1:80", "255.255.255.255:65535", "[::1]:80",
	"[2001:db8:1234:5678:9abc:def0:1234:5678]:65535",
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, in := range append(literals, "www.example.com:443", "www.example.com.:443") {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := Parse(in); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Parse(%q): %v allocations", in, n)
		}
	}
}

// BenchmarkParse is the whole of what one target costs before lookup and policy.
func BenchmarkParse(b *testing.B) {
	for _, in := range append(literals, "www.example.com:443", "WWW.example.com:443", "a b:80") {
		b.Run(fmt.Sprintf("target=%q", in), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(in)
			}
		})
	}
}
