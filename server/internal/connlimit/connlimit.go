// Package connlimit bounds the connections that listeners have open: net/http and grpc-go have no such bound.
package connlimit

import (
	"net"
	"net/netip"
	"sync"
)

// Limit bounds the connections that are open at a time, on all the listeners that it wraps together: each holds a file descriptor,
// which the probes need as well, and some 100 KB. Make one with New. Safe for concurrent use.
type Limit struct {
	total, perPeer int

	mu     sync.Mutex // protects what follows
	open   int
	byPeer map[netip.Addr]int // peers with a connection; none is 0
}

// New returns a Limit of so many connections in all, and so many from one IP address; both at least 1, or nobody is let in.
func New(total, perPeer int) *Limit {
	return &Limit{total: total, perPeer: perPeer, byPeer: make(map[netip.Addr]int)}
}

// Wrap returns l with the bound: a connection too many is closed as soon as it is accepted. To let it wait in the kernel's queue
// instead would make others wait behind all the slow peers there, for as long as each of them may take. Closing what is returned
// closes l; an error of Accept is l's.
func (c *Limit) Wrap(l net.Listener) net.Listener { return &limitedListener{Listener: l, limit: c} }

// enter takes a place for peer, where there is one. A peer without an address, as on a unix socket, counts in the total
// alone.
func (c *Limit) enter(peer netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.total || peer.IsValid() && c.byPeer[peer] >= c.perPeer {
		return false
	}
	c.open++
	if peer.IsValid() {
		c.byPeer[peer]++
	}
	return true
}

// leave gives a place back.
func (c *Limit) leave(peer netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if !peer.IsValid() {
		return
	}
	if c.byPeer[peer]--; c.byPeer[peer] == 0 {
		delete(c.byPeer, peer)
	}
}

type limitedListener struct {
	net.Listener
	limit *Limit
}

// Accept returns the next connection that has a place.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerAddr(conn)
		if l.limit.enter(peer) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.limit.leave(peer) })}, nil
		}
		conn.Close()
	}
}

// peerAddr returns the IP address at the other end; not valid where there is none.
func peerAddr(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// limitedConn gives its place back when it is closed, once however often that is.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// NetConn returns the connection underneath, as tls.Conn's does, for those who look for what they wrapped before.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }
