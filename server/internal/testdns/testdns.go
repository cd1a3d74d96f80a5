// Package testdns is a scripted DNS server for tests. It listens on a loopback UDP port, and
// answers each name and type as the test says.
package testdns

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Kind is a kind of answer.
type Kind string

// The kinds of answers. Any other text is an address, or addresses with commas.
const (
	Empty    Kind = "empty"    // the name exists and has no record of the type
	Alias    Kind = "alias"    // as Empty, after a CNAME record
	NXDomain Kind = "nxdomain" // the name does not exist
	ServFail Kind = "servfail"
	Refused  Kind = "refused"
	Lame     Kind = "lame"   // a referral, by a server that does not know the name
	Silent   Kind = "silent" // no answer at all
)

// Name is what the server answers for a name: for A, and for AAAA.
type Name struct{ A, AAAA Answer }

// Answer is the answer for one type: addresses, or a kind if there are none.
type Answer struct {
	Addrs []netip.Addr
	Kind  Kind
}

// Addrs returns the answer that holds the addresses.
func Addrs(texts ...string) Answer {
	var a Answer
	for _, text := range texts {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return a
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	conn  net.PacketConn
	names map[string]Name

	mu    sync.Mutex
	asked map[string]int
}

// Start starts a server that knows names, by their absolute form in lower case. Other names do not
// exist. The server ends with the test.
func Start(t testing.TB, names map[string]Name) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", names)
}

// StartAt is Start at an address.
func StartAt(t testing.TB, address string, names map[string]Name) *Server {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{conn: conn, names: names, asked: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

// Resolver returns Go's own resolver, which asks this server and no other.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: s.Dial}
}

// Dial connects to the server, whatever address is asked for. The connection is closed when ctx is
// canceled, as with resolve.Default: Go's resolver itself would read on from a silent server.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	if err == nil {
		context.AfterFunc(ctx, func() {
			if ctx.Err() == context.Canceled {
				conn.Close()
			}
		})
	}
	return conn, err
}

// Asked returns how many queries came, by type and name ("A a.test.").
func (s *Server) Asked(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

func (s *Server) serve() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := s.reply(buffer[:n]); reply != nil {
			s.conn.WriteTo(reply, from)
		}
	}
}

// reply returns the answer to a query; nil for none.
func (s *Server) reply(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := s.names[q.Name.String()]
	answer, known := name.A, name.A.Kind != "" || name.A.Addrs != nil
	kind := "A "
	if q.Type == dnsmessage.TypeAAAA {
		answer, known, kind = name.AAAA, name.AAAA.Kind != "" || name.AAAA.Addrs != nil, "AAAA "
	}
	if !known {
		answer.Kind = NXDomain
	}
	s.mu.Lock()
	s.asked[kind+q.Name.String()]++
	s.mu.Unlock()
	if answer.Kind == Silent {
		return nil
	}
	return message(header.ID, q, answer)
}

// message encodes an answer.
func message(id uint16, q dnsmessage.Question, answer Answer) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: true, RecursionAvailable: answer.Kind != Lame},
		Questions: []dnsmessage.Question{q},
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	switch answer.Kind {
	case NXDomain:
		m.RCode = dnsmessage.RCodeNameError
	case ServFail:
		m.RCode = dnsmessage.RCodeServerFailure
	case Refused:
		m.RCode = dnsmessage.RCodeRefused
	case Alias:
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: header, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("elsewhere.test.")},
		})
	}
	for _, addr := range answer.Addrs {
		r := dnsmessage.Resource{Header: header}
		if addr.Is4() {
			r.Body = &dnsmessage.AResource{A: addr.As4()}
		} else {
			r.Body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		}
		m.Answers = append(m.Answers, r)
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}
