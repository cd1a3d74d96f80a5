package resolve

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/internal/testdns"
)

// TestOutcomesOfGoResolver: each kind of answer of a name server is read as what it says, through
// Go's own resolver, for both families.
func TestOutcomesOfGoResolver(t *testing.T) {
	four, six := testdns.Addrs("192.0.2.1", "192.0.2.2"), testdns.Addrs("2001:db8::1")
	server := testdns.Start(t, map[string]testdns.Name{
		"found.test.":    {A: four, AAAA: six},
		"empty.test.":    {A: testdns.Answer{Kind: testdns.Empty}, AAAA: testdns.Answer{Kind: testdns.Empty}},
		"alias.test.":    {A: testdns.Answer{Kind: testdns.Alias}, AAAA: testdns.Answer{Kind: testdns.Alias}},
		"servfail.test.": {A: testdns.Answer{Kind: testdns.ServFail}, AAAA: testdns.Answer{Kind: testdns.ServFail}},
		"refused.test.":  {A: testdns.Answer{Kind: testdns.Refused}, AAAA: testdns.Answer{Kind: testdns.Refused}},
		"lame.test.":     {A: testdns.Answer{Kind: testdns.Lame}, AAAA: testdns.Answer{Kind: testdns.Lame}},
		"silent.test.":   {A: testdns.Answer{Kind: testdns.Silent}, AAAA: testdns.Answer{Kind: testdns.Silent}},
	})
	hasty := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := server.Dial(ctx, network, address)
		return hastyConn{conn}, err
	}}
	for _, tt := range []struct {
		name     string
		resolver Resolver
		want     State
	}{
		{"found.test", server.Resolver(), Found},
		{"empty.test", server.Resolver(), NotFound},
		{"alias.test", server.Resolver(), NotFound},
		{"nothing.test", server.Resolver(), NotFound},
		{"servfail.test", server.Resolver(), Failed},
		{"refused.test", server.Resolver(), Failed},
		{"lame.test", server.Resolver(), Failed},
		{"silent.test", hasty, NoAnswer},
	} {
		for _, family := range []Family{IPv4, IPv6} {
			r := newGroup(Config{Resolver: tt.resolver}).Request(t.Context())
			r.Lookup(tt.name, family, 1)
			got := <-r.Answers()
			part, wantAddrs := got.IPv4, four.Addrs
			if family == IPv6 {
				part, wantAddrs = got.IPv6, six.Addrs
			}
			if part.State != tt.want {
				t.Errorf("%s, %s: state %d (%v), want %d", tt.name, family.network(), part.State, part.Err, tt.want)
			}
			if tt.want == Found && !slices.Equal(got.Addrs, wantAddrs) {
				t.Errorf("%s, %s: %v, want %v", tt.name, family.network(), got.Addrs, wantAddrs)
			}
			if errors.Is(got.Err, ErrLookupFailed) != tt.want.Unknown() || errors.Is(got.Err, ErrNotFound) != (tt.want == NotFound) {
				t.Errorf("%s, %s: error %v", tt.name, family.network(), got.Err)
			}
		}
	}
}

// hastyConn sends queries and waits for no answer, so that a server's silence takes no time.
type hastyConn struct{ net.Conn }

func (c hastyConn) SetDeadline(time.Time) error { return c.Conn.SetReadDeadline(time.Unix(1, 0)) }

// TestOneQueryPerFamily: 40 requests that ask for one name at once make one query per family.
func TestOneQueryPerFamily(t *testing.T) {
	server := testdns.Start(t, map[string]testdns.Name{
		"a.test.": {A: testdns.Addrs("192.0.2.1"), AAAA: testdns.Addrs("2001:db8::1")},
	})
	group := newGroup(Config{Resolver: server.Resolver()})
	answers := make(chan Answer)
	for range 40 {
		go func() {
			r := group.Request(t.Context())
			r.Lookup("a.test", Any, 1)
			answers <- <-r.Answers()
		}()
	}
	for range 40 {
		if got := <-answers; got.Err != nil {
			t.Errorf("%+v", got)
		}
	}
	for _, question := range []string{"A a.test.", "AAAA a.test."} {
		if n := server.Asked(question); n != 1 {
			t.Errorf("%s: %d queries, want 1", question, n)
		}
	}
}
