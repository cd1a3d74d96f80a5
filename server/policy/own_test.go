package policy

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOwnAddressesAge holds the fourth invariant with an address that this host gets and loses.
func TestOwnAddressesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads int
		own := host()
		p := New(Config{Shared: true, OwnAddrs: func() ([]netip.Prefix, error) { reads++; return own() }})
		addr := addrPort("192.0.2.5")

		expect := func(want Rule, wantReads int) {
			t.Helper()
			if got := ruleOf(t, p, addr); got != want || reads != wantReads {
				t.Errorf("%v after %d readings, want %v after %d", got, reads, want, wantReads)
			}
		}
		expect(Allowed, 1)
		own = host("192.0.2.5/24")
		time.Sleep(ownMaxAge - 1)
		expect(Allowed, 1) // the bubble's clock: nothing waits
		time.Sleep(time.Nanosecond)
		expect(OwnAddress, 2)
		expect(OwnAddress, 2)
		own = host()
		time.Sleep(24 * time.Hour)
		expect(Allowed, 3)
	})
}

// TestOwnAddressesUnreadable: what was known stays in force, nothing else is denied, and the next try is not sooner.
func TestOwnAddressesUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("out of file descriptors")
		var err error
		var reads int
		p := New(Config{Shared: true, OwnAddrs: func() ([]netip.Prefix, error) {
			reads++
			if err != nil {
				return nil, err
			}
			return host("192.0.2.5/24")()
		}})
		if got := p.OwnAddrsError(); got != nil {
			t.Errorf("error %v of a reading that worked", got)
		}
		err = broken
		time.Sleep(ownMaxAge)
		for range 3 {
			if got := ruleOf(t, p, addrPort("192.0.2.5")); got != OwnAddress {
				t.Errorf("own address: %v, want %v", got, OwnAddress)
			}
			if got := ruleOf(t, p, addrPort("192.0.2.6")); got != Allowed {
				t.Errorf("another's address: %v, want %v", got, Allowed)
			}
		}
		if reads != 2 {
			t.Errorf("%d readings, want 2", reads)
		}
		if got := p.OwnAddrsError(); !errors.Is(got, broken) {
			t.Errorf("error %v, want %v", got, broken)
		}
		err = nil
		time.Sleep(ownMaxAge)
		if got := ruleOf(t, p, addrPort("192.0.2.5")); got != OwnAddress || p.OwnAddrsError() != nil {
			t.Errorf("readable again: %v, %v", got, p.OwnAddrsError())
		}
	})
}

func TestOwnAddressesNeverReadable(t *testing.T) {
	p := New(Config{Shared: true, OwnAddrs: func() ([]netip.Prefix, error) { return nil, errors.New("no netlink") }})
	if got := ruleOf(t, p, addrPort("192.0.2.5")); got != Allowed {
		t.Errorf("%v, want %v", got, Allowed)
	}
	if got := ruleOf(t, p, addrPort("127.0.0.1")); got != Loopback {
		t.Errorf("%v, want %v", got, Loopback)
	}
	if p.OwnAddrsError() == nil {
		t.Error("no error is told")
	}
}

// TestOwnAddressesConcurrently is for the race detector; it also sees that a reading is made once for all who need it.
func TestOwnAddressesConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads int // guarded by the promise that there is one call at a time
		p := New(Config{Shared: true, OwnAddrs: func() ([]netip.Prefix, error) { reads++; return host("192.0.2.5/24")() }})
		for round := 2; round < 5; round++ {
			time.Sleep(ownMaxAge)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 100 {
						if p.Allow(addrPort("192.0.2.5")) == nil {
							t.Error("own address allowed")
						}
					}
				})
			}
			wg.Wait()
			if reads != round {
				t.Errorf("%d readings, want %d", reads, round)
			}
		}
	})
}

func TestOwnRules(t *testing.T) {
	tests := []struct {
		prefix, ip string
		want       Rule
	}{
		{"10.1.2.3/8", "10.255.255.255", Broadcast},
		{"10.1.2.3/30", "10.1.2.3", OwnAddress}, // not told as the broadcast address that it is as well
		{"10.1.2.2/30", "10.1.2.3", Broadcast},
		{"10.1.2.2/31", "10.1.2.3", Allowed}, // RFC 3021
		{"10.1.2.3/32", "10.1.2.3", OwnAddress},
		{"10.1.2.3/0", "255.255.255.255", Broadcast},
		{"::ffff:10.1.2.3/120", "10.1.2.3", OwnAddress},
		{"2001:db8::5/64", "2001:db8::5", OwnAddress},
	}
	for _, tt := range tests {
		own, _ := host(tt.prefix)()
		rules := ownRules(append(own, netip.Prefix{}), true)
		if got := rules[netip.MustParseAddr(tt.ip)]; got != tt.want {
			t.Errorf("%s, %s: %v, want %v", tt.prefix, tt.ip, got, tt.want)
		}
	}
}

// TestInterfaces asks the real interfaces: every address that the net package tells must be denied.
func TestInterfaces(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil || len(addrs) == 0 {
		t.Fatalf("interfaces: %v, %v", addrs, err)
	}
	p := New(Config{Shared: true})
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if got := ruleOf(t, p, netip.AddrPortFrom(prefix.Addr(), 80)); got == Allowed {
			t.Errorf("%v of this host is allowed", prefix.Addr())
		}
	}
	if err := p.OwnAddrsError(); err != nil {
		t.Error(err)
	}
}
