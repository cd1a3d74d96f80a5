//go:build !race

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// The attacks' service has two callers. One is honest, and comes with its token from 127.0.0.1; the other is turned to evil, has a
// certificate and a token, and comes from 127.0.0.2, as those do that have no identity: a connection limit of one peer is
// not to be the honest one's.
const (
	honestToken = "token-of-the-honest-caller"
	evilToken   = "token-of-the-evil-caller"
	wideToken   = "token-of-the-evil-caller-that-may-much"
	evilURI     = "spiffe://corp/evil"
	evilStreams = 16
	evilPeer    = "127.0.0.2"
)

// place is the directory of a service: its configuration and its certificates.
type place struct {
	t      *testing.T
	dir    string
	ca     *certifier
	denied net.Listener // a target that no caller may have probed; see noticed
	listen string
	log    string // the form of the log
	extra  string // YAML, before the callers
}

// served is a service at work in a place.
type served struct {
	*place
	pid     int
	signal  func(os.Signal)
	log     *journal
	address string
	metrics string
	atFirst int // descriptors before the first attack
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), ca: newCertifier(t), listen: "127.0.0.1:0", log: "json"}
	var err error
	if p.denied, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.denied.Close() })
	p.write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.cert.Raw}))
	p.revoke()
	p.serverCertificate()
	p.configure(p.config())
	return p
}

// write puts a whole file in place of the old one.
func (p *place) write(name string, data []byte) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		p.t.Fatal(err)
	}
}

// tear writes into the file as it is, so that it has this and nothing else.
func (p *place) tear(name string, data []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// serverCertificate writes a new one, and returns its serial number.
func (p *place) serverCertificate() *big.Int {
	p.t.Helper()
	cert := p.ca.issue(p.t, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	p.write("server.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	return cert.Leaf.SerialNumber
}

// revoke writes the list of revoked certificates.
func (p *place) revoke(certs ...tls.Certificate) {
	p.t.Helper()
	list := &x509.RevocationList{Number: p.ca.next(), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.ca.cert, p.ca.key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("revoked.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func (p *place) configure(text string) {
	p.t.Helper()
	p.write("shakerd.yaml", []byte(text))
}

// config is a good one. What denies stands before what allows.
func (p *place) config() string {
	return p.withoutCallers() + "callers:\n" + p.honest() + p.evil() + p.wide()
}

func (p *place) withoutCallers() string {
	return fmt.Sprintf(`listen: [{address: %q, tls: {cert: server.pem, key: server.key, client_crl: revoked.pem, client_ca: ca.pem}}]
metrics_listen: 127.0.0.1:0
max_in_flight: 1000
rate: 0
grace: 10ms
log_format: %s
%s`, p.listen, p.log, p.extra)
}

func (p *place) honest() string {
	return fmt.Sprintf("  - name: honest\n    identity: {token_sha256: [\"%x\"]}\n    deny: [%q]\n    allow: [\"127.0.0.1:*\"]\n",
		sha256.Sum256([]byte(honestToken)), p.denied.Addr())
}

func (p *place) evil() string {
	return fmt.Sprintf("  - name: evil\n    identity: {tls_san: [%q], token_sha256: [\"%x\"]}\n    limits: {streams: %d}\n"+
		"    deny: [%q]\n    allow: [\"127.0.0.1:*\"]\n", evilURI, sha256.Sum256([]byte(evilToken)), evilStreams, p.denied.Addr())
}

// wide is an evil caller with as many streams as there can be.
func (p *place) wide() string {
	return fmt.Sprintf("  - name: wide\n    identity: {token_sha256: [\"%x\"]}\n    limits: {streams: 10000}\n    allow: []\n",
		sha256.Sum256([]byte(wideToken)))
}

// evilCertificate is one that the service takes for the evil caller's.
func (p *place) evilCertificate() tls.Certificate { return p.ca.issue(p.t, withURI(p.t, evilURI)) }

// serve starts the service.
func (p *place) serve() *served {
	p.t.Helper()
	cmd, log := spawnLogged(p.t, "--config", filepath.Join(p.dir, "shakerd.yaml"))
	s := &served{place: p, pid: cmd.Process.Pid, log: log}
	s.signal = func(sig os.Signal) {
		if err := cmd.Process.Signal(sig); err != nil {
			p.t.Fatal(err)
		}
	}
	start := log.await(p.t, 0, "serving")
	s.address, s.metrics = listenedAt(p.t, start)
	return s
}

// tls is what a client uses that knows the service's authority, with certs.
func (p *place) tls(certs ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.ca.cert)
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: certs, NextProtos: []string{"h2"}}
}

// dial returns a connection of gRPC's, from the address, with a token where it is not empty.
func (s *served) dial(from, token string, certs ...tls.Certificate) *grpc.ClientConn {
	s.t.Helper()
	return s.dialTLS(from, token, s.tls(certs...))
}

func (s *served) dialTLS(from, token string, config *tls.Config) *grpc.ClientConn {
	s.t.Helper()
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return dialFrom(ctx, from, address) }),
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient("passthrough:///"+s.address, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// client is the honest caller's.
func (s *served) client() tcpshakerv1.ShakerServiceClient {
	s.t.Helper()
	return tcpshakerv1.NewShakerServiceClient(s.dial("127.0.0.1", honestToken))
}

// untouched checks that the denied target has never seen a handshake.
func (p *place) untouched() {
	p.t.Helper()
	tcp := p.denied.(*net.TCPListener)
	if err := tcp.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		p.t.Fatal(err)
	}
	if conn, err := tcp.Accept(); err == nil {
		conn.Close()
		p.t.Error("the denied target was probed")
	}
}

func dialFrom(ctx context.Context, from, address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.DialContext(ctx, "tcp", address)
}

type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

// certifier issues certificates.
type certifier struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newCertifier(t *testing.T) *certifier {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &certifier{key: key}
	template := &x509.Certificate{
		SerialNumber: c.next(), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	c.cert = template
	c.cert = c.sign(t, template, key)
	return c
}

func (c *certifier) next() *big.Int { c.last++; return big.NewInt(c.last) }

func (c *certifier) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue returns a client's certificate, valid for an hour, as change makes it.
func (c *certifier) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: c.next(), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := c.sign(t, template, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// withURI makes a certificate with one SAN.
func withURI(t *testing.T, text string) func(*x509.Certificate) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) { c.URIs = []*url.URL{u} }
}

// metric is the value of a line of /metrics.
func (s *served) metric(name string) (value float64) {
	s.t.Helper()
	_, rest, ok := strings.Cut(scrape(s.t, s.metrics), "\n"+name+" ")
	if _, err := fmt.Sscan(rest, &value); !ok || err != nil {
		s.t.Fatalf("no metric %s: %v", name, err)
	}
	return value
}
