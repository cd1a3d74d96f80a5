package server

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/grpc/test/bufconn"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// TestRefusedLeavesNothing: an RPC that the tap refuses must leave nothing behind. gRPC does not cancel the context that it
// made for the grpc-timeout, whose timer then stands until that has passed, connection or no connection.
func TestRefusedLeavesNothing(t *testing.T) {
	client, _, stop := startStoppable(t, Config{Prober: always(open()), Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}}))})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	refuse := func(n int, timeout time.Duration) {
		for range n {
			ctx, cancel := t.Context(), func() {}
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, timeout)
			}
			if _, err := client.GetVantage(ctx, &tcpshakerv1.GetVantageRequest{}); status.Code(err) != codes.Unauthenticated {
				t.Fatal(err)
			}
			cancel()
		}
	}
	const n = 20000
	refuse(1000, time.Hour)
	before := heap()
	refuse(n, 0)
	without := heap()
	refuse(n, 24*time.Hour)
	with := heap()
	stop()
	after := heap()
	t.Logf("%d refused without a timeout: %+d bytes; with one of 24 h: %+d bytes, %d each; after the connection: %+d",
		n, int64(without-before), int64(with-without), int64(with-without)/n, int64(after-without))
	if int64(after-without) > n*50 {
		t.Error("refused RPCs leave their timers behind")
	}
}

// TestAuditCountsWhatWasAsked: who cancels is charged and logged for what was probed for it.
func TestAuditCountsWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		c := callers(t, caller{name: "edge", allow: []string{everything}})
		c.AuditProbes = true
		fake := always(hanging())
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: control(t, c), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		ctx, cancel := context.WithCancel(as(t.Context(), "edge"))
		stream, err := client.StreamCheck(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(1000)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		probed := fake.total()
		cancel()
		synctest.Wait()
		stop()
		lines := 0
		for _, r := range log.records(t) {
			switch r["msg"] {
			case "probe":
				lines++
			case "rpc":
				if r["targets"] != float64(probed) {
					t.Errorf("%d handshakes were made, the line says targets=%v", probed, r["targets"])
				}
			}
		}
		if lines != probed {
			t.Errorf("%d handshakes, %d probe lines", probed, lines)
		}
	})
}

// TestStrangersLeave: "how long one of their unary RPCs may take to come in and be answered": one that does not come in gives its
// place back.
func TestStrangersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := serveHealth(t)
		check := func() error {
			_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
			return err
		}
		for range 8 {
			if _, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/grpc.health.v1.Health/Check"); err != nil {
				t.Fatal(err)
			}
		}
		if err := check(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("beside 8 whose message does not come: %v", err)
		}
		time.Sleep(11 * time.Second) // the bubble's
		if err := check(); err != nil {
			t.Errorf("11 s later they still keep all places: %v", err)
		}
	})
}

// TestStrangersWatchInTime: the message of a stranger's stream has to come in as short a time as that of a call; once it is there, the
// watch stays for longer.
func TestStrangersWatchInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := serveHealth(t)
		watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		late, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/grpc.health.v1.Health/Watch")
		if err != nil {
			t.Fatal(err)
		}
		err = late.RecvMsg(new(healthpb.HealthCheckResponse))
		if took := time.Since(began); status.Code(err) != codes.Unauthenticated || took != 10*time.Second {
			t.Errorf("one whose message does not come ends after %v with %v", took, err)
		}
		_, err = watch.Recv()
		if took := time.Since(began); status.Code(err) != codes.Unauthenticated || took != 30*time.Minute {
			t.Errorf("one that is answered ends after %v with %v", took, err)
		}
	})
}

// serveHealth serves the service's health to strangers, as there is a caller, and returns a connection of one.
func serveHealth(t *testing.T) *grpc.ClientConn {
	t.Helper()
	s, err := New(Config{Prober: always(open()), Logger: quiet, Access: control(t, callers(t, caller{name: "edge"}))})
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.Options()...)
	healthpb.RegisterHealthServer(g, health.NewServer())
	return connTo(t, g)
}

// connTo serves g over bufconn and returns a connection to it. Both end with the test.
func connTo(t *testing.T, g *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	go g.Serve(listener)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestUnreadIsTold: what gRPC refuses of a caller's message has its line as well.
func TestUnreadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		conn, _, stop := startConn(t, Config{
			Prober: always(open()), Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}})),
			Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		})
		big := &tcpshakerv1.CheckRequest{Targets: []string{string(make([]byte, 5<<20))}}
		_, err := tcpshakerv1.NewShakerServiceClient(conn).Check(as(t.Context(), "edge"), big)
		t.Log("too large:", status.Code(err))
		err = conn.Invoke(as(t.Context(), "edge"), "/tcpshaker.v1.ShakerService/None", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		t.Log("unknown method:", status.Code(err))
		stop()
		synctest.Wait() // for the lines: gRPC waits for nobody who writes after an RPC has ended
		if n := len(log.records(t)); n != 2 {
			t.Errorf("2 RPCs, %d lines", n)
		}
	})
}

// TestStrangersDoNotFillTheLog: of calls that nobody known has made there are so many lines and no more, and all of them are counted.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		client, _, stop := startStoppable(t, Config{
			Prober: always(open()), Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}})),
			Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		})
		defer stop()
		const calls = 3000
		for range calls {
			_, _ = client.GetVantage(as(t.Context(), "nobody"), &tcpshakerv1.GetVantageRequest{})
			_, _ = client.GetVantage(as(t.Context(), "edge"), &tcpshakerv1.GetVantageRequest{})
		}
		time.Sleep(time.Second)
		_, _ = client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
		lines, untold, edge := 0, 0, 0
		for _, r := range log.records(t) {
			switch r["caller"] {
			case "edge":
				edge++
			case "":
				lines++
				if n, ok := r["untold"].(float64); ok {
					untold += int(n)
				}
			}
		}
		if edge != calls || lines != 1001 || lines+untold != calls+1 {
			t.Errorf("%d lines of the caller, %d of strangers, and %d untold", edge, lines, untold)
		}
	})
}

// TestRefusedNamesItsCaller: the line of an RPC over a caller's quota tells whose it was in its field.
func TestRefusedNamesItsCaller(t *testing.T) {
	var log logBuffer
	client, _, stop := startStoppable(t, Config{
		Prober: always(hanging()), Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}, limits: access.Caller{RPCs: 1}})),
	})
	ctx, cancel := context.WithCancel(as(t.Context(), "edge"))
	stream, err := client.StreamCheck(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream
	_, err = client.GetVantage(as(t.Context(), "edge"), &tcpshakerv1.GetVantageRequest{})
	t.Log(err)
	cancel()
	stop()
	for _, r := range log.records(t) {
		if r["code"] == "ResourceExhausted" && r["caller"] != "edge" {
			t.Errorf("caller %q", r["caller"])
		}
	}
}

type panickyHandler struct{ slog.Handler }

func (panickyHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (panickyHandler) Handle(_ context.Context, r slog.Record) error { panic("in the tap") }

// TestTapRecovers: a panic while the headers are judged ends that RPC alone. Here it would end the process.
func TestTapRecovers(t *testing.T) {
	s, err := New(Config{
		Prober: always(open()), Logger: slog.New(panickyHandler{}),
		Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}})),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("nothing recovers in the connection's goroutine: %v", p)
		}
	}()
	_, _ = s.admit(t.Context(), &tap.Info{FullMethodName: "/x/y"})
}
