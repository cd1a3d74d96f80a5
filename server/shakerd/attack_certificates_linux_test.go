//go:build !race

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// reload asks for one, and waits until text is in the log.
func (s *served) reload(text string) {
	s.t.Helper()
	first := s.log.len()
	s.signal(syscall.SIGHUP)
	s.log.await(s.t, first, text)
}

const (
	loaded    = "configuration loaded"
	notLoaded = "the configuration was not loaded; what was loaded before stays in force"
)

// checkBy makes a Check over a connection, and returns its code.
func (s *served) checkBy(conn *grpc.ClientConn) codes.Code {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	_, err := tcpshakerv1.NewShakerServiceClient(conn).Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{s.address}})
	return status.Code(err)
}

// open begins a StreamCheck over a connection, which has been answered once.
func (s *served) open(conn *grpc.ClientConn) tcpshakerv1.ShakerService_StreamCheckClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second) // a stream that should end and does not is to fail
	s.t.Cleanup(cancel)
	stream, err := tcpshakerv1.NewShakerServiceClient(conn).StreamCheck(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.goesOn(stream)
	return stream
}

// goesOn checks that a stream probes what it may, and does not probe what is denied.
func (s *served) goesOn(stream tcpshakerv1.ShakerService_StreamCheckClient) {
	s.t.Helper()
	targets := []string{s.address, s.place.denied.Addr().String()}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets}); err != nil {
		s.t.Fatal(err)
	}
	for results := 0; results < len(targets); {
		got, err := stream.Recv()
		if err != nil {
			s.t.Fatal(err)
		}
		results += len(got.Results)
		for _, r := range got.Results {
			want := tcpshakerv1.Reason_REASON_SYN_ACK
			if r.Target == targets[1] {
				want = tcpshakerv1.Reason_REASON_POLICY_DENIED
			}
			if r.Reason != want {
				s.t.Errorf("%s: %v, want %v", r.Target, r.Reason, want)
			}
		}
	}
}

// TestBadCertificates: with none of them is anybody let in. What is not sound fails in the handshake; what says nobody's name, after it.
func TestBadCertificates(t *testing.T) {
	p := newPlace(t)
	revoked := p.evilCertificate()
	p.revoke(revoked)
	s := p.serve()
	uri := withURI(t, evilURI)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		want codes.Code // UNAVAILABLE: the handshake failed
	}{
		{"a good one", p.evilCertificate(), codes.OK},
		{"expired", p.ca.issue(t, func(c *x509.Certificate) { uri(c); c.NotAfter = time.Now().Add(-time.Minute) }), codes.Unavailable},
		{"not yet valid", p.ca.issue(t, func(c *x509.Certificate) { uri(c); c.NotBefore = time.Now().Add(time.Minute) }), codes.Unavailable},
		{"of another authority", newCertifier(t).issue(t, uri), codes.Unavailable},
		{"for servers", p.ca.issue(t, func(c *x509.Certificate) {
			uri(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), codes.Unavailable},
		{"revoked", revoked, codes.Unavailable},
		{"without a SAN", p.ca.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = evilURI }), codes.Unauthenticated},
		{"with the SAN of nobody", p.ca.issue(t, withURI(t, evilURI+"/2")), codes.Unauthenticated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// With GetClientCertificate the client sends it whatever the server says that it would take.
			config := s.tls()
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.cert, nil }
			if got := s.checkBy(s.dialTLS("127.0.0.1", "", config)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	if got := s.checkBy(s.dial("127.0.0.1", honestToken)); got != codes.OK {
		t.Errorf("the honest caller: %v", got)
	}
}

// TestRevokedByReload: while its connection stands, a caller whose certificate is revoked is not answered any more, and its stream
// ends; it gets no new connection either.
func TestRevokedByReload(t *testing.T) {
	s := newPlace(t).serve()
	cert, other := s.evilCertificate(), s.evilCertificate()
	conn, spared := s.dial(evilPeer, "", cert), s.dial(evilPeer, "", other)
	stream, goes := s.open(conn), s.open(spared)
	s.revoke(cert)
	if got := s.checkBy(conn); got != codes.OK {
		t.Errorf("before the reload: %v", got)
	}
	s.reload(loaded)
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the stream ended with %v, want UNAUTHENTICATED", err)
	}
	if got := s.checkBy(conn); got != codes.Unauthenticated {
		t.Errorf("on the connection that stands: %v, want UNAUTHENTICATED", got)
	}
	if got := s.checkBy(s.dial(evilPeer, "", cert)); got != codes.Unavailable {
		t.Errorf("on a new connection: %v, want that the handshake fails", got)
	}
	s.goesOn(goes)
	s.untouched()
}

// TestCallerRemoved: its running stream ends with UNAUTHENTICATED, whether it came by certificate or by token; others' go on.
func TestCallerRemoved(t *testing.T) {
	s := newPlace(t).serve()
	conns := []*grpc.ClientConn{s.dial(evilPeer, "", s.evilCertificate()), s.dial(evilPeer, evilToken)}
	streams := []tcpshakerv1.ShakerService_StreamCheckClient{s.open(conns[0]), s.open(conns[1])}
	honest := s.open(s.dial("127.0.0.1", honestToken))
	s.configure(s.withoutCallers() + "callers:\n" + s.place.honest())
	s.reload(loaded)
	for i, stream := range streams {
		if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("stream %d ended with %v, want UNAUTHENTICATED", i, err)
		}
		if got := s.checkBy(conns[i]); got != codes.Unauthenticated {
			t.Errorf("connection %d: %v, want UNAUTHENTICATED", i, got)
		}
	}
	s.goesOn(honest)
	s.configure(s.config())
	s.reload(loaded)
	for i, conn := range conns {
		if got := s.checkBy(conn); got != codes.OK {
			t.Errorf("connection %d, the caller being back: %v", i, got)
		}
	}
}

// TestServerCertificateReplaced: new handshakes see the new one after SIGHUP, a stream that runs goes on, and a certificate that does
// not go with its key changes nothing.
func TestServerCertificateReplaced(t *testing.T) {
	s := newPlace(t).serve()
	stream := s.open(s.dial("127.0.0.1", honestToken))
	presented := func() string {
		t.Helper()
		raw, err := dialFrom(t.Context(), "127.0.0.1", s.address)
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, s.tls())
		defer conn.Close()
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := presented()
	next := s.serverCertificate().String()
	if got := presented(); got != old {
		t.Errorf("before SIGHUP %s, want the old one, %s", got, old)
	}
	s.reload(loaded)
	if got := presented(); got != next || got == old {
		t.Errorf("after SIGHUP %s, want the new one, %s", got, next)
	}
	s.goesOn(stream)

	s.tear("server.key", []byte(strings.Repeat("half a key", 3)))
	s.reload(notLoaded)
	if got := presented(); got != next {
		t.Errorf("with a broken key %s, want %s still", got, next)
	}
	if stale := s.metric("tcpshaker_config_stale"); stale != 1 {
		t.Errorf("config_stale %v, want 1", stale)
	}
	s.goesOn(stream)
}
