package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Default returns the resolver of Go's standard library: /etc/hosts, then the servers of
// /etc/resolv.conf, in the order of /etc/nsswitch.conf. The C library's is never used: it takes
// some names for addresses, and cannot be interrupted.
func Default() Resolver {
	return &standard{
		files:    &net.Resolver{PreferGo: true, Dial: noDial},
		absolute: &net.Resolver{PreferGo: true, Dial: dial},
	}
}

// Searching returns a resolver that reads each name as a command does for its user: the search list
// and ndots of resolv.conf(5) apply, so that `db` finds db.default.svc.cluster.local in a pod of
// Kubernetes. It is otherwise that of Default. A service must not use it: its callers do not know
// its search list, and rules for names speak of absolute ones.
func Searching() Resolver { return searching{&net.Resolver{PreferGo: true, Dial: dial}} }

type searching struct{ relative Resolver }

// LookupNetIP implements Resolver. The final dot, which says that a name is absolute, was added by the
// Group.
func (s searching) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return s.relative.LookupNetIP(ctx, network, strings.TrimSuffix(host, "."))
}

// standard looks up absolute names, and finds single-label ones in /etc/hosts too.
//
// Go's resolver does not, by itself: its table of /etc/hosts has "www.example." with the final dot
// of an absolute name, but "localhost" without one (absDomainName, src/net/dnsclient.go). Asked
// without the dot, it would find "localhost", and would try every domain of resolv.conf's search
// list behind a name that is not in the file.
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

// dial connects to a name server. The connection is closed when ctx is canceled.
//
// Go's resolver returns when its context ends, but it does not interrupt its read: a query that was
// given up would hold its socket and a goroutine until a timeout of 5 s, in nobody's count.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { closeCanceled(ctx, conn) })
	return conn, nil
}

// closeCanceled closes conn if ctx was canceled. A deadline of ctx is the connection's own deadline
// as well, whose error says that it was a timeout. The error of a closed connection would not.
func closeCanceled(ctx context.Context, conn net.Conn) {
	if ctx.Err() == context.Canceled {
		conn.Close()
	}
}

// noDial keeps a resolver from asking servers, so that only files are left to it.
func noDial(context.Context, string, string) (net.Conn, error) { return nil, errNoServers }

var errNoServers = errors.New("no servers are asked")
