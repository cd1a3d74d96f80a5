package metrics

import (
	"net"
	"sync"
)

// limitedListener closes a connection too many as soon as it is accepted. To let it wait in the kernel's queue instead would make
// those who scrape wait behind all the slow peers there, for as long as each of them may take.
type limitedListener struct {
	net.Listener
	places chan struct{} // as many as there may be connections; each holds one of these
}

func limited(l net.Listener, connections int) *limitedListener {
	return &limitedListener{Listener: l, places: make(chan struct{}, connections)}
}

// Accept returns the next connection that has a place.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			conn.Close()
		}
	}
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
