package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/credentials"
)

// TLSFiles are the files that one listener's TLS is made of.
type TLSFiles struct {
	// Cert and Key are PEM files: the certificate, followed by the intermediate ones that clients need, and its private key,
	// which must not be encrypted. Required.
	Cert, Key string

	// ClientCA is a PEM file of the authorities whose client certificates are accepted. Empty: clients are asked for none.
	ClientCA string

	// ClientCRL is a file of revocation lists (RFC 5280 section 5), one in DER or any number in PEM, each signed by a
	// certificate in ClientCA. An intermediate authority whose list is given must be there, too. Empty: nothing is revoked.
	ClientCRL string

	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13. 0: TLS 1.3.
	MinVersion uint16
}

// TLS is what one listener's handshakes need: TLSFiles as they were when LoadTLS read them. Immutable, and safe for concurrent
// use.
type TLS struct {
	creds      credentials.TransportCredentials
	notAfter   time.Time
	clientCAs  *x509.CertPool // nil: no client certificates
	revoked    revocations
	nextUpdate time.Time
}

// LoadTLS reads f. Its error joins one error per file, each naming it: a file that cannot be read, is cut off, or holds
// something else; a key that belongs to another certificate; a revocation list that no client CA signed, or that has
// expired. A certificate that has expired, or is not valid yet, is none: clients refuse it, and NotAfter tells.
func LoadTLS(f TLSFiles) (*TLS, error) { return loadTLS(f, time.Now()) }

func loadTLS(f TLSFiles, now time.Time) (*TLS, error) {
	t := &TLS{}
	version, versionErr := f.minVersion()
	cert, certErr := t.loadCertificate(f)
	clientErr := t.loadClientCAs(f, now)
	if err := errors.Join(versionErr, certErr, clientErr); err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   version,
		// A session that is taken up again skips the verification that was made when it began.
		SessionTicketsDisabled: true,
	}
	if t.clientCAs != nil {
		config.ClientAuth = tls.VerifyClientCertIfGiven
		config.ClientCAs = t.clientCAs
		config.VerifyPeerCertificate = t.refuseRevoked
	}
	// These add h2 to ALPN, refuse clients without it, and leave out the cipher suites that HTTP/2 forbids (RFC 9113 appendix A).
	t.creds = credentials.NewTLS(config)
	return t, nil
}

// NotAfter returns when the first of the certificates in Cert expires.
func (t *TLS) NotAfter() time.Time { return t.notAfter }

// CRLNextUpdate returns when the first of the lists in ClientCRL is due to be replaced; zero where there is none, or none says.
// A list in force stays so after that: to accept nobody any more would make a late file an outage.
func (t *TLS) CRLNextUpdate() time.Time { return t.nextUpdate }

func (f *TLSFiles) minVersion() (uint16, error) {
	switch f.MinVersion {
	case 0:
		return tls.VersionTLS13, nil
	case tls.VersionTLS12, tls.VersionTLS13:
		return f.MinVersion, nil
	}
	return 0, fmt.Errorf("the lowest TLS version must be 1.2 or 1.3, not %s", tls.VersionName(f.MinVersion))
}

func (t *TLS) loadCertificate(f TLSFiles) (tls.Certificate, error) {
	const what, whatKey = "certificate", "key"
	if f.Cert == "" || f.Key == "" {
		return tls.Certificate{}, errors.New("TLS needs a certificate and a key")
	}
	certPEM, certs, certErr := readCertificates(what, f.Cert)
	keyPEM, keyErr := readKey(whatKey, f.Key)
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	for _, cert := range certs {
		t.notAfter = earlier(t.notAfter, cert.NotAfter)
	}
	// The certificates are sound by now, so it is the key.
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fileError(whatKey, f.Key, fmt.Errorf("is not the key of the first certificate in %s (%w)", f.Cert, err))
	}
	return pair, nil
}

func (t *TLS) loadClientCAs(f TLSFiles, now time.Time) error {
	if f.ClientCA == "" {
		if f.ClientCRL != "" {
			return fileError("revocation list", f.ClientCRL, errors.New("needs a client CA that signed it, and none is given"))
		}
		return nil
	}
	_, cas, err := readCertificates("client CA", f.ClientCA)
	if err != nil {
		return err
	}
	t.clientCAs = x509.NewCertPool()
	for _, ca := range cas {
		t.clientCAs.AddCert(ca)
	}
	if f.ClientCRL == "" {
		return nil
	}
	t.revoked, t.nextUpdate, err = readCRLs("revocation list", f.ClientCRL, cas, now)
	return err
}
