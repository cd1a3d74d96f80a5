package identity

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"
)

// TestLevels: what gRPC's own credentials would say of the connections.
func TestLevels(t *testing.T) {
	creds := NewGate(newState(t, nil)).Credentials()
	unix := &net.UnixAddr{Net: "unix"}
	for _, test := range []struct {
		name  string
		conn  net.Conn
		level credentials.SecurityLevel
		auth  string
	}{
		{"TCP, no tag", addrConn{addr: &net.TCPAddr{}}, credentials.NoSecurity, "insecure"},
		{"TCP", &taggedConn{Conn: addrConn{addr: &net.TCPAddr{}}, listener: theListener}, credentials.NoSecurity, "insecure"},
		{"unix, no tag", addrConn{addr: unix}, credentials.PrivacyAndIntegrity, "unix"},
		{"unix", &taggedConn{Conn: addrConn{addr: unix}, listener: theListener}, credentials.PrivacyAndIntegrity, "unix"},
	} {
		conn, info, err := creds.Clone().ServerHandshake(test.conn)
		c, ok := info.(*Conn)
		if err != nil || conn != test.conn || !ok {
			t.Fatalf("%s: %v, %T, %v", test.name, conn, info, err)
		}
		if c.GetCommonAuthInfo().SecurityLevel != test.level || c.AuthType() != test.auth || c.hasUID {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
	if _, _, err := creds.ClientHandshake(t.Context(), "", nil); err == nil {
		t.Error("serves a client")
	}
	if creds.Info().SecurityProtocol == "" {
		t.Errorf("%+v", creds.Info())
	}
}

type addrConn struct {
	net.Conn
	addr net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.addr }

// TestUntagged: what came by no listener of Wrap's is plaintext and tells nothing, but a token counts.
func TestUntagged(t *testing.T) {
	l := bufconn.Listen(1 << 16)
	house := newAuthority(t, "house", nil)
	gate := NewGate(newState(t, load(t, filesOf(t, house.issue(t, server), nil)), edge, Caller{Name: "root", UIDs: []uint32{0}}))
	seen := make(chan *Conn, 1)
	server := grpc.NewServer(grpc.Creds(gate.Credentials()), grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		c, _ := ConnOf(ss.Context())
		seen <- c
		return nil
	}))
	go server.Serve(l)
	defer server.Stop()
	cc, err := grpc.NewClient("passthrough:///", grpc.WithTransportCredentials(plain),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	_ = cc.Invoke(t.Context(), "/any/method", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}) // its end is of no interest
	c := <-seen
	if id, err := gate.State().Identify(c, nil, time.Now()); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := gate.State().Identify(c, []string{"Bearer edges-token"}, time.Now()); id.Name != "edge" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestConnOf: not of contexts without a peer, or with one of other credentials.
func TestConnOf(t *testing.T) {
	if c, ok := ConnOf(t.Context()); ok || c != nil {
		t.Errorf("%v, %t", c, ok)
	}
	for _, info := range []credentials.AuthInfo{nil, credentials.TLSInfo{}} {
		if c, ok := ConnOf(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: info})); ok || c != nil {
			t.Errorf("%T: %v, %t", info, c, ok)
		}
	}
	want := &Conn{}
	if c, ok := ConnOf(peer.NewContext(t.Context(), &peer.Peer{AuthInfo: want})); !ok || c != want {
		t.Errorf("%v, %t", c, ok)
	}
}
