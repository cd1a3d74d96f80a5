package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/server/internal/connlimit"
)

// service is a gRPC service that tells callers who they are.
type service struct {
	gate   *Gate
	health *health.Server
	addr   string // as grpc.NewClient takes it
}

// identify sends the caller's name in a header, or refuses.
func (s *service) identify(ctx context.Context) error {
	conn, ok := ConnOf(ctx)
	if !ok {
		return status.Error(codes.Internal, "no Conn")
	}
	id, err := s.gate.State().Identify(conn, metadata.ValueFromIncomingContext(ctx, "authorization"), time.Now())
	if err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	return grpc.SetHeader(ctx, metadata.Pairs("caller", id.Name, "auth-type", conn.AuthType()))
}

// serve serves on l, behind a limit of connections as shakerd's, until the test ends.
func serve(t *testing.T, l net.Listener, state *State, options ...grpc.ServerOption) *service {
	t.Helper()
	s := &service{gate: NewGate(state), health: health.NewServer(), addr: "passthrough:///" + l.Addr().String()}
	if l.Addr().Network() == "unix" {
		s.addr = "unix:" + l.Addr().String()
	}
	options = append(options,
		grpc.Creds(s.gate.Credentials()),
		grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := s.identify(ctx); err != nil {
				return nil, err
			}
			return next(ctx, r)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := s.identify(ss.Context()); err != nil {
				return err
			}
			return next(srv, ss)
		}),
		grpc.WaitForHandlers(true))
	server := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(server, s.health)
	done := make(chan error, 1)
	go func() { done <- server.Serve(connlimit.New(100, 100).Wrap(s.gate.Wrap(l, theListener))) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *service) dial(t *testing.T, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// clientTLS are a client's that trusts the server's authority, and has certificates to show or none.
func clientTLS(trusted *authority, change func(*tls.Config), certs ...tls.Certificate) credentials.TransportCredentials {
	pool := x509.NewCertPool()
	pool.AddCert(trusted.cert)
	config := &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: certs}
	if len(certs) > 0 { // shown whatever the server says it would take
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	if change != nil {
		change(config)
	}
	return credentials.NewTLS(config)
}

var plain = insecure.NewCredentials()

// ask returns who the service says cc is. What the header values are for each call, none: no header.
func ask(t *testing.T, cc *grpc.ClientConn, authorization ...string) (name, authType string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	var header metadata.MD
	_, err = healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Header(&header))
	if err != nil {
		return "", "", err
	}
	return header.Get("caller")[0], header.Get("auth-type")[0], nil
}

// wantCaller asks, and wants this answer.
func wantCaller(t *testing.T, cc *grpc.ClientConn, want string, authorization ...string) {
	t.Helper()
	if name, _, err := ask(t, cc, authorization...); err != nil || name != want {
		t.Errorf("is %q, %v; want %q", name, err, want)
	}
}

// wantRefused asks, and wants the sentence of sentinel, and no more, as the RPC's status.
func wantRefused(t *testing.T, cc *grpc.ClientConn, sentinel error, authorization ...string) {
	t.Helper()
	name, _, err := ask(t, cc, authorization...)
	if status.Code(err) != codes.Unauthenticated || status.Convert(err).Message() != sentinel.Error() {
		t.Errorf("is %q, %v; want %v", name, err, sentinel)
	}
}

// wantNoHandshake asks, and wants that no connection comes to be.
func wantNoHandshake(t *testing.T, cc *grpc.ClientConn) {
	t.Helper()
	if name, _, err := ask(t, cc); status.Code(err) != codes.Unavailable {
		t.Errorf("is %q, %v; want no connection", name, err)
	}
}
