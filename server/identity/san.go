package identity

import (
	"crypto/x509"
	"errors"
	"iter"
	"net/url"
	"strings"
)

// maxName is the longest DNS name, in bytes, without its final dot (RFC 1035 section 2.3.4, less the root's label).
const maxName = 253

// CanonicalSAN returns text, a configured SAN, in the form in which certificates' are compared with it: a URI as url.URL writes
// it, or a DNS name in lower case. The words of its errors go on after what is wrong: "is neither …".
func CanonicalSAN(text string) (string, error) {
	if !strings.Contains(text, "://") {
		return canonicalDNS(text)
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.Unwrap(err) // without the text, which the caller's message has
	}
	if u.Scheme == "" || u.Host == "" {
		return "", errors.New("is a URI without scheme or host, unlike spiffe://corp/edge")
	}
	return u.String(), nil
}

// canonicalDNS returns name in lower case. Its first label may be a literal "*".
func canonicalDNS(name string) (string, error) {
	notName := errors.New("is neither a URI (with ://) nor a DNS name")
	if name == "" || len(name) > maxName {
		return "", notName
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return "", notName
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", errors.New("is an IP address or none, and only URIs and DNS names are compared")
	}
	return strings.ToLower(name), nil // all of it is ASCII
}

// notInLabel reports whether r is no letter of a DNS name's label. The underscore is none of a host name's, but it is in use.
func notInLabel(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

// sansOf yields the SANs of cert that can be compared, in their canonical forms. A DNS name that looks like a URI is
// none: who may have names of one kind certified need not be allowed those of the other. A wildcard stays what it is and
// matches no name but itself: it says whom a server may be taken for, not who calls.
func sansOf(cert *x509.Certificate) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, u := range cert.URIs {
			if u.Scheme != "" && u.Host != "" && !yield(u.String()) {
				return
			}
		}
		for _, name := range cert.DNSNames {
			if canonical, err := canonicalDNS(name); err == nil && !yield(canonical) {
				return
			}
		}
	}
}
