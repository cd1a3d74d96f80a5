package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLoadTLSErrors: each names its file and says in a sentence what is wrong with it.
func TestLoadTLSErrors(t *testing.T) {
	ca, other := newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	cert, second := ca.issue(t, server), ca.issue(t, server)
	good := filesOf(t, cert, ca.crl(t, nil), ca)
	crl := ca.crl(t, nil)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}})
	noSigner := newAuthority(t, "no signer", nil)
	noSigner.cert = sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "no signer"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, noSigner.cert, noSigner.key, noSigner.key)
	critical := func(id ...int) []pkix.Extension {
		return []pkix.Extension{{Id: asn1.ObjectIdentifier(id), Critical: true, Value: []byte{5, 0}}}
	}
	twice := string(certPEM(ca.cert, other.cert))

	for _, test := range []struct {
		name   string
		change func(f *TLSFiles) (file string) // file: what the error names
		want   string
	}{
		{"no certificate", func(f *TLSFiles) string { f.Cert = ""; return "" }, "TLS needs a certificate and a key"},
		{"no key", func(f *TLSFiles) string { f.Key = ""; return "" }, "TLS needs a certificate and a key"},
		{"certificate missing", func(f *TLSFiles) string { f.Cert = filepath.Join(t.TempDir(), "none"); return f.Cert }, "no such file"},
		{"key missing", func(f *TLSFiles) string { f.Key = filepath.Join(t.TempDir(), "none"); return f.Key }, "no such file"},
		{"client CA missing", func(f *TLSFiles) string {
			f.ClientCA = filepath.Join(t.TempDir(), "none")
			return f.ClientCA
		}, "no such file"},
		{"list missing", func(f *TLSFiles) string {
			f.ClientCRL = filepath.Join(t.TempDir(), "none")
			return f.ClientCRL
		}, "no such file"},
		{"a directory", func(f *TLSFiles) string { f.Cert = t.TempDir(); return f.Cert }, "is a directory"},
		{"certificate empty", func(f *TLSFiles) string { f.Cert = write(t, nil); return f.Cert }, `no PEM block "CERTIFICATE"`},
		{"certificate is a key", func(f *TLSFiles) string { f.Cert = f.Key; return f.Cert }, `no PEM block "CERTIFICATE"`},
		{"key is a certificate", func(f *TLSFiles) string { f.Key = f.Cert; return f.Key }, "no PEM block of a private key"},
		{"key is encrypted", func(f *TLSFiles) string { f.Key = write(t, encrypted); return f.Key }, "is encrypted"},
		{"key is rubbish", func(f *TLSFiles) string {
			f.Key = write(t, pemOf("PRIVATE KEY", []byte("x")))
			return f.Key
		}, "is not the key"},
		{"key of another", func(f *TLSFiles) string {
			f.Key = write(t, keyPEM(t, second.PrivateKey))
			return f.Key
		}, "is not the key of the first certificate in " + good.Cert},
		{"certificate is rubbish", func(f *TLSFiles) string {
			f.Cert = write(t, pemOf("CERTIFICATE", []byte("x")))
			return f.Cert
		}, "certificate 1: x509"},
		{"second certificate is rubbish", func(f *TLSFiles) string {
			f.Cert = write(t, pemOf("CERTIFICATE", cert.Certificate[0], []byte("x")))
			return f.Cert
		}, "certificate 2: x509"},
		{"client CA is cut off", func(f *TLSFiles) string {
			f.ClientCA = write(t, []byte(twice[:len(twice)-30]))
			return f.ClientCA
		}, "1 of its 2 PEM blocks"},
		{"client CA is damaged", func(f *TLSFiles) string {
			f.ClientCA = write(t, []byte(strings.Replace(twice, "MII", "M!!", 1)))
			return f.ClientCA
		}, "1 of its 2 PEM blocks"},
		{"list without a client CA", func(f *TLSFiles) string { f.ClientCA = ""; return f.ClientCRL }, "needs a client CA"},
		{"list of another CA", func(f *TLSFiles) string {
			f.ClientCRL = write(t, other.crl(t, nil))
			return f.ClientCRL
		}, `"CN=other" is none of the client CAs`},
		{"list of another CA of the name", func(f *TLSFiles) string {
			f.ClientCRL = write(t, newAuthority(t, "ca", nil).crl(t, nil))
			return f.ClientCRL
		}, "did not sign it"},
		{"list of a CA that may not", func(f *TLSFiles) string {
			f.ClientCA = write(t, certPEM(noSigner.cert))
			forged := *noSigner
			forged.cert = &x509.Certificate{RawSubject: noSigner.cert.RawSubject, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
			f.ClientCRL = write(t, forged.crl(t, nil))
			return f.ClientCRL
		}, "may not sign lists"},
		{"list has expired", func(f *TLSFiles) string {
			f.ClientCRL = write(t, ca.crl(t, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }))
			return f.ClientCRL
		}, "has expired"},
		{"second list has expired", func(f *TLSFiles) string {
			f.ClientCRL = write(t, pemOf("X509 CRL", crl, ca.crl(t, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) })))
			return f.ClientCRL
		}, "list 2: has expired"},
		{"list is of changes", func(f *TLSFiles) string {
			f.ClientCRL = write(t, ca.crl(t, func(l *x509.RevocationList) { l.ExtraExtensions = critical(2, 5, 29, 27) }))
			return f.ClientCRL
		}, "critical extension 2.5.29.27"},
		{"list's entry is of another issuer", func(f *TLSFiles) string {
			f.ClientCRL = write(t, ca.crl(t, func(l *x509.RevocationList) {
				l.RevokedCertificateEntries = []x509.RevocationListEntry{{
					SerialNumber: big.NewInt(1), RevocationTime: time.Now(), ExtraExtensions: critical(2, 5, 29, 29),
				}}
			}))
			return f.ClientCRL
		}, "entry 1: has the critical extension 2.5.29.29"},
		{"list empty", func(f *TLSFiles) string { f.ClientCRL = write(t, nil); return f.ClientCRL }, "is no revocation list"},
		{"list is a certificate", func(f *TLSFiles) string { f.ClientCRL = f.ClientCA; return f.ClientCRL }, `no PEM block "X509 CRL"`},
		{"list is cut off", func(f *TLSFiles) string {
			f.ClientCRL = write(t, crl[:len(crl)-1])
			return f.ClientCRL
		}, "is no revocation list"},
		{"two lists in DER", func(f *TLSFiles) string {
			f.ClientCRL = write(t, append(crl[:len(crl):len(crl)], crl...))
			return f.ClientCRL
		}, "more bytes follow"},
		{"TLS 1.1", func(f *TLSFiles) string { f.MinVersion = tls.VersionTLS11; return "" }, "must be 1.2 or 1.3, not TLS 1.1"},
		{"TLS 1.4", func(f *TLSFiles) string { f.MinVersion = tls.VersionTLS13 + 1; return "" }, "must be 1.2 or 1.3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := good
			file := test.change(&f)
			loaded, err := LoadTLS(f)
			if loaded != nil || err == nil {
				t.Fatalf("%v, %v", loaded, err)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%q; want %q and %q in it", err, test.want, file)
			}
			if lines := strings.Count(err.Error(), "\n"); lines != 0 || strings.Count(err.Error(), file+":") > 1 {
				t.Errorf("%q is not one sentence", err)
			}
		})
	}

	t.Run("all of them", func(t *testing.T) {
		_, err := LoadTLS(TLSFiles{Cert: "no/cert", Key: "no/key", ClientCA: "no/ca", ClientCRL: "no/crl", MinVersion: 1})
		for _, want := range []string{"certificate no/cert: ", "key no/key: ", "client CA no/ca: ", "TLS version"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
	})
}

// TestLoadTLS: what is no error, and what is told of it.
func TestLoadTLS(t *testing.T) {
	ca, other := newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	middle := newAuthority(t, "middle", ca)
	past := time.Now().Add(-time.Minute).Truncate(time.Second)
	expired := ca.issue(t, func(c *x509.Certificate) { server(c); c.NotAfter = past })
	future := ca.issue(t, func(c *x509.Certificate) { server(c); c.NotBefore = time.Now().Add(time.Minute) })

	if got := load(t, filesOf(t, expired, nil)).NotAfter(); !got.Equal(past) {
		t.Errorf("an expired certificate: not after %v, want %v", got, past)
	}
	load(t, filesOf(t, future, nil))
	chain := load(t, filesOf(t, middle.issue(t, server, middle), nil, ca, other))
	if got := chain.NotAfter(); got.After(time.Now().Add(time.Hour)) || chain.CRLNextUpdate() != (time.Time{}) {
		t.Errorf("a chain: not after %v, next list %v", got, chain.CRLNextUpdate())
	}

	// A rotated key: the same file in PKCS #1's sibling for elliptic curves, behind a block of parameters.
	f := filesOf(t, expired, nil, ca, other)
	sec1, err := x509.MarshalECPrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Key = write(t, append(pemOf("EC PARAMETERS", []byte{5, 0}), pemOf("EC PRIVATE KEY", sec1)...))
	if _, err := LoadTLS(f); err == nil || !strings.Contains(err.Error(), "is not the key") {
		t.Errorf("another key in SEC 1: %v", err)
	}

	// Lists: in DER, several in PEM, one that never ends, one that is said to be a part.
	soon := time.Now().Add(time.Minute).Truncate(time.Second)
	first := ca.crl(t, func(l *x509.RevocationList) { l.NextUpdate = soon }, expired.Leaf)
	part := other.crl(t, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: partOfCRL, Critical: true, Value: []byte{0x30, 0}}}
	})
	for name, data := range map[string][]byte{"DER": first, "PEM": pemOf("X509 CRL", part, first)} {
		loaded := load(t, filesOf(t, expired, data, ca, other))
		if !loaded.revoked.has(expired.Leaf) || loaded.revoked.has(future.Leaf) || !loaded.CRLNextUpdate().Equal(soon) {
			t.Errorf("%s: %v, next %v", name, loaded.revoked, loaded.CRLNextUpdate())
		}
	}
	endless := withoutNextUpdate(t, ca)
	if got := load(t, filesOf(t, expired, endless, ca)).CRLNextUpdate(); !got.IsZero() {
		t.Errorf("a list without an end: next %v", got)
	}
}

// withoutNextUpdate makes a list that never ends, which crypto/x509 reads and does not write.
func withoutNextUpdate(t *testing.T, a *authority) []byte {
	t.Helper()
	list, err := x509.ParseRevocationList(a.crl(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	var tbs struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		ThisUpdate time.Time
		NextUpdate time.Time
		Extensions asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(list.RawTBSRevocationList, &tbs); err != nil {
		t.Fatal(err)
	}
	raw, err := asn1.Marshal(struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		ThisUpdate time.Time
	}{tbs.Version, tbs.Algorithm, tbs.Issuer, tbs.ThisUpdate})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(raw)
	signature, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: raw}, tbs.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
