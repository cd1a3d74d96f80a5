package identity

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// revocations are the certificates that must not be accepted any more. nil: none.
type revocations map[string]struct{}

// revocationKey names a certificate: its issuer and its serial number are those of no other (RFC 5280 section 4.1.2.2).
func revocationKey(rawIssuer []byte, serial *big.Int) string {
	return string(rawIssuer) + "\x00" + serial.Text(16)
}

func (r revocations) has(cert *x509.Certificate) bool {
	if len(r) == 0 {
		return false
	}
	_, revoked := r[revocationKey(cert.RawIssuer, cert.SerialNumber)]
	return revoked
}

// readCRLs reads the lists of path, one in DER or any number in PEM, each of which one of cas must have signed. nextUpdate
// is the earliest of theirs; zero where none says.
func readCRLs(what, path string, cas []*x509.Certificate, now time.Time) (r revocations, nextUpdate time.Time, err error) {
	data, err := readFile(what, path)
	if err != nil {
		return nil, time.Time{}, err
	}
	lists := [][]byte{data}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		if lists, err = pemBlocks(data, "X509 CRL"); err != nil {
			return nil, time.Time{}, fileError(what, path, err)
		}
	}
	r = make(revocations)
	for i, der := range lists {
		next, err := r.add(der, cas, now)
		if err != nil {
			return nil, time.Time{}, fileError(what, path, fmt.Errorf("list %d: %w", i+1, err))
		}
		nextUpdate = earlier(nextUpdate, next)
	}
	return r, nextUpdate, nil
}

// add takes in one list.
func (r revocations) add(der []byte, cas []*x509.Certificate, now time.Time) (nextUpdate time.Time, err error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return time.Time{}, fmt.Errorf("is no revocation list in PEM or DER (%w)", err)
	}
	if len(list.Raw) != len(der) {
		return time.Time{}, errors.New("more bytes follow the revocation list")
	}
	if err := checkIssuer(list, cas); err != nil {
		return time.Time{}, err
	}
	if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
		return time.Time{}, fmt.Errorf("has expired: the next one was due on %s", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	if err := checkExtensions(list.Extensions); err != nil {
		return time.Time{}, err
	}
	for i := range list.RevokedCertificateEntries {
		entry := &list.RevokedCertificateEntries[i]
		if err := checkExtensions(entry.Extensions); err != nil {
			return time.Time{}, fmt.Errorf("entry %d: %w", i+1, err)
		}
		r[revocationKey(list.RawIssuer, entry.SerialNumber)] = struct{}{}
	}
	return list.NextUpdate, nil
}

// checkIssuer looks for the one of cas that signed list.
func checkIssuer(list *x509.RevocationList, cas []*x509.Certificate) error {
	problem := fmt.Errorf("its issuer %q is none of the client CAs", list.Issuer)
	for _, ca := range cas {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		err := list.CheckSignatureFrom(ca)
		if err == nil {
			return nil
		}
		problem = fmt.Errorf("the client CA %q did not sign it, or may not sign lists (%w)", list.Issuer, err)
	}
	return problem
}

// partOfCRL (issuingDistributionPoint, RFC 5280 section 5.2.5) says that a list names some kinds of certificates alone: what it
// names is revoked all the same.
var partOfCRL = asn1.ObjectIdentifier{2, 5, 29, 28}

// checkExtensions refuses what would be misread: a critical extension makes a list or an entry mean something else, as that the
// list holds only what changed, or that the entry is of another issuer (RFC 5280 sections 5.2 and 5.3).
func checkExtensions(extensions []pkix.Extension) error {
	for _, e := range extensions {
		if e.Critical && !e.Id.Equal(partOfCRL) {
			return fmt.Errorf("has the critical extension %s, which is not understood", e.Id)
		}
	}
	return nil
}

// earlier returns the earlier of two times, of which a zero one does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
