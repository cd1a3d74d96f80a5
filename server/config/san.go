package config

import (
	"net/url"
	"strings"
)

// maxDNSName is the longest DNS name, in bytes, without its final dot (RFC 1035 section 2.3.4, less the root's label).
const maxDNSName = 253

// canonicalSAN returns text, a subject alternative name, in the form in which two are compared: a URI as url.URL writes it, or a
// DNS name in lower case. problem is what it must be, and is not.
func canonicalSAN(text string) (san, problem string) {
	if !strings.Contains(text, "://") {
		return canonicalDNS(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", "must be a URI with scheme and host, as in spiffe://corp/edge, or a DNS name"
	}
	return u.String(), ""
}

// canonicalDNS takes a name whose first label may be a literal *.
func canonicalDNS(name string) (san, problem string) {
	const must = "must be a URI (with ://) or a DNS name"
	if len(name) > maxDNSName {
		return "", must
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return "", must
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", must + ": IP addresses are not compared"
	}
	return strings.ToLower(name), "" // all of it is ASCII
}

// notInLabel reports whether c is none of a DNS name's. The underscore is none of a host name's, but it is in use.
func notInLabel(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
}
