package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// issuer signs certificates.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate of change's making, signed by the issuer; by itself, if that is nil.
func (i *issuer) issue(t *testing.T, change func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
	}
	change(template)
	made := &issuer{}
	var err error
	if made.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	parent, signer := template, made.key
	if i != nil {
		parent, signer = i.cert, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, made.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if made.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return made
}

func newCA(t *testing.T) *issuer {
	t.Helper()
	return (*issuer)(nil).issue(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	})
}

// client returns a client's certificate that ends at notAfter.
func (i *issuer) client(t *testing.T, notAfter time.Time) *issuer {
	t.Helper()
	return i.issue(t, func(c *x509.Certificate) {
		c.NotAfter, c.URIs = notAfter, []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/edge"}}
	})
}

func (i *issuer) pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// secured returns an Access whose listener "tls" has TLS, with a client CA, and on which revoked is
// revoked.
func secured(t *testing.T, ca, revoked *issuer) *access.Control {
	t.Helper()
	server := ca.issue(t, func(*x509.Certificate) {})
	key, err := x509.MarshalPKCS8PrivateKey(server.key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked.cert.SerialNumber, RevocationTime: time.Now()}},
	}, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := identity.LoadTLS(identity.TLSFiles{
		Cert: writePEM(t, "CERTIFICATE", server.cert.Raw), Key: writePEM(t, "PRIVATE KEY", key),
		ClientCA: writePEM(t, "CERTIFICATE", ca.cert.Raw), ClientCRL: writePEM(t, "X509 CRL", list),
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := identity.NewState([]identity.Caller{{Name: "edge", TLSSANs: []string{"spiffe://example/edge"}}},
		map[string]*identity.TLS{"tls": loaded})
	if err != nil {
		t.Fatal(err)
	}
	return control(t, access.Config{Identity: state, Callers: []access.Caller{{Name: "edge"}}})
}

// TestFailedConnectionsAreLogged: a connection on which no call can be made has one line that says
// why in plain words, and where it came from. One that sends nothing, as a load balancer makes it
// to see whether the port is open, has its line at DEBUG alone. Those that work have none.
func TestFailedConnectionsAreLogged(t *testing.T) {
	ca := newCA(t)
	revoked := ca.client(t, time.Now().Add(time.Hour))
	closed := secured(t, ca, revoked)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	good := func(client *issuer) *tls.Config {
		c := &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2"}}
		if client != nil {
			c.Certificates = []tls.Certificate{client.pair()}
		}
		return c
	}
	send := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	shake := func(c *tls.Config) func(net.Conn) {
		return func(conn net.Conn) {
			secure := tls.Client(conn, c)
			if secure.Handshake() == nil { // with TLS 1.3 the client's part is over before the service has looked at its certificate
				_, _ = io.Copy(io.Discard, secure)
			}
		}
	}
	with := func(change func(*tls.Config)) func(net.Conn) {
		c := good(nil)
		change(c)
		return shake(c)
	}
	call := func(creds credentials.TransportCredentials, want codes.Code) func(net.Conn) {
		return func(conn net.Conn) {
			taken := false
			client, err := grpc.NewClient("passthrough:localhost", grpc.WithTransportCredentials(creds),
				grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
					if taken {
						return nil, errors.New("one connection is enough")
					}
					taken = true
					return conn, nil
				}))
			if err != nil {
				t.Error(err)
				return
			}
			defer client.Close()
			_, err = tcpshakerv1.NewShakerServiceClient(client).GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
			if status.Code(err) != want {
				t.Errorf("a call: %v, want %v", err, want)
			}
		}
	}
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, tt := range []struct {
		name    string
		access  *access.Control
		do      func(net.Conn)
		level   string // none: no line
		reasons []string
	}{
		{"gRPC without TLS, to TLS", closed, call(insecure.NewCredentials(), codes.Unavailable), "WARN", []string{"the client speaks plaintext to a TLS listener", `"PRI * HT"`}},
		{"HTTP/1 to TLS", closed, send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "WARN", []string{"the client speaks plaintext to a TLS listener", `"GET / HT"`}},
		{"noise to TLS", closed, send("\x00\x01\x02\xff\n\x1b[2J"), "WARN", []string{"plaintext to a TLS listener", `\x00\x01\x02\xff\n\x1b[2`}},
		{"nothing to TLS", closed, func(net.Conn) {}, "DEBUG", []string{"sent nothing"}},
		{"a reset to TLS", closed, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, "DEBUG", []string{"sent nothing"}},
		{"half a hello", closed, func(conn net.Conn) { _, _ = io.WriteString(conn, "\x16\x03\x01\x02\x00\x01") }, "WARN", []string{"the client closed the connection during the TLS handshake"}},
		{"another CA is trusted", closed, with(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }), "WARN", []string{"the client refuses", "certificate"}},
		{"TLS 1.2", closed, with(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "WARN", []string{"version"}},
		{"no ALPN", closed, with(func(c *tls.Config) { c.NextProtos = nil }), "WARN", []string{"h2"}},
		{"HTTP/1 by ALPN", closed, with(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }), "WARN", []string{"h2"}},
		{"an expired certificate", closed, shake(good(ca.client(t, time.Now().Add(-time.Hour)))), "WARN", []string{"client certificate: ", "expired"}},
		{"another CA's certificate", closed, shake(good(newCA(t).client(t, time.Now().Add(time.Hour)))), "WARN", []string{"client certificate: ", "unknown authority"}},
		{"a revoked certificate", closed, shake(good(revoked)), "WARN", []string{"client certificate: ", "revoked"}},
		{"a caller", closed, call(credentials.NewTLS(good(ca.client(t, time.Now().Add(time.Hour)))), codes.OK), "", nil},
		{"nobody", closed, call(credentials.NewTLS(good(nil)), codes.Unauthenticated), "", nil},

		{"TLS to plaintext", nil, shake(good(nil)), "WARN", []string{"the client speaks TLS to a plaintext listener"}},
		{"HTTP/1 to plaintext", nil, send("GET / HTTP/1.1\r\nHost: example\r\n\r\n"), "WARN", []string{"the client speaks HTTP/1 to a gRPC listener"}},
		{"noise to plaintext", nil, send(strings.Repeat("\x1b[2J", 10)), "WARN", []string{"does not speak HTTP/2", `\x1b[2J`}},
		{"half a preface", nil, func(conn net.Conn) { _, _ = io.WriteString(conn, preface[:9]) }, "WARN", []string{"the client closed the connection"}},
		{"nothing to plaintext", nil, func(net.Conn) {}, "DEBUG", []string{"sent nothing"}},
		{"a reset to plaintext", nil, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, "DEBUG", []string{"sent nothing"}},
		{"gRPC", nil, call(insecure.NewCredentials(), codes.OK), "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			s, err := New(Config{
				Prober: always(open()), Access: tt.access,
				Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err != nil {
				t.Fatal(err)
			}
			inner := listen(t, "tcp", "127.0.0.1:0")
			listener := inner
			if tt.access != nil {
				listener = tt.access.Gate().Wrap(inner, "tls")
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx, 0, listener) }()
			conn, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			peer := conn.LocalAddr().String()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil { // a service that never closes it is to fail
				t.Fatal(err)
			}
			tt.do(conn)
			conn.Close()
			lines := func() (lines []map[string]any) {
				for _, record := range log.records(t) {
					if record["msg"] == "connection failed" || record["msg"] == "connection ended" {
						lines = append(lines, record)
					}
				}
				return lines
			}
			for wait := 0; tt.level != "" && len(lines()) == 0 && wait < 1000; wait++ {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			got := lines()
			if tt.level == "" {
				if len(got) != 0 {
					t.Errorf("lines %v", got)
				}
				return
			}
			if len(got) != 1 {
				t.Fatalf("%d lines: %v", len(got), got)
			}
			reason, _ := got[0]["reason"].(string)
			if got[0]["level"] != tt.level || got[0]["peer"] != peer || got[0]["listen"] != inner.Addr().String() {
				t.Errorf("line %v, want one at %s of %s", got[0], tt.level, peer)
			}
			for _, want := range tt.reasons {
				if !strings.Contains(reason, want) {
					t.Errorf("reason %q, want %q in it", reason, want)
				}
			}
			t.Log(reason)
		})
	}
}

// TestSilentConnectionIsClosed: a connection that sends nothing, or not all that it should, is
// closed after handshakeTimeout. The first is taken for a look at the port.
func TestSilentConnectionIsClosed(t *testing.T) {
	for sent, want := range map[string]string{"": "DEBUG", "PRI": "WARN"} {
		synctest.Test(t, func(t *testing.T) {
			var log logBuffer
			p := serve(t, Config{
				Prober: always(open()),
				Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			defer p.stop()
			conn, err := p.listener.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			began := time.Now()
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			time.Sleep(handshakeTimeout + time.Second)
			synctest.Wait()
			lines := log.records(t)
			if len(lines) != 1 || lines[0]["level"] != want {
				t.Errorf("%q: lines %v after %v, want one at %s", sent, lines, time.Since(began), want)
			}
			conn.Close()
		})
	}
}

// TestFailedConnectionsDoNotFillTheLog: the lines about connections that fail are limited, with and
// without callers, and the next line says how many were left out.
func TestFailedConnectionsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		p := serve(t, Config{Prober: always(open()), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		defer p.stop()
		fail := func() {
			conn, err := p.listener.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, strings.Repeat("x", 24))
			_, _ = io.Copy(io.Discard, conn)
			synctest.Wait()
		}
		const failures = 1500
		for range failures {
			fail()
		}
		time.Sleep(time.Second)
		fail()
		lines, untold := 0, 0.0
		for _, record := range log.records(t) {
			if record["msg"] == "connection failed" {
				lines++
				if n, ok := record["untold"].(float64); ok {
					untold += n
				}
			}
		}
		if lines != 1001 || lines+int(untold) != failures+1 {
			t.Errorf("%d lines, and %v untold, of %d", lines, untold, failures+1)
		}
	})
}
