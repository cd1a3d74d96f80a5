package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// runServer runs a server on loopback and a unix socket. stop ends its context; done gives what Run returned.
func runServer(t *testing.T, c Config, grace time.Duration) (conns []*grpc.ClientConn, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	c.Logger = quiet
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "socket")
	tcp, unix := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", path)
	ctx, stop := context.WithCancel(context.Background())
	returned := make(chan error, 1)
	go func() { returned <- s.Run(ctx, grace, tcp, unix) }()
	for _, target := range []string{tcp.Addr().String(), "unix:" + path} {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns = append(conns, conn)
	}
	t.Cleanup(stop)
	return conns, stop, returned
}

// TestRunServesAll: ShakerService, health and both reflections, on every listener.
func TestRunServesAll(t *testing.T) {
	conns, stop, done := runServer(t, Config{Prober: always(open())}, time.Minute)
	for _, conn := range conns {
		check(t.Context(), t, tcpshakerv1.NewShakerServiceClient(conn), "192.0.2.1:80", nil)
		for _, service := range []string{"", "tcpshaker.v1.ShakerService"} {
			response, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || response.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("health of %q: %v, %v", service, response, err)
			}
		}
		var listed []string
		stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range response.GetListServicesResponse().GetService() {
			listed = append(listed, service.Name)
		}
		stream.CloseSend()
		if !slices.Contains(listed, "tcpshaker.v1.ShakerService") {
			t.Errorf("reflection lists %q", listed)
		}
		alpha, err := reflectionalphapb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		//lint:ignore SA1019 older tools know no other version, so it is served
		alpha.Send(&reflectionalphapb.ServerReflectionRequest{MessageRequest: &reflectionalphapb.ServerReflectionRequest_ListServices{}})
		if _, err := alpha.Recv(); err != nil {
			t.Error(err)
		}
		alpha.CloseSend()
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if _, err := alpha.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestKnownCallersMaySendMuch: the connection of a caller stays open whatever comes by it, also where the first call is refused for a
// limit of the caller's; one on which nobody is known is closed.
func TestKnownCallersMaySendMuch(t *testing.T) {
	edge := caller{name: "edge", allow: []string{everything}, limits: access.Caller{RPCs: 1}}
	conns, stop, done := runServer(t, Config{Prober: always(open()), Access: control(t, callers(t, edge))}, 0)
	first, second := tcpshakerv1.NewShakerServiceClient(conns[0]), tcpshakerv1.NewShakerServiceClient(conns[1])
	much := func(client tcpshakerv1.ShakerServiceClient, token string) error {
		_, err := ask(client, as(t.Context(), token), nil, strings.Repeat("x", 60<<10))
		return err
	}
	if _, err := first.StreamCheck(as(t.Context(), "edge")); err != nil {
		t.Fatal(err)
	}
	for much(first, "edge") == nil { // until the stream is there
	}
	for _, token := range []string{"edge", "nobody"} { // 1.8 MB each, and the second by a connection where edge is known
		for range 30 {
			if err := much(second, token); status.Code(err) == codes.Unavailable {
				t.Fatalf("%s: %v", token, err)
			}
		}
	}
	stop()
	<-done

	conns, stop, done = runServer(t, Config{Prober: always(open()), Access: control(t, callers(t, edge))}, 0)
	for i := 0; status.Code(much(tcpshakerv1.NewShakerServiceClient(conns[0]), "nobody")) != codes.Unavailable; i++ {
		if i == 1000 {
			t.Error("a connection stays on which nobody is known, whatever it brings")
			break
		}
	}
	stop()
	<-done
}

// TestRunTellsWhatIsRegistered: before anything is served, with all services; and who stands outside sees how a drain ends the
// stream of another service.
func TestRunTellsWhatIsRegistered(t *testing.T) {
	services := make(chan map[string]grpc.ServiceInfo, 1)
	ended := make(chan error, 1)
	conns, stop, done := runServer(t, Config{
		Prober:     always(open()),
		Registered: func(p reflection.ServiceInfoProvider) { services <- p.GetServiceInfo() },
		StreamInterceptors: []grpc.StreamServerInterceptor{
			func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				err := handler(srv, stream)
				ended <- err
				return err
			},
		},
	}, time.Minute)
	watch, err := healthpb.NewHealthClient(conns[0]).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	got := <-services // was there before the first answer
	want := []string{
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
		"tcpshaker.v1.ShakerService",
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("registered %q, want %q", names, want)
	}
	stop()
	if err := <-ended; status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v, want %v", err, codes.Unavailable)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestShutdownInOrder: health says NOT_SERVING first; a running Check is answered within grace; a stream that stays is told
// UNAVAILABLE after it; then Run returns nil.
func TestShutdownInOrder(t *testing.T) {
	late := open()
	late.after = 50 * time.Millisecond
	fake := byAddress(script{"192.0.2.1:80": answers(late), "192.0.2.1:1": answers(open())})
	conns, stop, done := runServer(t, Config{Prober: fake}, 2*time.Second)
	conn := conns[0]
	client := tcpshakerv1.NewShakerServiceClient(conn)
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(got, err)
	}
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:1"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	checked := make(chan *tcpshakerv1.CheckResult, 1)
	go func() { checked <- check(t.Context(), t, client, "192.0.2.1:80", nil) }()

	fake.awaitTotal(t, 2)

	stop()
	if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", got, err)
	}
	if got := <-checked; got.Verdict != reachable {
		t.Errorf("the Check: %v", got)
	}
	select {
	case err := <-done:
		t.Fatalf("Run returned %v while a stream was running", err)
	default:
	}
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unavailable, ReasonDraining)
	_, err = watch.Recv()
	wantStatus(t, err, codes.Unavailable, ReasonDraining)
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestDrainDelay: once the context has ended, health says NOT_SERVING to everybody, in running Watches too, and RPCs are served all
// the same, on old and new connections. A listener that fails ends the delay.
func TestDrainDelay(t *testing.T) {
	s, err := New(Config{Prober: always(open()), Logger: quiet, DrainDelay: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	good, bad := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, time.Minute, good, bad) }()
	connect := func() *grpc.ClientConn {
		conn, err := grpc.NewClient(good.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	services := []string{"", "tcpshaker.v1.ShakerService"}
	old := connect()
	var watches []grpc.ServerStreamingClient[healthpb.HealthCheckResponse]
	for _, service := range services {
		watch, err := healthpb.NewHealthClient(old).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
			t.Fatal(got, err)
		}
		watches = append(watches, watch)
	}
	stop()
	for i, watch := range watches {
		if got, err := watch.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("the watch of %q: %v, %v", services[i], got, err)
		}
	}
	for _, conn := range []*grpc.ClientConn{old, connect()} {
		for _, service := range services {
			got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || got.Status != healthpb.HealthCheckResponse_NOT_SERVING {
				t.Errorf("health of %q: %v, %v", service, got, err)
			}
		}
		client := tcpshakerv1.NewShakerServiceClient(conn)
		if got := check(t.Context(), t, client, "192.0.2.1:80", nil); got.Verdict != reachable {
			t.Errorf("Check: %v", got)
		}
		stream, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || len(got.Results) != 1 || got.Results[0].Verdict != reachable {
			t.Errorf("StreamCheck: %v, %v", got, err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("Run returned %v within the delay", err)
	default:
	}
	bad.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v, want the listener's error", err)
	}
}

// TestDrainDelayPasses: the shutdown goes on when the delay is over, in a service that nobody uses too; and a service whose listener
// has failed does not wait.
func TestDrainDelayPasses(t *testing.T) {
	const delay = 50 * time.Millisecond
	_, stop, done := runServer(t, Config{Prober: always(open()), DrainDelay: delay}, time.Hour)
	began := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("Run returned after %v, within the delay of %v", took, delay)
	}
	s, err := New(Config{Prober: always(open()), Logger: quiet, DrainDelay: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	bad := listen(t, "tcp", "127.0.0.1:0")
	bad.Close()
	if err := s.Run(t.Context(), 0, bad); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	if _, err := New(Config{Prober: always(open()), DrainDelay: -1}); err == nil {
		t.Error("a delay below 0 is no error")
	}
}

// TestWatchesDoNotHoldUpAShutdown: health watches and reflection streams last as long as their callers like. Where nothing else
// runs they are told UNAVAILABLE at once, and nobody waits out the grace.
func TestWatchesDoNotHoldUpAShutdown(t *testing.T) {
	conns, stop, done := runServer(t, Config{Prober: always(open())}, time.Hour)
	watch, err := healthpb.NewHealthClient(conns[0]).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	reflection, err := reflectionpb.NewServerReflectionClient(conns[1]).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reflection.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	if _, err := reflection.Recv(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	for err = nil; err == nil; { // NOT_SERVING comes first
		_, err = watch.Recv()
	}
	wantStatus(t, err, codes.Unavailable, ReasonDraining)
	_, err = reflection.Recv()
	wantStatus(t, err, codes.Unavailable, ReasonDraining)
}

// TestRunReportsListeners: a listener that fails ends Run with its error.
func TestRunReportsListeners(t *testing.T) {
	s, err := New(Config{Prober: always(open()), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), 0); err == nil {
		t.Error("no listener: no error")
	}
	good, bad := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	bad.Close()
	if err := s.Run(t.Context(), 0, good, bad); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	if _, err := net.Dial("tcp", good.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}

// TestRunWithContextThatEnded: a shutdown before the start is clean as well.
func TestRunWithContextThatEnded(t *testing.T) {
	s, err := New(Config{Prober: always(open()), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx, time.Minute, listen(t, "tcp", "127.0.0.1:0")); err != nil {
		t.Errorf("Run: %v", err)
	}
}
