package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/CarterTsai/tcp-shaker/server/config"
	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

// listenAddr is what --listen or --metrics-listen said: a path, or a host (an address, a name, or empty for all addresses) and a port.
type listenAddr struct {
	text string // as it was given
	path string // of a unix socket; else empty
	host string
	port uint16

	tls  *identity.TLSFiles // nil: plaintext; always, where flags say it
	mode fs.FileMode        // of a unix socket
}

func parseListen(s string) (listenAddr, error) {
	a, err := config.ParseAddress(s)
	if err != nil {
		return listenAddr{text: s}, err
	}
	return listenAddrOf(a), nil
}

// listenAddrOf is a, a unix socket with socketMode.
func listenAddrOf(a config.Address) listenAddr {
	l := listenAddr{text: a.Text, path: a.Path, host: a.Host, port: a.Port}
	if a.Unix() {
		l.mode = socketMode
	}
	return l
}

// endpoint is a listenAddr whose host has become an address.
type endpoint struct {
	listenAddr
	addr     netip.Addr // not valid: all addresses of this host, or a unix socket
	loopback bool       // reachable from this host alone
}

// endpointsOf looks up the hosts of addrs. A name is looked up once, here: it is judged by what is then listened on.
func endpointsOf(ctx context.Context, addrs []listenAddr, resolver resolve.Resolver) ([]endpoint, error) {
	var endpoints []endpoint
	for _, a := range addrs {
		e, err := a.endpoint(ctx, resolver)
		if err != nil {
			return nil, fmt.Errorf("--listen %s: %w", a.text, err)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

func (a listenAddr) endpoint(ctx context.Context, resolver resolve.Resolver) (endpoint, error) {
	e := endpoint{listenAddr: a, loopback: a.path != ""}
	if a.host != "" {
		all, err := lookup(ctx, a.host, resolver)
		if err != nil {
			return endpoint{}, err
		}
		e.addr, e.loopback = choose(all)
	}
	return e, nil
}

// lookup returns the addresses of host, at least one; those of an address are itself.
func lookup(ctx context.Context, host string, resolver resolve.Resolver) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, resolve.ErrNotFound
	}
	return addrs, nil
}

// choose returns the address to listen on, of all that a name has: the first IPv4 one or else the first, as net.Listen does.
// It is loopback only if all of them are: another may be chosen after the next start.
func choose(all []netip.Addr) (addr netip.Addr, loopback bool) {
	loopback = true
	for _, a := range all {
		a = a.Unmap()
		if !addr.IsValid() || a.Is4() && !addr.Is4() {
			addr = a
		}
		loopback = loopback && a.IsLoopback()
	}
	return addr, loopback
}

// refused returns an endpoint that must not be open to other machines, as they are neither encrypted nor, without callers, known;
// nil if there is none.
func refused(endpoints []endpoint, callers bool) *endpoint {
	for i := range endpoints {
		if e := &endpoints[i]; !e.loopback && (e.tls == nil || !callers) {
			return e
		}
	}
	return nil
}

// anyShared returns an endpoint that other machines can reach; nil if none of them can.
func anyShared(endpoints []endpoint) *endpoint {
	for i := range endpoints {
		if !endpoints[i].loopback {
			return &endpoints[i]
		}
	}
	return nil
}

// clashes reports whether the kernel would not let both be listened on: bind(2) would say of the second that it is in use, and not by whom.
func (e *endpoint) clashes(other *endpoint) bool {
	if e.path != "" || other.path != "" {
		return e.path == other.path
	}
	return e.port != 0 && e.port == other.port && config.Overlap(e.addr, other.addr)
}

// refusal says what to do about an endpoint that is not loopback.
func (e *endpoint) refusal() error {
	return fmt.Errorf("--listen %s: open to other machines, which takes TLS and callers that are known, both from --config; "+
		"listen on a loopback address or a unix socket, or add --insecure", e.text)
}

// listenAll listens on all endpoints, or on none. Their connections pass gate, where there is one.
func listenAll(ctx context.Context, endpoints []endpoint, gate *identity.Gate) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, e := range endpoints {
		l, err := e.listen(ctx)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("--listen %s: %w", e.text, err)
		}
		if gate != nil {
			l = gate.Wrap(l, e.text)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func (e *endpoint) listen(ctx context.Context) (net.Listener, error) {
	if e.path != "" {
		return listenUnix(ctx, e.path, e.mode)
	}
	address := ":" + strconv.Itoa(int(e.port))
	if e.addr.IsValid() {
		address = netip.AddrPortFrom(e.addr, e.port).String()
	}
	network := "tcp"
	if e.addr == netip.IPv4Unspecified() {
		network = "tcp4" // with "tcp" package net would listen on [::] too
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, network, address)
}

// addressOf returns where l listens, in the form that --listen takes.
func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}
