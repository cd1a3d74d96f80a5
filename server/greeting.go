package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"

	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// This file logs connections on which no call can be made: a TLS handshake failed, or one side
// speaks TLS and the other does not. gRPC reports them to nobody.

// greetedListener hears what its connections begin with.
type greetedListener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l greetedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &greetedConn{Conn: conn, server: l.server}, nil
}

// greetedConn is a connection of which the first bytes are kept until it is known to be good. If it
// is closed before that, a line says why.
type greetedConn struct {
	net.Conn
	server  *Server
	settled atomic.Bool // it is good, or its line is written

	mu    sync.Mutex
	first []byte // mu; at most as long as the HTTP/2 preface
	tls   bool   // mu; a handshake is being made, which sees to the line
}

// NetConn returns the connection underneath.
func (c *greetedConn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *greetedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.settled.Load() {
		c.hear(p[:n])
	}
	return n, err
}

func (c *greetedConn) hear(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = append(c.first, p[:min(len(p), len(http2.ClientPreface)-len(c.first))]...)
	if !c.tls && string(c.first) == http2.ClientPreface {
		c.settle()
	}
}

// settle ends the listening. mu must be held.
func (c *greetedConn) settle() {
	c.settled.Store(true)
	c.first = nil
}

// heard returns a copy of the first bytes.
func (c *greetedConn) heard() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.first)
}

// Close implements net.Conn.
func (c *greetedConn) Close() error {
	c.mu.Lock()
	first, handshake := bytes.Clone(c.first), c.tls
	c.mu.Unlock()
	if !handshake && !c.settled.Swap(true) {
		c.server.logConn(c.Conn, first, plaintextReason(first))
	}
	return c.Conn.Close()
}

// greetedCreds logs handshakes that fail.
type greetedCreds struct {
	credentials.TransportCredentials
	server *Server
}

// Clone implements credentials.TransportCredentials.
func (c greetedCreds) Clone() credentials.TransportCredentials {
	return greetedCreds{c.TransportCredentials.Clone(), c.server}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c greetedCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	greeted, ok := raw.(*greetedConn)
	if !ok { // the listener is not Run's
		greeted = &greetedConn{Conn: raw, server: c.server}
	}
	greeted.shaking(true)
	conn, auth, err := c.TransportCredentials.ServerHandshake(raw)
	switch {
	case err != nil:
		first := greeted.heard()
		if !greeted.settled.Swap(true) {
			c.server.logConn(raw, first, handshakeReason(err, first))
		}
	case auth.AuthType() == "tls":
		greeted.mu.Lock()
		greeted.settle()
		greeted.mu.Unlock()
	default:
		greeted.shaking(false)
	}
	return conn, auth, err
}

func (c *greetedConn) shaking(now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tls = now
}

// logConn writes the line of a connection that came to nothing. One that sent nothing is a look at
// the port, which load balancers take all the time.
func (s *Server) logConn(conn net.Conn, first []byte, reason string) {
	ctx := context.Background()
	defer func() { // in a goroutine of gRPC's, where a panic of the log's would end the process
		if p := recover(); p != nil {
			_ = s.panickedInTap(ctx, p)
		}
	}()
	level, message := slog.LevelWarn, "connection failed"
	if len(first) == 0 && reason == sentNothing {
		level, message = slog.LevelDebug, "connection ended"
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs, ok := s.tellOfStranger()
	if !ok {
		return
	}
	s.log.LogAttrs(ctx, level, message, append(attrs,
		slog.String("peer", conn.RemoteAddr().String()),
		slog.String("listen", conn.LocalAddr().String()),
		slog.String("reason", reason))...)
}

const sentNothing = "the client sent nothing"

// plaintextReason says why a connection to a plaintext listener came to nothing.
func plaintextReason(first []byte) string {
	method, _, _ := bytes.Cut(first, []byte(" "))
	switch {
	case len(first) == 0:
		return sentNothing
	case first[0] == 22 && len(first) > 1 && first[1] == 3: // handshake record of TLS (RFC 8446 section 5.1)
		return "the client speaks TLS to a plaintext listener"
	case strings.HasPrefix(http2.ClientPreface, string(first)):
		return "the client closed the connection, or sent nothing more, before HTTP/2 began"
	case isMethod(string(method)):
		return "the client speaks HTTP/1 to a gRPC listener, which takes HTTP/2" + beginning(first)
	default:
		return "the client does not speak HTTP/2" + beginning(first)
	}
}

func isMethod(word string) bool {
	switch word {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE":
		return true
	default:
		return false
	}
}

// beginning quotes the first bytes of a client: few, so that no token gets into the log.
func beginning(first []byte) string {
	return fmt.Sprintf("; it begins with %q", first[:min(len(first), 8)])
}

// handshakeReason says why a handshake failed, after a client began with first.
func handshakeReason(err error, first []byte) string {
	record, noRecord := errors.AsType[tls.RecordHeaderError](err)
	invalid, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	network, isNetwork := errors.AsType[*net.OpError](err)
	text := strings.TrimPrefix(err.Error(), "tls: ")
	quiet := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, net.ErrClosed)
	switch {
	case quiet && len(first) == 0:
		return sentNothing
	case noRecord && len(first) > 0:
		return "the client speaks plaintext to a TLS listener" + beginning(first)
	case noRecord:
		return "the client speaks plaintext to a TLS listener: " + record.Msg
	case badCertificate:
		return "client certificate: " + shown(strings.TrimPrefix(invalid.Err.Error(), "x509: "))
	case errors.Is(err, identity.ErrRevoked):
		return "client certificate: " + err.Error()
	case isNetwork && network.Op == "remote error":
		return "the client refuses the TLS handshake: " + strings.TrimPrefix(network.Err.Error(), "tls: ") +
			"; does it trust the certificate of this service?"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the TLS handshake did not end within " + handshakeTimeout.String()
	case errors.Is(err, net.ErrClosed):
		return "the service closed the connection to keep its limits, or to end"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the client closed the connection during the TLS handshake"
	case errors.Is(err, syscall.ECONNRESET):
		return "the client reset the connection during the TLS handshake"
	case strings.Contains(text, "application protocol") || strings.Contains(text, "ALPN"):
		return "the client does not offer HTTP/2 (ALPN h2): " + shown(text)
	default:
		return shown(text)
	}
}
