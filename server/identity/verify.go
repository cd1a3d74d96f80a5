package identity

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrRevoked is what is wrong with a certificate in each chain of which one is revoked.
var ErrRevoked = errors.New("the certificate, or one of its issuers, is revoked")

// verify judges certs, a client's certificate followed by the intermediate ones that it sent, as of now. from and until bound the
// time for which the answer holds, both included: of the chains that are sound, the one that lasts longest.
func (t *TLS) verify(certs []*x509.Certificate, now time.Time) (from, until time.Time, err error) {
	options := x509.VerifyOptions{
		Roots:         t.clientCAs,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range certs[1:] {
		options.Intermediates.AddCert(cert)
	}
	chains, err := certs[0].Verify(options)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	err = ErrRevoked
	for _, chain := range chains {
		if t.revoked.hasAny(chain) {
			continue
		}
		err = nil
		if begin, end := validity(chain); end.After(until) {
			from, until = begin, end
		}
	}
	return from, until, err
}

// refuseRevoked is tls.Config's VerifyPeerCertificate. Without a certificate there are no chains.
func (t *TLS) refuseRevoked(_ [][]byte, chains [][]*x509.Certificate) error {
	for _, chain := range chains {
		if !t.revoked.hasAny(chain) {
			return nil
		}
	}
	if len(chains) > 0 {
		return ErrRevoked
	}
	return nil
}

// hasAny looks at the trusted end of the chain, too: an intermediate authority can be trusted by name, and revoked by its own
// issuer.
func (r revocations) hasAny(chain []*x509.Certificate) bool {
	for _, cert := range chain {
		if r.has(cert) {
			return true
		}
	}
	return false
}

// validity returns the time in which all of chain is valid, both ends included.
func validity(chain []*x509.Certificate) (from, until time.Time) {
	for _, cert := range chain {
		if cert.NotBefore.After(from) {
			from = cert.NotBefore
		}
		until = earlier(until, cert.NotAfter)
	}
	return from, until
}
