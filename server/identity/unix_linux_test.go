package identity

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestUnix: the kernel says who connects.
func TestUnix(t *testing.T) {
	own := uint32(os.Getuid())
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	me := Caller{Name: "me", UIDs: []uint32{own}}
	s := serve(t, l, newState(t, nil, edge, me))
	cc := s.dial(t, plain)
	if name, authType, err := ask(t, cc); name != "me" || authType != "unix" || err != nil {
		t.Errorf("%q by %q, %v", name, authType, err)
	}
	wantCaller(t, cc, "edge", "Bearer edges-token")
	wantRefused(t, cc, ErrBadIdentity, "Bearer wrong")

	s.gate.Set(newState(t, nil, edge, Caller{Name: "other", UIDs: []uint32{own + 1}}))
	wantRefused(t, cc, ErrNoIdentity)
	wantRefused(t, s.dial(t, plain), ErrNoIdentity)
	wantCaller(t, cc, "edge", "Bearer edges-token")
}

// TestUnixWithTLS: a certificate counts for more than the uid, and none leaves the uid.
func TestUnixWithTLS(t *testing.T) {
	house, ca := newAuthority(t, "house", nil), newAuthority(t, "ca", nil)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	me := Caller{Name: "me", UIDs: []uint32{uint32(os.Getuid())}}
	s := serve(t, l, newState(t, load(t, filesOf(t, house.issue(t, server), nil, ca)), edge, me))
	wantCaller(t, s.dial(t, clientTLS(house, nil, ca.issue(t, uri(t, "spiffe://corp/edge")))), "edge")
	wantRefused(t, s.dial(t, clientTLS(house, nil, ca.issue(t, nil))), ErrBadIdentity)
	wantCaller(t, s.dial(t, clientTLS(house, nil)), "me")
}
