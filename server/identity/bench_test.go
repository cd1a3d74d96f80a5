package identity

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkIdentify: what each RPC pays to be known, on a connection that stands. judge is what the first RPC after a reload
// pays.
func BenchmarkIdentify(b *testing.B) {
	ca := newAuthority(b, "ca", nil)
	for _, callers := range []int{1, 1000} {
		list := []Caller{{
			Name: "edge", TLSSANs: []string{"spiffe://corp/edge"}, TokenSHA256: [][32]byte{HashToken("edge")}, UIDs: []uint32{1000},
		}}
		for i := range callers - 1 {
			name := fmt.Sprintf("caller-%d", i)
			list = append(list, Caller{Name: name, TLSSANs: []string{name + ".example"}, TokenSHA256: [][32]byte{HashToken(name)}})
		}
		crl := ca.crl(b, nil, ca.issue(b, nil).Leaf)
		s := newState(b, loopbackTLS(b, crl, ca), list...)
		cert := connOf(b, ca.issue(b, uri(b, "spiffe://corp/edge")))
		now := time.Now()
		run := func(by string, c *Conn, values []string, before func()) {
			b.Run(fmt.Sprintf("by=%s/callers=%d", by, callers), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					before()
					if id, err := s.Identify(c, values, now); err != nil || id.Name != "edge" {
						b.Fatal(id, err)
					}
				}
			})
		}
		nothing := func() {}
		run("certificate", cert, nil, nothing)
		run("uid", &Conn{uid: 1000, hasUID: true}, nil, nothing)
		run("token", nil, []string{"Bearer edge"}, nothing)
		run("judge", cert, nil, func() { cert.judged.Store(nil) })
	}
}
