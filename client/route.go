package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// route is how connections get to the service: what its name resolved to, and the proxy that
// HTTPS_PROXY names, if any. gRPC tells neither in its errors. It is safe for concurrent use.
type route struct {
	scheme string // of the gRPC name
	proxy  string // host:port of the proxy for the service; empty: none

	mu       sync.Mutex
	resolved bool  // gRPC had the name resolved here
	dialer   bool  // gRPC dials by a function of the caller's, so by no proxy
	answered bool  // a lookup has ended
	lookup   error // why the last lookup of the name failed; nil: it did not
}

// lead sets where r leads: to canonical, the service's name as gRPC reads it, by what net/http, and
// so gRPC, reads from the environment. Local is for a service on this machine, before which no
// proxy may come.
func (r *route) lead(canonical string, local bool) {
	scheme, rest, _ := strings.Cut(canonical, "://")
	_, endpoint, _ := strings.Cut(rest, "/")
	r.scheme = scheme
	if local || scheme != "dns" && scheme != "passthrough" {
		return
	}
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		endpoint = net.JoinHostPort(strings.Trim(endpoint, "[]"), "443")
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: endpoint}})
	if err == nil && proxy != nil {
		r.proxy = proxy.Host // without user and password
	}
}

// dialOptions lets r see what gRPC does with names. A resolver that the caller gave comes first, so
// these are for the end.
func (r *route) dialOptions() []grpc.DialOption {
	var opts []grpc.DialOption
	for _, scheme := range []string{"dns", "passthrough"} {
		builder := resolver.Get(scheme)
		if _, overrides := builder.(resolver.AuthorityOverrider); builder != nil && !overrides {
			opts = append(opts, grpc.WithResolvers(watchedBuilder{builder, r}))
		}
	}
	return opts
}

// via returns a part of an error that names the proxy; nothing if none is in between.
func (r *route) via() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	// gRPC leaves names of DNS to a proxy, so it resolves none here if it uses one.
	proxied := !r.resolved
	if r.scheme == "passthrough" {
		proxied = r.resolved && !r.dialer
	}
	if r.proxy == "" || !proxied {
		return ""
	}
	return fmt.Sprintf(" via the proxy of HTTPS_PROXY (%s)", r.proxy)
}

// reason returns a better text than gRPC's for what went wrong before any address was known.
func (r *route) reason(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.lookup != nil && strings.Contains(text, "no children to pick from"):
		return r.lookup.Error()
	case text == noConnectionYet && r.resolved && !r.answered:
		return "the name lookup has not ended"
	default:
		return text
	}
}

// watchedBuilder is a resolver.Builder that tells a route of what it does.
type watchedBuilder struct {
	resolver.Builder
	route *route
}

func (b watchedBuilder) Build(
	target resolver.Target, conn resolver.ClientConn, opts resolver.BuildOptions,
) (resolver.Resolver, error) {
	b.route.mu.Lock()
	b.route.resolved, b.route.dialer = true, opts.Dialer != nil
	b.route.mu.Unlock()
	return b.Builder.Build(target, watchedConn{conn, b.route}, opts)
}

// watchedConn is what a resolver reports to.
type watchedConn struct {
	resolver.ClientConn
	route *route
}

func (c watchedConn) UpdateState(state resolver.State) error {
	if len(state.Addresses)+len(state.Endpoints) == 0 {
		c.route.looked(errNoAddress)
	} else {
		c.route.looked(nil)
	}
	return c.ClientConn.UpdateState(state)
}

func (c watchedConn) ReportError(err error) {
	c.route.looked(err)
	c.ClientConn.ReportError(err)
}

// errNoAddress is what a lookup found that ended well.
var errNoAddress = errors.New("the name is not known, or has no address")

func (r *route) looked(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered, r.lookup = true, err
}
