package identity

import (
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// Gate holds the State in force, and brings it to the listeners and to gRPC. Make one with NewGate. Safe for concurrent use.
type Gate struct {
	state atomic.Pointer[State]

	mu      sync.Mutex
	secured map[string]bool // mu; listeners that had TLS in any State so far
}

// NewGate returns a Gate with s in force, which must not be nil.
func NewGate(s *State) *Gate {
	g := &Gate{secured: make(map[string]bool)}
	g.Set(s)
	return g
}

// Set puts s, which must not be nil, in force: for handshakes that begin from now on, and for whoever asks State. Connections
// stay, and are judged by s when they are next asked about. A listener that had TLS and has none in s takes no new connections
// any more: a mistake in a file must not lay open what was closed.
func (g *Gate) Set(s *State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name := range s.listeners {
		g.secured[name] = true // before anybody can see s, and hence what comes after it
	}
	g.state.Store(s)
}

// State returns the State in force.
func (g *Gate) State() *State { return g.state.Load() }

// hadTLS reports whether the listener ever had TLS.
func (g *Gate) hadTLS(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.secured[name]
}

// Wrap returns l, its connections tagged with name, which says which TLS of the State they speak; none there: plaintext. Of unix
// sockets on Linux it notes the user at the other end. Other wrappers may come on top if their connections have a method
// NetConn() net.Conn, as tls.Conn has: without it the tag is not found, and the connection is taken for plaintext.
func (g *Gate) Wrap(l net.Listener, name string) net.Listener {
	return &taggingListener{Listener: l, name: name}
}

// Credentials returns what a *grpc.Server needs, as grpc.Creds, to serve listeners of Wrap's. AuthInfo is a *Conn. A connection
// without a tag, as of bufconn, is plaintext and tells nothing. They are no client's.
func (g *Gate) Credentials() credentials.TransportCredentials { return serverCreds{g} }

type taggingListener struct {
	net.Listener
	name string
}

// Accept returns the next connection, tagged.
func (l *taggingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tagged := &taggedConn{Conn: conn, listener: l.name}
	tagged.uid, tagged.hasUID = peerUID(conn)
	return tagged, nil
}

// taggedConn is a connection that knows where it came in.
type taggedConn struct {
	net.Conn
	listener string
	uid      uint32 // with hasUID: of the process that connected, at that time
	hasUID   bool
}

// NetConn returns the connection underneath.
func (c *taggedConn) NetConn() net.Conn { return c.Conn }

// tagOf looks for the tag of conn, through what is wrapped around it; nil: it has none.
func tagOf(conn net.Conn) *taggedConn {
	for {
		switch c := conn.(type) {
		case *taggedConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
