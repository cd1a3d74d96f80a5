package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

// table is a Resolver of a few names, given as absolute ones.
type table map[string][]netip.Addr

func (r table) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := r[host]; ok {
		return addrs, nil
	}
	return nil, resolve.ErrNotFound
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestEndpoints(t *testing.T) {
	names := table{
		"localhost.": addrs("::1", "127.0.0.1"),
		"six.":       addrs("::1"),
		"mapped.":    addrs("::ffff:127.0.0.1"),
		"public.":    addrs("192.0.2.1"),
		"mixed.":     addrs("127.0.0.1", "192.0.2.1"),
		"dexim.":     addrs("192.0.2.1", "127.0.0.1"),
		"none.":      nil,
	}
	tests := []struct {
		listen   string
		addr     string // empty: none
		loopback bool
	}{
		{"127.0.0.1:0", "127.0.0.1", true},
		{"127.1.2.3:0", "127.1.2.3", true},
		{"[::1]:0", "::1", true},
		{"[::ffff:127.0.0.1]:0", "127.0.0.1", true},
		{"unix:/run/x", "", true},
		{"localhost:0", "127.0.0.1", true}, // IPv4 first, as net.Listen
		{"localhost.:0", "127.0.0.1", true},
		{"six:0", "::1", true},
		{"mapped:0", "127.0.0.1", true},

		{":0", "", false},
		{"0.0.0.0:0", "0.0.0.0", false},
		{"[::]:0", "::", false},
		{"192.0.2.1:0", "192.0.2.1", false},
		{"[fe80::1%eth0]:0", "fe80::1%eth0", false},
		{"public:0", "192.0.2.1", false},
		{"mixed:0", "127.0.0.1", false}, // every address has to be loopback
		{"dexim:0", "192.0.2.1", false},
	}
	for _, tt := range tests {
		a, err := parseListen(tt.listen)
		if err != nil {
			t.Errorf("%s: %v", tt.listen, err)
			continue
		}
		got, err := endpointsOf(t.Context(), []listenAddr{a}, names)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", tt.listen, got, err)
			continue
		}
		var addr netip.Addr
		if tt.addr != "" {
			addr = netip.MustParseAddr(tt.addr)
		}
		if got[0].addr != addr || got[0].loopback != tt.loopback {
			t.Errorf("%s: %v, loopback %t; want %v, %t", tt.listen, got[0].addr, got[0].loopback, addr, tt.loopback)
		}
		if shared := anyShared(got); (shared == nil) != tt.loopback {
			t.Errorf("%s: shared %v", tt.listen, shared)
		}
	}
	for _, listen := range []string{"unknown:0", "none:0", "127.1:0"} {
		a, _ := parseListen(listen)
		if got, err := endpointsOf(t.Context(), []listenAddr{a}, names); !errors.Is(err, resolve.ErrNotFound) {
			t.Errorf("%s: %v, %v", listen, got, err)
		}
	}
}

// TestRefusesToBeOpen: without --insecure only this machine's own users may reach the service, whatever else it listens on.
func TestRefusesToBeOpen(t *testing.T) {
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0", "[2001:db8::1]:0"} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--listen", listen}, &stdout, &stderr)
		if code != exitUsage {
			t.Errorf("%s: exit %d, want %d", listen, code, exitUsage)
		}
		for _, text := range []string{"--listen " + listen + ":", "loopback", "unix socket", "--insecure"} {
			if !strings.Contains(stderr.String(), text) {
				t.Errorf("%s: stderr does not say %q: %s", listen, text, &stderr)
			}
		}
		if strings.Contains(stderr.String(), "serving") {
			t.Errorf("%s: it began to serve: %s", listen, &stderr)
		}
	}
}

// TestListenFamilies: 0.0.0.0 is all IPv4 addresses and no IPv6 one; [::] and an empty host are all
// addresses of both families.
func TestListenFamilies(t *testing.T) {
	for _, tt := range []struct {
		listen string
		v4, v6 bool
	}{
		{"0.0.0.0:0", true, false},
		{"[::]:0", true, true},
		{":0", true, true},
		{"127.0.0.1:0", true, false},
		{"[::1]:0", false, true},
	} {
		a, err := parseListen(tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		e, err := a.endpoint(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		for ip, want := range map[netip.Addr]bool{
			netip.MustParseAddr("127.0.0.1"): tt.v4,
			netip.IPv6Loopback():             tt.v6,
		} {
			c, err := net.Dial("tcp", netip.AddrPortFrom(ip, port).String())
			if err == nil {
				c.Close()
			}
			if (err == nil) != want {
				t.Errorf("--listen %s: %s says %v", tt.listen, ip, err)
			}
		}
	}
}
