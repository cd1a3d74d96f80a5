package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var lastSerial atomic.Int64

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newAuthority returns one that issuer has certified, or that stands for itself.
func newAuthority(t testing.TB, name string, issuer *authority) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(lastSerial.Add(1)),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	parent, signer := template, a.key
	if issuer == nil {
		template.NotAfter = template.NotAfter.Add(24 * time.Hour) // outlives those it certifies
	} else {
		parent, signer = issuer.cert, issuer.key
	}
	a.cert = sign(t, template, parent, a.key, signer)
	return a
}

func sign(t testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue returns a client's certificate, valid for an hour, as change makes it, with the intermediate ones that the client is to
// send along.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate), intermediates ...*authority) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(lastSerial.Add(1)),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	leaf := sign(t, template, a.cert, key, a.key)
	c := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, i := range intermediates {
		c.Certificate = append(c.Certificate, i.cert.Raw)
	}
	return c
}

// named makes a certificate with these SANs: the two kinds as CanonicalSAN knows them.
func named(t testing.TB, uris, names []string) func(*x509.Certificate) {
	t.Helper()
	return func(c *x509.Certificate) {
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
		c.DNSNames = append(c.DNSNames, names...)
	}
}

// uri makes a certificate with one URI.
func uri(t testing.TB, text string) func(*x509.Certificate) {
	t.Helper()
	return named(t, []string{text}, nil)
}

// server makes a server's certificate for loopback.
func server(c *x509.Certificate) {
	c.DNSNames = []string{"localhost"}
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// crl returns a list of serial numbers, in DER.
func (a *authority) crl(t testing.TB, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number:     big.NewInt(lastSerial.Add(1)),
		ThisUpdate: time.Now().Add(-time.Hour),
		NextUpdate: time.Now().Add(time.Hour),
	}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(blockType string, ders ...[]byte) []byte {
	var data []byte
	for _, der := range ders {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})...)
	}
	return data
}

func certPEM(certs ...*x509.Certificate) []byte {
	var data []byte
	for _, c := range certs {
		data = append(data, pemOf("CERTIFICATE", c.Raw)...)
	}
	return data
}

func keyPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func write(t testing.TB, data []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// filesOf writes the files of a listener with cert, whose clients are certified by cas and have not been revoked by crl (nil: no
// list).
func filesOf(t testing.TB, cert tls.Certificate, crl []byte, cas ...*authority) TLSFiles {
	t.Helper()
	f := TLSFiles{
		Cert: write(t, pemOf("CERTIFICATE", cert.Certificate...)),
		Key:  write(t, keyPEM(t, cert.PrivateKey)),
	}
	if len(cas) > 0 {
		var data []byte
		for _, ca := range cas {
			data = append(data, certPEM(ca.cert)...)
		}
		f.ClientCA = write(t, data)
	}
	if crl != nil {
		f.ClientCRL = write(t, crl)
	}
	return f
}

func load(t testing.TB, f TLSFiles) *TLS {
	t.Helper()
	loaded, err := LoadTLS(f)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// theListener is the name of the tests' one listener.
const theListener = "front"

func newState(t testing.TB, t1 *TLS, callers ...Caller) *State {
	t.Helper()
	s, err := NewState(callers, map[string]*TLS{theListener: t1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(t testing.TB, cert tls.Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, ok := cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", cert.PrivateKey)
	}
	return key
}
