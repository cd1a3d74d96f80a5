package policy

import (
	"errors"
	"net/netip"
	"testing"
)

// host is a host for tests: an address in a network of each size that matters.
func host(prefixes ...string) func() ([]netip.Prefix, error) {
	var own []netip.Prefix
	for _, p := range prefixes {
		own = append(own, netip.MustParsePrefix(p))
	}
	return func() ([]netip.Prefix, error) { return own, nil }
}

func addrPort(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), 80) }

// ruleOf asks p, and holds its error to what DeniedError promises.
func ruleOf(t *testing.T, p *Policy, addr netip.AddrPort) Rule {
	t.Helper()
	err := p.Allow(addr)
	if err == nil {
		return Allowed
	}
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok {
		t.Fatalf("Allow(%v): error of type %T", addr, err)
	}
	if denied.Rule == Allowed {
		t.Errorf("Allow(%v): denied by no rule", addr)
	}
	if n := len(err.Error()); n == 0 || n > 140 {
		t.Errorf("Allow(%v): a sentence of %d bytes: %q", addr, n, err)
	}
	if denied.Addr.Zone() != "" || denied.Addr.Is4In6() {
		t.Errorf("Allow(%v): tells of %v", addr, denied.Addr)
	}
	return denied.Rule
}

func TestNeverList(t *testing.T) {
	alone := New(Config{OwnAddrs: host("192.0.2.5/24", "2001:db8::5/64", "127.0.0.1/8", "::1/128")})
	shared := New(Config{Shared: true, OwnAddrs: host("192.0.2.5/24", "2001:db8::5/64", "127.0.0.1/8", "::1/128")})
	tests := []struct {
		ip            string
		alone, shared Rule
	}{
		// The edges of every network, from both sides.
		{"0.0.0.0", ThisNetwork, ThisNetwork},
		{"0.255.255.255", ThisNetwork, ThisNetwork},
		{"1.0.0.0", Allowed, Allowed},
		{"126.255.255.255", Allowed, Allowed},
		{"127.0.0.0", Allowed, Loopback},
		{"127.0.0.1", Allowed, Loopback},
		{"127.255.255.254", Allowed, Loopback},
		{"127.255.255.255", Broadcast, Loopback}, // the broadcast address of lo's network
		{"128.0.0.0", Allowed, Allowed},
		{"169.253.255.255", Allowed, Allowed},
		{"169.254.0.0", LinkLocal, LinkLocal},
		{"169.254.169.254", LinkLocal, LinkLocal},
		{"169.254.255.255", LinkLocal, LinkLocal},
		{"169.255.0.0", Allowed, Allowed},
		{"223.255.255.255", Allowed, Allowed},
		{"224.0.0.0", Multicast, Multicast},
		{"239.255.255.255", Multicast, Multicast},
		{"240.0.0.0", Allowed, Allowed},
		{"255.255.255.254", Allowed, Allowed},
		{"255.255.255.255", Broadcast, Broadcast},
		{"168.63.129.15", Allowed, Allowed},
		{"168.63.129.16", Metadata, Metadata},
		{"168.63.129.17", Allowed, Allowed},
		{"100.100.100.199", Allowed, Allowed},
		{"100.100.100.200", Metadata, Metadata},
		{"192.0.0.191", Allowed, Allowed},
		{"192.0.0.192", Metadata, Metadata},
		{"10.0.0.1", Allowed, Allowed},
		{"::", ThisNetwork, ThisNetwork},
		{"::1", Allowed, Loopback},
		{"fe7f:ffff::", Allowed, Allowed},
		{"fe80::", LinkLocal, LinkLocal},
		{"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal, LinkLocal},
		{"fec0::", Allowed, Allowed},
		{"feff:ffff::", Allowed, Allowed},
		{"ff00::", Multicast, Multicast},
		{"ff02::1", Multicast, Multicast},
		{"fd00:ec2::254", Metadata, Metadata},
		{"fd00:ec2::253", Allowed, Allowed},
		{"fd20:ce::254", Metadata, Metadata},
		{"fd20:ce::255", Allowed, Allowed},

		// This host's own, and the broadcast address of its network.
		{"192.0.2.5", Allowed, OwnAddress},
		{"192.0.2.6", Allowed, Allowed},
		{"192.0.2.0", Allowed, Allowed},
		{"192.0.2.255", Broadcast, Broadcast},
		{"192.0.3.255", Allowed, Allowed},
		{"2001:db8::5", Allowed, OwnAddress},
		{"2001:db8::ffff:ffff:ffff:ffff", Allowed, Allowed}, // IPv6 has no broadcast

		// A zone hides nothing.
		{"fe80::1%eth0", LinkLocal, LinkLocal},
		{"::1%lo", Allowed, Loopback},
		{"2001:db8::5%eth0", Allowed, OwnAddress},
		{"::ffff:169.254.169.254%eth0", LinkLocal, LinkLocal},
	}
	for _, tt := range tests {
		if got := ruleOf(t, alone, addrPort(tt.ip)); got != tt.alone {
			t.Errorf("%s: %v, want %v", tt.ip, got, tt.alone)
		}
		if got := ruleOf(t, shared, addrPort(tt.ip)); got != tt.shared {
			t.Errorf("shared, %s: %v, want %v", tt.ip, got, tt.shared)
		}
	}
	if got := ruleOf(t, alone, netip.AddrPort{}); got != NoAddress {
		t.Errorf("the zero AddrPort: %v, want %v", got, NoAddress)
	}
}

func TestEmbedded(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: host("192.0.2.5/24", "2001:db8::5/64")})
	tests := []struct {
		ip     string
		want   Rule
		inside string
	}{
		{"::ffff:127.0.0.1", Loopback, ""}, // the same address, not one inside another
		{"::ffff:192.0.2.5", OwnAddress, ""},
		{"::ffff:8.8.8.8", Allowed, ""},

		{"::127.0.0.1", Loopback, "127.0.0.1"},
		{"::2", ThisNetwork, "0.0.0.2"},
		{"::8.8.8.8", Allowed, ""},
		{"::1:127.0.0.1", Allowed, ""}, // beyond ::/96

		{"64:ff9b::169.254.169.254", LinkLocal, "169.254.169.254"},
		{"64:ff9b::192.0.2.255", Broadcast, "192.0.2.255"},
		{"64:ff9b::192.0.2.5", OwnAddress, "192.0.2.5"},
		{"64:ff9b::8.8.8.8", Allowed, ""},
		{"64:ff9b::", ThisNetwork, "0.0.0.0"},
		{"64:ff9b::1:127.0.0.1", Allowed, ""},

		{"2002:7f00:1::", Loopback, "127.0.0.1"},
		{"2002:a9fe:a9fe::1", LinkLocal, "169.254.169.254"},
		{"2002:808:808::7f00:1", Allowed, ""},
		{"2003:7f00:1::", Allowed, ""},

		// RFC 4380 section 4: the server's address stands there plain, the client's with every bit inverted.
		{"2001:0:7f00:1::f7f7:f7f7", Loopback, "127.0.0.1"},
		{"2001:0:808:808::80ff:fffe", Loopback, "127.0.0.1"},
		{"2001:0:808:808::f7f7:f7f7", Allowed, ""},
		{"2001:0:808:808::7f00:1", Allowed, ""}, // client 128.255.255.254
		{"2001:1:7f00:1::", Allowed, ""},

		// RFC 6052 section 2.2, the four places behind 64:ff9b:1::/48, with byte 8 and the suffix clean and not.
		{"64:ff9b:1:7f00:0:100::", Loopback, "127.0.0.1"},
		{"64:ff9b:1:7f00:3300:134:5678:9abc", Loopback, "127.0.0.1"},
		{"64:ff9b:1:7f:0:1::", Loopback, "127.0.0.1"},
		{"64:ff9b:1:ff7f:3300:1:5678:9abc", Loopback, "127.0.0.1"},
		{"64:ff9b:1::7f:0:100:0", Loopback, "127.0.0.1"},
		{"64:ff9b:1::127.0.0.1", Loopback, "127.0.0.1"},
		{"64:ff9b:1:808:8:800::", Allowed, ""},
		{"64:ff9b:1:8:8:808::", Allowed, ""},
		{"64:ff9b:1::8:808:800:0", Allowed, ""},
		{"64:ff9b:1::8.8.8.8", Allowed, ""},
		{"64:ff9b:1::10.0.0.1", Allowed, ""},
		{"64:ff9b:1::", ThisNetwork, "0.0.0.0"},
		{"64:ff9b:2::127.0.0.1", Allowed, ""},
	}
	for _, tt := range tests {
		if got := ruleOf(t, p, addrPort(tt.ip)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.ip, got, tt.want)
			continue
		}
		denied, _ := errors.AsType[*DeniedError](p.Allow(addrPort(tt.ip)))
		if tt.inside != "" && denied.Inside != netip.MustParseAddr(tt.inside) {
			t.Errorf("%s: holds %v, want %s", tt.ip, denied.Inside, tt.inside)
		}
		if tt.inside == "" && denied != nil && denied.Inside.IsValid() {
			t.Errorf("%s: holds %v, want nothing", tt.ip, denied.Inside)
		}
	}
}

// TestExcept holds the third invariant: an exception covers what it names and no more.
func TestExcept(t *testing.T) {
	tests := []struct {
		except string
		ip     string
		want   Rule
	}{
		{"169.254.169.254/32", "169.254.169.254", Allowed},
		{"169.254.169.254/32", "169.254.169.253", LinkLocal},
		{"::ffff:169.254.169.254/128", "169.254.169.254", Allowed},
		{"169.254.0.0/16", "64:ff9b::169.254.169.254", Allowed}, // only what it holds was denied
		{"64:ff9b::/96", "64:ff9b::169.254.169.254", LinkLocal}, // the network, not what lies behind it
		{"::/0", "169.254.169.254", LinkLocal},                  // IPv6 prefixes name no IPv4
		{"::/0", "fe80::1%eth0", Allowed},
		{"fe80::1/10", "fe80::2", Allowed}, // host bits do not matter
		{"127.0.0.0/8", "127.0.0.1", Allowed},
		{"192.0.2.5/32", "192.0.2.5", Allowed},
		{"192.0.2.0/24", "192.0.2.255", Allowed},
		{"10.0.0.0/8", "127.0.0.1", Loopback},
	}
	for _, tt := range tests {
		p := New(Config{
			Shared: true, OwnAddrs: host("192.0.2.5/24"), Except: []netip.Prefix{{}, netip.MustParsePrefix(tt.except)},
		})
		if got := ruleOf(t, p, addrPort(tt.ip)); got != tt.want {
			t.Errorf("except %s, %s: %v, want %v", tt.except, tt.ip, got, tt.want)
		}
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	p := New(Config{Shared: true, Except: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	for _, ip := range allowed {
		addr := addrPort(ip)
		if n := testing.AllocsPerRun(100, func() {
			if err := p.Allow(addr); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("Allow(%s): %v allocations", ip, n)
		}
	}
}

// allowed are addresses of each kind of cost.
var allowed = []string{"198.51.100.7", "127.0.0.2", "2001:db8:ffff::7", "64:ff9b::8.8.8.8", "64:ff9b:1:808:8:808:808:808"}

// BenchmarkAllow is what the policy adds to one probe.
func BenchmarkAllow(b *testing.B) {
	p := New(Config{Shared: true, Except: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	for _, ip := range allowed {
		addr := addrPort(ip)
		b.Run("addr="+ip, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Allow(addr) != nil {
					b.Fatal("denied")
				}
			}
		})
	}
}
