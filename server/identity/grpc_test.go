package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
)

var edge = Caller{
	Name:        "edge",
	TLSSANs:     []string{"spiffe://corp/edge", "edge.corp.example"},
	TokenSHA256: [][32]byte{HashToken("edges-token")},
}

// TestHandshake: who gets in over TLS, and as whom.
func TestHandshake(t *testing.T) {
	house, ca, wrong := newAuthority(t, "house", nil), newAuthority(t, "ca", nil), newAuthority(t, "wrong", nil)
	middle := newAuthority(t, "middle", ca)
	revoked := ca.issue(t, uri(t, "spiffe://corp/edge"))
	f := filesOf(t, house.issue(t, server), ca.crl(t, nil, revoked.Leaf), ca)
	s := serve(t, listenTCP(t), newState(t, load(t, f), edge))
	good := uri(t, "spiffe://corp/edge")

	for _, test := range []struct {
		name string
		cert tls.Certificate
	}{
		{"URI", ca.issue(t, good)},
		{"DNS name", ca.issue(t, named(t, nil, []string{"edge.corp.example"}))},
		{"through an intermediate CA", middle.issue(t, good, middle)},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, authType, err := ask(t, s.dial(t, clientTLS(house, nil, test.cert)))
			if name != "edge" || authType != "tls" || err != nil {
				t.Errorf("%q by %q, %v", name, authType, err)
			}
		})
	}
	for _, test := range []struct {
		name string
		cert tls.Certificate
	}{
		{"expired", ca.issue(t, func(c *x509.Certificate) { good(c); c.NotAfter = time.Now().Add(-time.Minute) })},
		{"not yet valid", ca.issue(t, func(c *x509.Certificate) { good(c); c.NotBefore = time.Now().Add(time.Minute) })},
		{"wrong CA", wrong.issue(t, good)},
		{"server's CA", house.issue(t, good)},
		{"intermediate CA not sent", middle.issue(t, good)},
		{"server's key usage", ca.issue(t, func(c *x509.Certificate) {
			good(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
		{"revoked", revoked},
	} {
		t.Run(test.name, func(t *testing.T) { wantNoHandshake(t, s.dial(t, clientTLS(house, nil, test.cert))) })
	}
	for _, test := range []struct {
		name string
		cert tls.Certificate
	}{
		{"no SAN", ca.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = "edge.corp.example" })},
		{"unknown SAN", ca.issue(t, uri(t, "spiffe://corp/other"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			cc := s.dial(t, clientTLS(house, nil, test.cert))
			wantRefused(t, cc, ErrBadIdentity)
			wantCaller(t, cc, "edge", "Bearer edges-token") // the header decides, where there is one
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		cc := s.dial(t, clientTLS(house, nil))
		wantRefused(t, cc, ErrNoIdentity)
		wantCaller(t, cc, "edge", "Bearer edges-token")
	})
	t.Run("a wrong token beside a good certificate", func(t *testing.T) {
		cc := s.dial(t, clientTLS(house, nil, ca.issue(t, good)))
		for _, values := range [][]string{
			{"Bearer wrong"},
			{""},
			{"Bearer edges-token", "Bearer edges-token"},
			{"Basic edges-token"},
			{"Bearer " + strings.Repeat("x", 5000)},
		} {
			wantRefused(t, cc, ErrBadIdentity, values...)
		}
		wantCaller(t, cc, "edge")
	})
	t.Run("plaintext", func(t *testing.T) { wantNoHandshake(t, s.dial(t, plain)) })
	t.Run("TLS 1.2", func(t *testing.T) {
		wantNoHandshake(t, s.dial(t, clientTLS(house, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ca.issue(t, good))))
	})
}

// TestNoClientCA: without one nobody is asked for a certificate, and who has one to show is nobody.
func TestNoClientCA(t *testing.T) {
	house, ca := newAuthority(t, "house", nil), newAuthority(t, "ca", nil)
	s := serve(t, listenTCP(t), newState(t, load(t, filesOf(t, house.issue(t, server), nil)), edge))
	asked := false
	cc := s.dial(t, clientTLS(house, func(c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}
	}, ca.issue(t, uri(t, "spiffe://corp/edge"))))
	wantRefused(t, cc, ErrNoIdentity)
	wantCaller(t, cc, "edge", "Bearer edges-token")
	if asked {
		t.Error("asked for a certificate")
	}
}

// TestMinVersion: TLS 1.2 where it is asked for, and 1.1 nowhere.
func TestMinVersion(t *testing.T) {
	house, ca := newAuthority(t, "house", nil), newAuthority(t, "ca", nil)
	f := filesOf(t, house.issue(t, server), nil, ca)
	f.MinVersion = tls.VersionTLS12
	s := serve(t, listenTCP(t), newState(t, load(t, f), edge))
	cert := ca.issue(t, uri(t, "spiffe://corp/edge"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		wantCaller(t, s.dial(t, clientTLS(house, func(c *tls.Config) { c.MaxVersion = version }, cert)), "edge")
	}
	wantNoHandshake(t, s.dial(t, clientTLS(house, func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	}, cert)))
}

// TestSessionsAreNotResumed: a resumed session would skip the verification.
func TestSessionsAreNotResumed(t *testing.T) {
	house, ca := newAuthority(t, "house", nil), newAuthority(t, "ca", nil)
	f := filesOf(t, house.issue(t, server), nil, ca)
	f.MinVersion = tls.VersionTLS12
	s := serve(t, listenTCP(t), newState(t, load(t, f), edge))
	cert := ca.issue(t, uri(t, "spiffe://corp/edge"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(10)
		for range 3 {
			resumed := false
			cc := s.dial(t, clientTLS(house, func(c *tls.Config) {
				c.MaxVersion, c.ClientSessionCache = version, cache
				c.VerifyConnection = func(state tls.ConnectionState) error { resumed = state.DidResume; return nil }
			}, cert))
			wantCaller(t, cc, "edge")
			cc.Close()
			if resumed {
				t.Errorf("%s: resumed", tls.VersionName(version))
			}
		}
	}
}

// TestNoALPN: a client that does not say it speaks HTTP/2 is turned out before it hears any.
func TestNoALPN(t *testing.T) {
	house := newAuthority(t, "house", nil)
	l := listenTCP(t)
	serve(t, l, newState(t, load(t, filesOf(t, house.issue(t, server), nil)), edge))
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"h2"}} {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		n, err := conn.Read(make([]byte, 9))
		if speaks := n > 0; speaks != slices.Contains(protocols, "h2") {
			t.Errorf("ALPN %q: read %d bytes, %v", protocols, n, err)
		}
		conn.Close()
	}
}

// TestSilence: a connection that says nothing ends by gRPC's ConnectionTimeout.
func TestSilence(t *testing.T) {
	house := newAuthority(t, "house", nil)
	const timeout = 200 * time.Millisecond
	for name, tlsOf := range map[string]*TLS{"TLS": load(t, filesOf(t, house.issue(t, server), nil)), "plaintext": nil} {
		t.Run(name, func(t *testing.T) {
			l := listenTCP(t)
			serve(t, l, newState(t, tlsOf, edge), grpc.ConnectionTimeout(timeout))
			begin := time.Now()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(begin.Add(20 * time.Second))
			_, err = io.Copy(io.Discard, conn)
			if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("still open after %v", time.Since(begin))
			}
			if took := time.Since(begin); took < timeout/2 {
				t.Errorf("ended after %v, want some %v", took, timeout)
			}
		})
	}
}
