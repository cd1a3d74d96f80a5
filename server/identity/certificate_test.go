package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// connOf is a connection that came with cert; whether a handshake would have let it in does not matter to what States say of it.
func connOf(t testing.TB, cert tls.Certificate) *Conn {
	t.Helper()
	c := &Conn{listener: theListener, secured: true, uid: 1000, hasUID: true} // a uid that must not count
	for _, der := range cert.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		c.certs = append(c.certs, parsed)
	}
	return c
}

func loopbackTLS(t testing.TB, crl []byte, cas ...*authority) *TLS {
	t.Helper()
	return load(t, filesOf(t, newAuthority(t, "server's", nil).issue(t, server), crl, cas...))
}

// TestCertificate: who a certificate stands for, and which stand for nobody.
func TestCertificate(t *testing.T) {
	ca, wrong := newAuthority(t, "ca", nil), newAuthority(t, "wrong", nil)
	middle, lower := newAuthority(t, "middle", ca), (*authority)(nil)
	lower = newAuthority(t, "lower", middle)
	s := newState(t, loopbackTLS(t, nil, ca),
		Caller{Name: "edge", TLSSANs: []string{"spiffe://corp/edge", "edge.corp.example", "*.wild.example"}},
		Caller{Name: "core", TLSSANs: []string{"spiffe://corp/core", "Core.Corp.Example", "w.wild.example"}},
		Caller{Name: "me", UIDs: []uint32{1000}})
	now := time.Now()
	hour := now.Add(time.Hour).Truncate(time.Second)
	both := func(uris, names []string) func(*x509.Certificate) { return named(t, uris, names) }
	dns := func(names ...string) func(*x509.Certificate) { return named(t, nil, names) }

	for _, test := range []struct {
		name string
		cert tls.Certificate
		want string // the caller; empty: ErrBadIdentity
		why  string // in the detail
	}{
		{"URI", ca.issue(t, uri(t, "spiffe://corp/edge")), "edge", ""},
		{"DNS name", ca.issue(t, dns("edge.corp.example")), "edge", ""},
		{"DNS name in capitals", ca.issue(t, dns("EDGE.Corp.example")), "edge", ""},
		{"DNS name configured in capitals", ca.issue(t, dns("core.corp.example")), "core", ""},
		{"two names of one caller", ca.issue(t, both([]string{"spiffe://corp/edge"}, []string{"edge.corp.example"})), "edge", ""},
		{"an unknown name besides", ca.issue(t, both([]string{"spiffe://corp/x"}, []string{"x.example", "edge.corp.example"})), "edge", ""},
		{"literal wildcard", ca.issue(t, dns("*.wild.example")), "edge", ""},
		{"through an intermediate CA", middle.issue(t, uri(t, "spiffe://corp/edge"), middle), "edge", ""},
		{"through two", lower.issue(t, uri(t, "spiffe://corp/edge"), lower, middle), "edge", ""},
		{"through two, out of order", lower.issue(t, uri(t, "spiffe://corp/edge"), middle, lower), "edge", ""},
		{"any extended key usage", ca.issue(t, func(c *x509.Certificate) {
			uri(t, "spiffe://corp/edge")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		}), "edge", ""},

		{"a name that the wildcard covers", ca.issue(t, dns("v.wild.example")), "", "no caller's name"},
		{"a wildcard that covers the name", ca.issue(t, dns("*.corp.example")), "", "no caller's name"},
		{"URI in other case", ca.issue(t, uri(t, "spiffe://corp/Edge")), "", "no caller's name"},
		{"URI as DNS name", ca.issue(t, dns("spiffe://corp/edge")), "", "no caller's name"},
		{"URI with more", ca.issue(t, uri(t, "spiffe://corp/edge?x")), "", "no caller's name"},
		{"DNS name with its dot", ca.issue(t, dns("edge.corp.example.")), "", "no caller's name"},
		{"common name alone", ca.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName = "edge.corp.example"
		}), "", "no URI and no DNS name"},
		{"other kinds of names", ca.issue(t, func(c *x509.Certificate) {
			c.EmailAddresses, c.IPAddresses = []string{"edge.corp.example"}, []net.IP{net.IPv4(192, 0, 2, 1)}
		}), "", "no URI and no DNS name"},
		{"unknown name", ca.issue(t, uri(t, "spiffe://corp/other")), "", `"spiffe://corp/other"`},
		{"two callers", ca.issue(t, both([]string{"spiffe://corp/edge"}, []string{"core.corp.example"})), "", "two callers"},
		{"expired", ca.issue(t, func(c *x509.Certificate) {
			uri(t, "spiffe://corp/edge")(c)
			c.NotAfter = now.Add(-time.Minute)
		}), "", "expired"},
		{"not yet valid", ca.issue(t, func(c *x509.Certificate) {
			uri(t, "spiffe://corp/edge")(c)
			c.NotBefore = now.Add(time.Minute)
		}), "", "not yet valid"},
		{"wrong CA", wrong.issue(t, uri(t, "spiffe://corp/edge")), "", "unknown authority"},
		{"wrong CA, the right one along", wrong.issue(t, uri(t, "spiffe://corp/edge"), ca), "", "unknown authority"},
		{"intermediate CA not sent", lower.issue(t, uri(t, "spiffe://corp/edge"), lower), "", "unknown authority"},
		{"certified by one that is no CA", certifiedBy(t, ca.issue(t, uri(t, "spiffe://corp/edge"))), "", "unknown authority"},
		{"server's key usage", ca.issue(t, func(c *x509.Certificate) {
			uri(t, "spiffe://corp/edge")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "", "incompatible key usage"},
		{"many names", ca.issue(t, dns(strings.Fields(strings.Repeat(strings.Repeat("long.", 40)+"example ", 50))...)), "", "..."},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := connOf(t, test.cert)
			for range 2 { // the second from memory
				id, err := s.Identify(c, nil, now)
				if test.want != "" {
					if err != nil || id.Name != test.want || !id.Until.Equal(hour) {
						t.Fatalf("%+v, %v; want %s until %v", id, err, test.want, hour)
					}
					continue
				}
				if id != (Identity{}) {
					t.Errorf("is %+v", id)
				}
				checkBad(t, err)
				if detail := detailOf(t, err); !strings.Contains(detail, test.why) {
					t.Errorf("detail %q, want %q in it", detail, test.why)
				}
			}
		})
	}
}

// certifiedBy returns a certificate for edge that leaf, which is no CA, has certified.
func certifiedBy(t *testing.T, leaf tls.Certificate) tls.Certificate {
	t.Helper()
	a := &authority{cert: leaf.Leaf, key: keyOf(t, leaf)}
	return a.issue(t, uri(t, "spiffe://corp/edge"), a)
}

// TestUntil: the earliest end in the chain is the identity's, to the second, and it is looked at on each RPC.
func TestUntil(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	middle := newAuthority(t, "middle", ca)
	end := middle.cert.NotAfter
	cert := middle.issue(t, func(c *x509.Certificate) { uri(t, "spiffe://corp/edge")(c); c.NotAfter = end.Add(time.Hour) }, middle)
	s := newState(t, loopbackTLS(t, nil, ca), Caller{Name: "edge", TLSSANs: []string{"spiffe://corp/edge"}})
	c := connOf(t, cert)
	begin := c.certs[0].NotBefore
	for _, step := range []struct {
		now  time.Time
		good bool
	}{
		{time.Now(), true},
		{end, true},
		{end.Add(time.Nanosecond), false},
		{end.Add(time.Hour), false},
		{end, true}, // a clock that was set back
		{begin, true},
		{begin.Add(-time.Nanosecond), false},
		{time.Now(), true},
	} {
		id, err := s.Identify(c, nil, step.now)
		if step.good && (err != nil || !id.Until.Equal(end)) || !step.good && !errors.Is(err, ErrBadIdentity) {
			t.Errorf("at %v: %+v, %v; want good: %t, until %v", step.now, id, err, step.good, end)
		}
	}
}

// TestBadCertificateIsJudgedAgain: one that is not valid yet becomes so.
func TestBadCertificateIsJudgedAgain(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	begin := time.Now().Add(time.Minute).Truncate(time.Second)
	cert := ca.issue(t, func(c *x509.Certificate) { uri(t, "spiffe://corp/edge")(c); c.NotBefore = begin })
	s := newState(t, loopbackTLS(t, nil, ca), Caller{Name: "edge", TLSSANs: []string{"spiffe://corp/edge"}})
	c := connOf(t, cert)
	if _, err := s.Identify(c, nil, begin.Add(-time.Millisecond)); !errors.Is(err, ErrBadIdentity) {
		t.Errorf("before: %v", err)
	}
	if id, err := s.Identify(c, nil, begin.Add(badFor)); err != nil {
		t.Errorf("after: %+v, %v", id, err)
	}
}

// TestStandingConnectionIsJudgedByTheStateInForce: also back and forth, and with the States asked at the same time.
func TestStandingConnectionIsJudgedByTheStateInForce(t *testing.T) {
	ca, other := newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	renewed := &authority{key: ca.key}
	renewed.cert = sign(t, &x509.Certificate{
		SerialNumber: ca.cert.SerialNumber, Subject: ca.cert.Subject, NotBefore: ca.cert.NotBefore, NotAfter: ca.cert.NotAfter.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: ca.cert.KeyUsage,
	}, ca.cert, ca.key, ca.key)
	middle := newAuthority(t, "middle", ca)
	cert := middle.issue(t, uri(t, "spiffe://corp/edge"), middle)
	neighbour := middle.issue(t, nil)
	edge := Caller{Name: "edge", TLSSANs: []string{"spiffe://corp/edge"}}
	crls := func(lists ...[]byte) []byte { return pemOf("X509 CRL", lists...) }

	states := []struct {
		name  string
		state *State
		want  string
	}{
		{"as it was", newState(t, loopbackTLS(t, nil, ca), edge), "edge"},
		{"renamed", newState(t, loopbackTLS(t, nil, ca), Caller{Name: "rim", TLSSANs: edge.TLSSANs}), "rim"},
		{"SAN removed", newState(t, loopbackTLS(t, nil, ca), Caller{Name: "edge"}), ""},
		{"CA changed", newState(t, loopbackTLS(t, nil, other), edge), ""},
		{"CA changed for one of its name", newState(t, loopbackTLS(t, nil, newAuthority(t, "ca", nil)), edge), ""},
		{"CA renewed with its key", newState(t, loopbackTLS(t, nil, renewed), edge), "edge"},
		{"CA added", newState(t, loopbackTLS(t, nil, other, ca), edge), "edge"},
		{"revoked", newState(t, loopbackTLS(t, middle.crl(t, nil, cert.Leaf), ca, middle), edge), ""},
		{"another revoked", newState(t, loopbackTLS(t, middle.crl(t, nil, neighbour.Leaf), ca, middle), edge), "edge"},
		{"its number revoked by another CA", newState(t, loopbackTLS(t, other.crl(t, nil, cert.Leaf), ca, other), edge), "edge"},
		{"issuer revoked", newState(t, loopbackTLS(t, ca.crl(t, nil, middle.cert), ca), edge), ""},
		{"issuer revoked, but trusted", newState(t, loopbackTLS(t, ca.crl(t, nil, middle.cert), ca, middle), edge), ""},
		{"revoked in the second list", newState(t, loopbackTLS(t, crls(ca.crl(t, nil), middle.crl(t, nil, cert.Leaf)), ca, middle), edge), ""},
		{"no client CA any more", newState(t, loopbackTLS(t, nil), edge), ""},
		{"no TLS any more", newState(t, nil, edge), ""},
	}
	c := connOf(t, cert)
	check := func(i int) {
		id, err := states[i].state.Identify(c, nil, time.Now())
		if states[i].want == "" && !errors.Is(err, ErrBadIdentity) || id.Name != states[i].want {
			t.Errorf("%s: %+v, %v; want %q", states[i].name, id, err, states[i].want)
		}
	}
	for i := range states {
		for j := range states {
			check(i)
			check(j)
			check(j)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				for i := range states {
					check(i)
				}
			}
		})
	}
	all.Wait()
}

// TestWithoutClientCAsTheSystemsDoNotCount: crypto/x509 takes the system's roots where it is given none.
func TestWithoutClientCAsTheSystemsDoNotCount(t *testing.T) {
	c := connOf(t, newAuthority(t, "ca", nil).issue(t, uri(t, "spiffe://corp/edge")))
	for name, s := range map[string]*State{"no client CA": newState(t, loopbackTLS(t, nil)), "no TLS": newState(t, nil)} {
		_, err := s.Identify(c, nil, time.Now())
		checkBad(t, err)
		if detail := detailOf(t, err); !strings.Contains(detail, "takes no client certificates") {
			t.Errorf("%s: %q: was verified all the same", name, detail)
		}
	}
}

// TestNoIdentity: what tells nothing is not the same as what is wrong.
func TestNoIdentity(t *testing.T) {
	s := newState(t, nil, Caller{Name: "me", UIDs: []uint32{1000, 0}})
	for _, test := range []struct {
		name string
		conn *Conn
		want string
	}{
		{"no connection", nil, ""},
		{"nothing", &Conn{}, ""}, // though uid 0 is known
		{"unknown uid", &Conn{uid: 1001, hasUID: true}, ""},
		{"known uid", &Conn{uid: 1000, hasUID: true}, "me"},
		{"root", &Conn{uid: 0, hasUID: true}, "me"},
	} {
		id, err := s.Identify(test.conn, nil, time.Now())
		if id != (Identity{Name: test.want}) || (err == nil) != (test.want != "") {
			t.Errorf("%s: %+v, %v; want %q", test.name, id, err, test.want)
		}
		if err != nil {
			if !errors.Is(err, ErrNoIdentity) || errors.Is(err, ErrBadIdentity) || err.Error() != ErrNoIdentity.Error() {
				t.Errorf("%s: %v, want ErrNoIdentity in its own words", test.name, err)
			}
			detailOf(t, err)
		}
	}
}

// TestTheCredentialGivenDecides: a token before a certificate before a uid, and never the next where one is wrong.
func TestTheCredentialGivenDecides(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	s := newState(t, loopbackTLS(t, nil, ca),
		Caller{Name: "token", TokenSHA256: [][32]byte{HashToken("t")}},
		Caller{Name: "certificate", TLSSANs: []string{"c.example"}},
		Caller{Name: "uid", UIDs: []uint32{1000}})
	good, bad := connOf(t, ca.issue(t, named(t, nil, []string{"c.example"}))), connOf(t, ca.issue(t, nil))
	uid := &Conn{uid: 1000, hasUID: true}
	for _, test := range []struct {
		conn   *Conn
		values []string
		want   string // empty: ErrBadIdentity
	}{
		{good, []string{"Bearer t"}, "token"},
		{bad, []string{"Bearer t"}, "token"},
		{uid, []string{"Bearer t"}, "token"},
		{good, []string{"Bearer x"}, ""},
		{uid, []string{"Bearer x"}, ""},
		{uid, []string{""}, ""},
		{good, nil, "certificate"},
		{good, []string{}, "certificate"},
		{bad, nil, ""},
		{uid, nil, "uid"},
	} {
		id, err := s.Identify(test.conn, test.values, time.Now())
		if id.Name != test.want || (test.want == "") != errors.Is(err, ErrBadIdentity) {
			t.Errorf("certificates %d, %q: %+v, %v; want %q", len(test.conn.certs), test.values, id, err, test.want)
		}
	}
}

// TestErrorsGiveNothingAway: a wrong token, an unknown name and a revoked certificate are told in the same words, fit for a
// status.
func TestErrorsGiveNothingAway(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	revoked := ca.issue(t, uri(t, "spiffe://corp/edge"))
	s := newState(t, loopbackTLS(t, ca.crl(t, nil, revoked.Leaf), ca),
		Caller{Name: "edge", TLSSANs: []string{"spiffe://corp/edge"}, TokenSHA256: [][32]byte{HashToken("t")}})
	details := make(map[string]bool)
	for _, test := range []struct {
		cert   tls.Certificate
		values []string
	}{
		{revoked, nil},
		{ca.issue(t, uri(t, "spiffe://corp/other")), nil},
		{tls.Certificate{}, []string{"Bearer unknown"}},
		{tls.Certificate{}, []string{"t"}},
	} {
		_, err := s.Identify(connOf(t, test.cert), test.values, time.Now())
		checkBad(t, err)
		details[detailOf(t, err)] = true
	}
	if len(details) != 4 {
		t.Errorf("the log cannot tell them apart: %v", details)
	}
	if strings.ContainsAny(ErrBadIdentity.Error()+ErrNoIdentity.Error(), "\n%\"") {
		t.Error("more than a sentence")
	}
}

// TestIdentifyDoesNotAllocate: what is asked on every RPC of a connection that stands.
func TestIdentifyDoesNotAllocate(t *testing.T) {
	ca := newAuthority(t, "ca", nil)
	s := newState(t, loopbackTLS(t, nil, ca),
		Caller{Name: "edge", TLSSANs: []string{"c.example"}, TokenSHA256: [][32]byte{HashToken("t")}})
	c := connOf(t, ca.issue(t, named(t, nil, []string{"c.example"})))
	now := time.Now()
	for _, values := range [][]string{nil, {"Bearer t"}} {
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := s.Identify(c, values, now); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations, want none", values, n)
		}
	}
}
