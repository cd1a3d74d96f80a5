// Package connlimit bounds the connections that listeners have open: net/http and grpc-go have no such bound.
package connlimit

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// Limit bounds the connections that are open at a time, on all the listeners that it wraps together: each holds a file descriptor,
// which the probes need as well, and some 100 KB. Make one with New. Safe for concurrent use.
//
// Where callers have to say who they are, Vouching makes those who have not give way: else a few hosts that connect and say
// nothing would keep all callers out. And those who send more than strangersRate are turned out, so that nobody keeps much for them.
type Limit struct {
	total, perPeer int
	vouching       bool

	mu        sync.Mutex // protects what follows
	open      int
	byPeer    map[netip.Addr]int // peers with a connection; none is 0
	byCaller  map[string]int     // connections that keep their places; none is 0
	strangers list.List          // with vouching: *limitedConn that give way, oldest first
}

// strangersRate is how many bytes a connection may bring that nobody has vouched for: enough at once for a TLS handshake with long
// chains, then for a thousand questions a second about the service's health. A known caller is vouched for by the headers of its
// first call, before more than these are read. To read no faster, in place of closing, would leave the rest in the kernel's
// buffers, of which the probes have need.
var strangersRate = quota.Rate{PerSecond: 64 << 10, Burst: 256 << 10}

// errTooMuch is what Read returns where that was exceeded.
var errTooMuch = errors.New("connlimit: more bytes than a connection may bring before its caller is known")

// New returns a Limit of so many connections in all, and so many from one IPv4 address, or the /64 of an IPv6 one; both at least 1, or
// nobody is let in.
func New(total, perPeer int) *Limit {
	return &Limit{total: total, perPeer: perPeer, byPeer: make(map[netip.Addr]int), byCaller: make(map[string]int)}
}

// Vouching makes a connection too many take the place of the oldest one that gives way, which is each that Vouch has not kept its
// place for; of its own peer, where that has too many. Call it before Wrap. It returns c.
func (c *Limit) Vouching() *Limit {
	c.vouching = true
	return c
}

// Wrap returns l with the bound: a connection too many is closed as soon as it is accepted. To let it wait in the kernel's queue
// instead would make others wait behind all the slow peers there, for as long as each of them may take. Closing what is returned
// closes l; an error of Accept is l's.
func (c *Limit) Wrap(l net.Listener) net.Listener { return &limitedListener{Listener: l, limit: c} }

// enter takes a place for conn, where there is one, or where another has to give way; that one is returned, to be closed. A peer
// without an address, as on a unix socket, counts in the total alone.
func (c *Limit) enter(conn *limitedConn) (ok bool, instead *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	crowded := conn.peer.IsValid() && c.byPeer[conn.peer] >= c.perPeer
	if crowded || c.open >= c.total {
		if instead = c.oldestStranger(conn.peer, crowded); instead == nil {
			return false, nil
		}
		c.remove(instead)
	}
	c.open++
	if conn.peer.IsValid() {
		c.byPeer[conn.peer]++
	}
	if c.vouching {
		conn.stranger = c.strangers.PushBack(conn)
	}
	return true, instead
}

// oldestStranger returns the oldest connection that nobody has vouched for, of that peer alone where ofPeer is set; nil if there
// is none. mu must be held.
func (c *Limit) oldestStranger(peer netip.Addr, ofPeer bool) *limitedConn {
	for e := c.strangers.Front(); e != nil; e = e.Next() {
		if conn := e.Value.(*limitedConn); !ofPeer || conn.peer == peer {
			return conn
		}
	}
	return nil
}

// leave gives the place of conn back, once.
func (c *Limit) leave(conn *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(conn)
}

// remove is leave with mu held.
func (c *Limit) remove(conn *limitedConn) {
	if conn.left {
		return
	}
	conn.left = true
	c.keeps(conn)
	if conn.caller != "" {
		if c.byCaller[conn.caller]--; c.byCaller[conn.caller] == 0 {
			delete(c.byCaller, conn.caller)
		}
	}
	c.open--
	if !conn.peer.IsValid() {
		return
	}
	if c.byPeer[conn.peer]--; c.byPeer[conn.peer] == 0 {
		delete(c.byPeer, conn.peer)
	}
}

// keeps takes conn from those that give way. mu must be held.
func (c *Limit) keeps(conn *limitedConn) {
	if conn.stranger != nil {
		c.strangers.Remove(conn.stranger)
		conn.stranger = nil
	}
}

// Vouch says that the other end of conn is known as caller, which is not empty: it keeps its place from now on, unless that caller has a
// quarter of all places already, so that none can keep the others out. conn may be wrapped in others that have a method NetConn, as
// tls.Conn has; of one that no Limit has accepted nothing happens. From any goroutine, as often as one likes; the first time counts.
func Vouch(conn net.Conn, caller string) {
	for conn != nil {
		if c, ok := conn.(*limitedConn); ok {
			if !c.vouched.Swap(true) {
				c.limit.mu.Lock()
				defer c.limit.mu.Unlock()
				if l := c.limit; !c.left && l.byCaller[caller] < max(1, l.total/4) {
					l.byCaller[caller]++
					c.caller = caller
					l.keeps(c)
				}
			}
			return
		}
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = under.NetConn()
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
		limited := &limitedConn{Conn: conn, limit: l.limit, peer: peerAddr(conn)}
		ok, instead := l.limit.enter(limited)
		if instead != nil {
			instead.Conn.Close()
		}
		if ok {
			return limited, nil
		}
		conn.Close()
	}
}

// peerAddr returns the IPv4 address at the other end, or the first one of its /64; not valid where there is none.
func peerAddr(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr() // one host has all of it
	}
	return addr
}

// limitedConn gives its place back when it is closed, once however often that is.
type limitedConn struct {
	net.Conn
	limit   *Limit
	peer    netip.Addr
	vouched atomic.Bool

	bucket quota.Bucket // of strangersRate

	// The limit's mu protects these.
	left     bool
	caller   string        // for whom it keeps its place; empty: it does not
	stranger *list.Element // in strangers; nil: not there
}

// Read reads as the connection underneath, which it closes where somebody whom nobody has vouched for sends too much.
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.limit.vouching || c.vouched.Load() {
		return n, err
	}
	if _, ok := c.bucket.Take(strangersRate, time.Now(), n, 0); !ok {
		c.Close()
		return 0, errTooMuch
	}
	return n, err
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.limit.leave(c)
	return c.Conn.Close()
}

// NetConn returns the connection underneath, as tls.Conn's does, for those who look for what they wrapped before.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }
