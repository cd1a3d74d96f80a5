package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Default returns the resolver of Go's standard library: /etc/hosts, then the servers of /etc/resolv.conf, in the order of
// /etc/nsswitch.conf. The C library's is never used: it takes some names for addresses, and cannot be interrupted.
func Default() Resolver {
	return &standard{
		files:    &net.Resolver{PreferGo: true, Dial: noDial},
		absolute: &net.Resolver{PreferGo: true},
	}
}

// standard looks up absolute names, and finds single-label ones in /etc/hosts too.
//
// Go's resolver does not, by itself: its table of /etc/hosts has "www.example." with the final dot of an absolute name, but
// "localhost" without one (absDomainName, src/net/dnsclient.go). Asked without the dot, it would find "localhost", and would
// try every domain of resolv.conf's search list behind a name that is not in the file.
type standard struct {
	files    Resolver // knows /etc/hosts alone
	absolute Resolver
}

// LookupNetIP implements Resolver.
func (s *standard) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if label, ok := singleLabel(host); ok {
		addrs, err := s.files.LookupNetIP(ctx, network, label)
		if err == nil {
			return addrs, nil
		}
		if _, found := errors.AsType[*net.AddrError](err); found { // with addresses of the other family only
			return nil, err
		}
	}
	return s.absolute.LookupNetIP(ctx, network, host)
}

// singleLabel returns the label of an absolute name that has but one.
func singleLabel(host string) (label string, ok bool) {
	label = strings.TrimSuffix(host, ".")
	return label, !strings.Contains(label, ".")
}

// noDial keeps a resolver from asking servers, so that only files are left to it.
func noDial(context.Context, string, string) (net.Conn, error) { return nil, errNoServers }

var errNoServers = errors.New("no servers are asked")
