package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// TestReload: connections and their streams stay through States, are judged by each, and new handshakes see its files.
func TestReload(t *testing.T) {
	house, ca, other := newAuthority(t, "house", nil), newAuthority(t, "ca", nil), newAuthority(t, "other", nil)
	first, second := house.issue(t, server), house.issue(t, server)
	client := ca.issue(t, uri(t, "spiffe://corp/edge"))
	s := serve(t, listenTCP(t), newState(t, load(t, filesOf(t, first, nil, ca)), edge))
	trust := func(saw **x509.Certificate) credentials.TransportCredentials {
		return clientTLS(house, func(c *tls.Config) {
			c.VerifyConnection = func(state tls.ConnectionState) error { *saw = state.PeerCertificates[0]; return nil }
		}, client)
	}
	var saw *x509.Certificate
	standing := s.dial(t, trust(&saw))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	watch, err := healthpb.NewHealthClient(standing).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	serving := true
	streamGoesOn := func() {
		t.Helper()
		update, err := watch.Recv()
		if err != nil || (update.Status == healthpb.HealthCheckResponse_SERVING) != serving {
			t.Fatalf("%v, %v; want serving: %t", update, err, serving)
		}
		serving = !serving
		next := healthpb.HealthCheckResponse_NOT_SERVING
		if serving {
			next = healthpb.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus("", next)
	}
	streamGoesOn()
	wantCaller(t, standing, "edge")
	if !saw.Equal(first.Leaf) {
		t.Error("the first handshake saw another certificate")
	}

	for _, step := range []struct {
		name     string
		tls      *TLS
		caller   Caller
		standing string // empty: ErrBadIdentity
		fresh    bool   // a new handshake is let in, and sees the second certificate
	}{
		{"another server certificate", load(t, filesOf(t, second, nil, ca)), edge, "edge", true},
		{"renamed", load(t, filesOf(t, second, nil, ca)), Caller{Name: "rim", TLSSANs: edge.TLSSANs}, "rim", true},
		{"SAN removed", load(t, filesOf(t, second, nil, ca)), Caller{Name: "edge", TLSSANs: edge.TLSSANs[1:]}, "", true},
		{"revoked", load(t, filesOf(t, second, ca.crl(t, nil, client.Leaf), ca)), edge, "", false},
		{"CA changed", load(t, filesOf(t, second, nil, other)), edge, "", false},
		{"as before", load(t, filesOf(t, second, nil, ca)), edge, "edge", true},
		{"no TLS any more", nil, edge, "", false},
	} {
		s.gate.Set(newState(t, step.tls, step.caller))
		saw = nil
		fresh := s.dial(t, trust(&saw))
		if step.standing != "" {
			wantCaller(t, standing, step.standing)
			wantCaller(t, fresh, step.standing)
		} else {
			wantRefused(t, standing, ErrBadIdentity)
			if step.fresh {
				wantRefused(t, fresh, ErrBadIdentity)
			} else {
				wantNoHandshake(t, fresh)
			}
		}
		if step.fresh && !saw.Equal(second.Leaf) {
			t.Errorf("%s: a new handshake saw another certificate than the second", step.name)
		}
		streamGoesOn()
		fresh.Close()
		if t.Failed() {
			t.Fatalf("step: %s", step.name)
		}
	}
}

// TestNeverFallsBackToPlaintext: neither from the TLS of the first State nor from that of a later one.
func TestNeverFallsBackToPlaintext(t *testing.T) {
	house := newAuthority(t, "house", nil)
	secure := newState(t, load(t, filesOf(t, house.issue(t, server), nil)), edge)
	bare := newState(t, nil, edge)

	s := serve(t, listenTCP(t), bare)
	before := s.dial(t, plain)
	wantCaller(t, before, "edge", "Bearer edges-token")
	s.gate.Set(secure)
	wantCaller(t, before, "edge", "Bearer edges-token") // it stands
	wantNoHandshake(t, s.dial(t, plain))
	wantCaller(t, s.dial(t, clientTLS(house, nil)), "edge", "Bearer edges-token")
	for range 2 {
		s.gate.Set(bare)
		wantNoHandshake(t, s.dial(t, plain))
		wantNoHandshake(t, s.dial(t, clientTLS(house, nil)))
	}
	s.gate.Set(secure)
	wantCaller(t, s.dial(t, clientTLS(house, nil)), "edge", "Bearer edges-token")
}
