package identity

import (
	"context"
	"crypto/x509"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Conn is what is known of one connection: the AuthInfo that Gate.Credentials give gRPC. It never changes, but for a memory of
// its own.
type Conn struct {
	// CommonAuthInfo has the level that gRPC's own credentials would give: PrivacyAndIntegrity for TLS and unix sockets, else
	// NoSecurity.
	credentials.CommonAuthInfo

	listener string              // its name; empty: came by no listener of Wrap's
	secured  bool                // by TLS
	certs    []*x509.Certificate // the client's, verified in the handshake, and the intermediate ones it sent; none: not given
	uid      uint32              // with hasUID
	hasUID   bool

	under net.Conn // what came to the handshake; nil for a Conn of no connection

	judged atomic.Pointer[judgement] // the last one of certs; nil: none yet
}

// ConnOf returns the Conn of the RPC that ctx is of; false where it did not come by Gate.Credentials.
func ConnOf(ctx context.Context) (*Conn, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, false
	}
	c, ok := p.AuthInfo.(*Conn)
	return c, ok
}

// NetConn returns the connection as it came to the handshake; nil where there is none.
func (c *Conn) NetConn() net.Conn { return c.under }

// AuthType returns "tls", "unix" or "insecure".
func (c *Conn) AuthType() string {
	switch {
	case c.secured:
		return "tls"
	case c.SecurityLevel == credentials.PrivacyAndIntegrity:
		return "unix"
	}
	return "insecure"
}

// plaintext returns the Conn of a connection without TLS.
func plaintext(raw net.Conn) *Conn {
	c := &Conn{under: raw, CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}
	if raw.RemoteAddr().Network() == "unix" { // as in grpc's credentials/local
		c.SecurityLevel = credentials.PrivacyAndIntegrity
	}
	return c
}
