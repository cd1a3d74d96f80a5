package identity

import (
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Identity is who calls.
type Identity struct {
	// Name is the caller's.
	Name string

	// Until is the end of what the identity rests on: the earliest NotAfter of the certificates of the chain, up to and including
	// which it holds. Zero: no end of its own.
	Until time.Time
}

// Identify says who makes an RPC that came over c, nil for a connection of which nothing is known, with the values of its
// authorization header, as of now. The first of these that is there decides, right or wrong: the header, the client certificate,
// the user at the other end of a unix socket.
//
// The certificate is judged by what this State has for the listener that c came by, not by what was in force when c came. That
// is done once per connection and State; the end of its validity is looked at each time. A connection whose listener asks for no
// certificates any more, but that gave one, has a bad identity.
//
// All errors are *Error, wrapping ErrNoIdentity or ErrBadIdentity. Call it from any goroutine.
func (s *State) Identify(c *Conn, authorization []string, now time.Time) (Identity, error) {
	switch {
	case len(authorization) > 0:
		return s.identifyToken(authorization)
	case c == nil:
		return Identity{}, noIdentity("the connection tells nothing")
	case len(c.certs) > 0:
		return s.identifyCertificate(c, now)
	case c.hasUID:
		if name, ok := s.byUID[c.uid]; ok {
			return Identity{Name: name}, nil
		}
		return Identity{}, noIdentity("no caller has the uid %d", c.uid)
	}
	return Identity{}, noIdentity("neither a token nor a client certificate nor a unix user")
}

func (s *State) identifyToken(values []string) (Identity, error) {
	token, err := bearer(values)
	if err != nil {
		return Identity{}, err
	}
	at := find(s.hashes, HashToken(token), subtle.ConstantTimeCompare)
	if at < 0 {
		return Identity{}, badIdentity("the token is no caller's")
	}
	return Identity{Name: s.owners[at]}, nil
}

func (s *State) identifyCertificate(c *Conn, now time.Time) (Identity, error) {
	j := c.judged.Load()
	if j == nil || j.state != s || now.Before(j.from) || now.After(j.until) {
		j = s.judge(c, now)
		c.judged.Store(j)
	}
	return j.identity, j.err
}

// judgement is what one State says of one connection's certificate, from one time until another, both included.
type judgement struct {
	state       *State
	from, until time.Time
	identity    Identity
	err         error
}

// badFor is how long a bad certificate is taken to be so without another look, which costs some 100 µs. It may become valid only
// because time passes.
const badFor = time.Second

func (s *State) judge(c *Conn, now time.Time) *judgement {
	bad := func(err error) *judgement {
		return &judgement{state: s, from: now, until: now.Add(badFor), err: err}
	}
	t := s.listeners[c.listener]
	if t == nil || t.clientCAs == nil {
		return bad(badIdentity("listener %q takes no client certificates any more", c.listener))
	}
	leaf := c.certs[0]
	from, until, err := t.verify(c.certs, now)
	if err != nil {
		return bad(badIdentity("client certificate %x of listener %q: %v", leaf.SerialNumber, c.listener, err))
	}
	name, err := s.callerOf(leaf)
	if err != nil {
		return bad(err)
	}
	return &judgement{state: s, from: from, until: until, identity: Identity{Name: name, Until: until}}
}

// callerOf returns the one caller that the names in cert, which is verified, belong to.
func (s *State) callerOf(cert *x509.Certificate) (string, error) {
	found := ""
	for san := range sansOf(cert) {
		name, ok := s.bySAN[san]
		if !ok {
			continue
		}
		if found != "" && name != found {
			return "", badIdentity("client certificate %x has names of two callers, %q and %q", cert.SerialNumber, found, name)
		}
		found = name
	}
	if found == "" {
		return "", badIdentity("client certificate %x has no caller's name%s", cert.SerialNumber, namesIn(cert))
	}
	return found, nil
}

// namesIn tells the first of the names in cert, for the log.
func namesIn(cert *x509.Certificate) string {
	const most = 4
	var b strings.Builder
	n := 0
	for san := range sansOf(cert) {
		if n++; n > most {
			b.WriteString(", …")
			break
		}
		fmt.Fprintf(&b, ", %q", san)
	}
	if n == 0 {
		return ": it has no URI and no DNS name"
	}
	return ":" + b.String()[1:]
}
