package policy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
)

// questions is how many different targets a benchmark asks about in turn, so that it does not measure one warm path.
const questions = 4096

// manyRules returns n allow rules, a quarter of each kind: prefixes of either family, names, wildcards. In each kind one in four
// lies within another of a wider prefix or a shorter suffix. It also returns n/10 deny rules, of addresses and names elsewhere.
func manyRules(n int) (allow, deny []AccessRule) {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	ports := [][]PortRange{{allPorts}, {{443, 443}}, {{80, 80}, {443, 443}, {8000, 8999}}, {{1, 1023}}, {{22, 22}, {443, 443}}}
	for i := range n {
		rule := AccessRule{Ports: append([]PortRange{{443, 443}}, ports[random.IntN(len(ports))]...)}
		wide := i/4%4 == 0
		switch i % 4 {
		case 0:
			ip, bits := bench4(random), 24+random.IntN(9)
			if wide {
				bits = 16
			}
			rule.Prefix = netip.PrefixFrom(ip, bits)
		case 1:
			ip, bits := bench6(random), 48+random.IntN(81)
			if wide {
				bits = 40
			}
			rule.Prefix = netip.PrefixFrom(ip, bits)
		case 2:
			rule.Name = fmt.Sprintf("host-%d.zone-%d.corp.example", i, i%1000)
		case 3:
			rule.Name = fmt.Sprintf("*.team-%d.zone-%d.corp.example", i, i%1000)
			if wide {
				rule.Name = fmt.Sprintf("*.zone-%d.corp.example", i%1000)
			}
		}
		allow = append(allow, rule)
	}
	for i := range max(n/10, 1) {
		b := binary.BigEndian.AppendUint32([]byte{}, 0xc6330000|random.Uint32()&0xffff) // 198.51.0.0/16
		ip, _ := netip.AddrFromSlice(b)
		deny = append(deny, AccessRule{Prefix: netip.PrefixFrom(ip, 28), Ports: []PortRange{allPorts}},
			AccessRule{Name: fmt.Sprintf("*.deny-%d.corp.example", i), Ports: []PortRange{allPorts}})
	}
	// What the questions about embedded and denied addresses need whatever n is.
	allow = append(allow, mustRules("64:ff9b::/96:*", "64:ff9b:1::/48:*", "198.0.0.0/8:*", "8.0.0.0/8:443")...)
	deny = append(deny, mustRules("198.51.0.0/16:*", "*.denied.example:*")...)
	return allow, deny
}

// bench4 and bench6 return an address of the networks that the rules of manyRules lie in.
func bench4(random *rand.Rand) netip.Addr {
	b := binary.BigEndian.AppendUint32(nil, random.Uint32()&0x00ffffff|10<<24)
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func bench6(random *rand.Rand) netip.Addr {
	b := binary.BigEndian.AppendUint64(nil, 0x20010db800000000|random.Uint64()&0xffffff00)
	b = binary.BigEndian.AppendUint64(b, random.Uint64())
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

// deepName has as many labels as there can be.
var deepName = strings.Repeat("a.", maxLabels-1) + "b"

// policyCase asks one of the three methods about the i-th of its questions.
type policyCase struct {
	name  string
	allow bool
	ask   func(i int) error
}

// policyCases are questions of each kind of cost to Rules of n rules.
func policyCases(n int) []policyCase {
	p := New(Config{Shared: true, OwnAddrs: host("192.0.2.5/24", "10.1.2.3/32", "2001:db8::5/64", "127.0.0.1/8")})
	allow, deny := manyRules(n)
	r := Compile(allow, deny)
	random := rand.New(rand.NewPCG(2, 2))

	var v4, v6, v4Denied []netip.AddrPort
	var exact, wildcard []string
	for len(v4) < questions {
		if rule := allow[random.IntN(n)]; rule.Prefix.IsValid() && rule.Prefix.Addr().Is4() {
			v4 = append(v4, netip.AddrPortFrom(rule.Prefix.Addr(), 443))
		}
	}
	for len(v6) < questions {
		if rule := allow[random.IntN(n)]; rule.Prefix.IsValid() && rule.Prefix.Addr().Is6() {
			v6 = append(v6, netip.AddrPortFrom(rule.Prefix.Addr(), 443))
		}
	}
	for len(exact) < questions {
		if rule := allow[random.IntN(n)]; rule.Name != "" && rule.Name[0] != '*' {
			exact = append(exact, rule.Name)
		}
	}
	for len(wildcard) < questions {
		if rule := allow[random.IntN(n)]; rule.Name != "" && rule.Name[0] == '*' {
			wildcard = append(wildcard, fmt.Sprintf("host-%d.%s", len(wildcard), rule.Name[2:]))
		}
	}
	for range questions {
		v4Denied = append(v4Denied, netip.AddrPortFrom(ipv4(198, 51, byte(random.Uint32()), byte(random.Uint32())), 443))
	}
	carried := func(prefix string) (list []netip.AddrPort) {
		for _, a := range v4 {
			b := netip.MustParseAddr(prefix).As16()
			copy(b[12:], a.Addr().AsSlice())
			list = append(list, netip.AddrPortFrom(netip.AddrFrom16(b), 443))
		}
		return list
	}
	nat, local := carried("64:ff9b::"), carried("64:ff9b:1:808:8:808:808:0") // one reading, and four
	public := netip.MustParseAddrPort("9.9.9.9:443")

	deep := make([]AccessRule, 0, maxLabels) // each suffix of deepName but the last
	for labels := 1; labels < maxLabels-1; labels++ {
		deep = append(deep, AccessRule{Name: "*." + deepName[len(deepName)+1-2*labels:], Ports: []PortRange{{443, 443}}})
	}
	deepest := Compile(append(deep, allow...), deny)

	at := func(list []netip.AddrPort) func(int) error {
		return func(i int) error { return p.AllowFor(r, list[i%questions]) }
	}
	of := func(list []string, port uint16) func(int) error {
		return func(i int) error { return r.AllowName(list[i%questions], port) }
	}
	return []policyCase{
		{"ask=address/kind=v4", true, at(v4)},
		{"ask=address/kind=v6", true, at(v6)},
		{"ask=address/kind=v6-embedded", true, at(nat)},
		{"ask=address/kind=v6-embedded-4", true, at(local)},
		{"ask=address/kind=v4-denied", false, at(v4Denied)},
		{"ask=name/kind=exact", true, of(exact, 443)},
		{"ask=name/kind=wildcard", true, of(wildcard, 443)},
		{"ask=name/kind=denied", false, of(wildcard, 0)},
		{"ask=name/kind=127-labels-denied", false, func(int) error { return r.AllowName(deepName, 443) }},
		{"ask=name/kind=127-labels-allowed", true, func(int) error { return deepest.AllowName(deepName, 443) }},
		{"ask=named/kind=v4-public", true, func(int) error { return p.AllowNamed(r, public) }},
		{"ask=named/kind=v4-private", true, func(i int) error { return p.AllowNamed(r, v4[i%questions]) }},
		{"ask=named/kind=v6-embedded", true, func(i int) error { return p.AllowNamed(r, nat[i%questions]) }},
	}
}

// TestRulesAllocateNothing where they allow, whatever is asked.
func TestRulesAllocateNothing(t *testing.T) {
	for _, c := range policyCases(1000) {
		if err := c.ask(0); (err == nil) != c.allow {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = c.ask(0) }); c.allow && n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// BenchmarkPolicy is one question to the rules of one caller.
func BenchmarkPolicy(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		for _, c := range policyCases(n) {
			b.Run(fmt.Sprintf("rules=%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if (c.ask(i) == nil) != c.allow {
						b.Fatal("answered otherwise")
					}
					i++
				}
			})
		}
	}
}

// BenchmarkCompile is what a reload costs for one caller. heap-MB is what the Rules keep.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			allow, deny := manyRules(n)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := Compile(allow, deny)
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(r)
			for b.Loop() {
				Compile(allow, deny)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "heap-MB")
			runtime.KeepAlive(allow)
		})
	}
}
