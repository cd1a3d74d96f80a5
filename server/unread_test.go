package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// rpcLines returns the lines of RPCs by their request id.
func (b *logBuffer) rpcLines(t *testing.T) map[string][]map[string]any {
	t.Helper()
	lines := make(map[string][]map[string]any)
	for _, record := range b.records(t) {
		if record["msg"] == "rpc" {
			id := record["request_id"].(string)
			lines[id] = append(lines[id], record)
		}
	}
	return lines
}

// TestLineHasTheCallersCode: a call whose message cannot be read has one line, with the code that
// its caller got, also where gRPC itself made it, and never as a fault of the service's own.
// Streams end in more than one goroutine, so each case is tried several times.
func TestLineHasTheCallersCode(t *testing.T) {
	valid, err := proto.Marshal(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(3)})
	if err != nil {
		t.Fatal(err)
	}
	tooLarge := make([]byte, maxRequest+1)
	bodies := map[string]struct {
		body     []byte
		encoding string
	}{
		"no protobuf":         {frame(false, []byte{0xff, 0xff, 0xff}), ""},
		"no UTF-8":            {frame(false, []byte{1<<3 | 2, 1, 0xff}), ""},
		"too large":           {frame(false, tooLarge), ""},
		"too large, packed":   {frame(true, zip(t, tooLarge)), "gzip"},
		"not gzip":            {frame(true, []byte("x")), "gzip"},
		"unknown encoding":    {frame(true, []byte("x")), "zstd"},
		"packed, and no name": {frame(true, zip(t, nil)), ""},
		"reserved flag":       {[]byte{7, 0, 0, 0, 0}, ""},
		"cut off":             {frame(false, valid)[:9], ""},
		"a second one":        {append(frame(false, nil), frame(false, []byte{0xff})...), ""},
		"a second, cut off":   {append(frame(false, nil), 0, 0), ""},
		"nothing":             {nil, ""},
	}
	methods := []string{
		checkMethod, streamMethod, vantageMethod, healthMethod, listMethod, watchMethod, reflectMethod,
		"/tcpshaker.v1.ShakerService/None", "/no.Service/None", "/none",
	}
	config := callers(t, caller{name: "edge", allow: []string{everything}})
	config.Reflection = access.ByAnyone
	for name, control := range map[string]*access.Control{"open": nil, "closed": control(t, config)} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			p := serve(t, Config{
				Prober: always(open()), Access: control,
				Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			got, what := make(map[string]answer), make(map[string]string) // by request id
			for _, method := range methods {
				for name, tt := range bodies {
					tries := 1
					if slices.Contains([]string{streamMethod, watchMethod, reflectMethod}, method) {
						tries = 5
					}
					for i := range tries {
						id := fmt.Sprint(len(got))
						what[id] = fmt.Sprintf("%s, %s, try %d", method, name, i)
						headers := []string{RequestIDHeader, id, "authorization", "Bearer edge"}
						if tt.encoding != "" {
							headers = append(headers, "grpc-encoding", tt.encoding)
						}
						if method == watchMethod && (name == "a second one" || name == "nothing") {
							continue // lasts for ever
						}
						got[id] = p.post(t, method, tt.body, headers...)
					}
				}
			}
			p.stop()
			lines := log.rpcLines(t)
			for wait := 0; len(lines) < len(got) && wait < 1000; wait++ { // gRPC does not wait for the lines of methods that it does not have
				time.Sleep(10 * time.Millisecond)
				lines = log.rpcLines(t)
			}
			codesSeen := make(map[codes.Code]int)
			for id, answer := range got {
				if len(lines[id]) != 1 {
					t.Errorf("%s: %d lines", what[id], len(lines[id]))
					continue
				}
				codesSeen[answer.code]++
				line := lines[id][0]
				if line["code"] != answer.code.String() {
					t.Errorf("%s: the caller got %v %q, and the line has %v %q", what[id], answer.code, answer.message, line["code"], line["error"])
				}
				if line["level"] == "ERROR" {
					t.Errorf("%s: level %v", what[id], line["level"])
				}
			}
			t.Log(codesSeen)
		})
	}
}

// TestLineOfAnEarlyEnd: a call that its caller resets right after its headers has one line, with
// CANCELED; one whose deadline is over by then has DEADLINE_EXCEEDED. gRPC may read the end before
// the handler's goroutine runs. The clock is synctest's, so no goroutine is late.
func TestLineOfAnEarlyEnd(t *testing.T) {
	const calls = 100 // of each kind
	config := callers(t, caller{name: "edge", allow: []string{everything}})
	config.Reflection = access.ByAnyone
	for name, control := range map[string]*access.Control{"open": nil, "closed": control(t, config)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				p := serve(t, Config{
					Prober: always(open()), Access: control,
					Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				conn, err := p.listener.DialContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				var out, block bytes.Buffer
				out.WriteString(http2.ClientPreface)
				framer, encoder := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
				err = framer.WriteSettings()
				want := make(map[string]codes.Code)
				stream := uint32(1)
				for range calls {
					for _, method := range []string{checkMethod, streamMethod, healthMethod, watchMethod, reflectMethod} {
						for _, timeout := range []string{"1H", "0n"} {
							id := fmt.Sprint(stream)
							want[id] = codes.Canceled
							if timeout == "0n" {
								want[id] = codes.DeadlineExceeded
							}
							block.Reset()
							for _, field := range [...][2]string{
								{":method", "POST"},
								{":scheme", "http"},
								{":path", method},
								{":authority", "bufconn"},
								{"content-type", "application/grpc"},
								{"te", "trailers"},
								{"authorization", "Bearer edge"},
								{"grpc-timeout", timeout},
								{RequestIDHeader, id},
							} {
								err = errors.Join(err, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
							}
							err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{
								StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true,
							}), framer.WriteRSTStream(stream, http2.ErrCodeCancel))
							stream += 2
						}
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				drained := make(chan struct{})
				go func() {
					defer close(drained)
					_, _ = io.Copy(io.Discard, conn)
				}()
				if _, err := conn.Write(out.Bytes()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * unsureFor)
				synctest.Wait()
				lines := log.rpcLines(t)
				for id, code := range want {
					if len(lines[id]) != 1 || lines[id][0]["code"] != code.String() {
						t.Errorf("call %s has the lines %v, want one with %v", id, lines[id], code)
					}
				}
				conn.Close()
				<-drained
				p.stop()
			})
		})
	}
}

// TestUnsureIsBounded: lines that wait hold a bounded number of calls. What is beyond has its line
// at once, and all have one.
func TestUnsureIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s, err := New(Config{Prober: always(open()), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the places are free again
			before := len(log.records(t))
			for range unsureAtMost + 7 {
				s.unsure(&passage{Context: t.Context(), method: checkMethod, began: time.Now(), rpc: t.Context()})
			}
			if n := len(log.records(t)) - before; n != 7 {
				t.Errorf("%d lines at once, want 7", n)
			}
			time.Sleep(unsureFor)
			synctest.Wait()
			if n := len(log.records(t)) - before; n != unsureAtMost+7 {
				t.Errorf("%d lines, want %d", n, unsureAtMost+7)
			}
		}
	})
}

// TestLineBesideOtherServices: on a server that has services of its user's, beside ShakerService,
// the codes of ShakerService's calls are known. Those of the user's unary calls are not, if gRPC
// ended them.
func TestLineBesideOtherServices(t *testing.T) {
	var log logBuffer
	s, err := New(Config{
		Prober: always(open()), Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(s.Options()...)
	s.Register(g)
	healthpb.RegisterHealthServer(g, health.NewServer())
	conn := connTo(t, g)
	bad := &wrapperspb.BytesValue{Value: []byte{0xff}} // as a request: field 1 is no text
	for method, want := range map[string]struct{ caller, line codes.Code }{
		checkMethod:                        {codes.Internal, codes.Internal},
		vantageMethod:                      {codes.OK, codes.OK}, // it has no fields
		"/tcpshaker.v1.ShakerService/None": {codes.Unimplemented, codes.Unimplemented},
		healthMethod:                       {codes.Internal, codes.Unknown},
		"/no.Service/None":                 {codes.Unimplemented, codes.Unknown},
	} {
		id := strings.ReplaceAll(method, "/", ".")
		ctx := metadata.AppendToOutgoingContext(t.Context(), RequestIDHeader, id)
		if code := status.Code(conn.Invoke(ctx, method, bad, &emptypb.Empty{})); code != want.caller {
			t.Errorf("%s: the caller got %v, want %v", method, code, want.caller)
		}
		lines := log.rpcLines(t)[id]
		for wait := 0; len(lines) == 0 && wait < 1000; wait++ { // gRPC does not wait for this line
			time.Sleep(10 * time.Millisecond)
			lines = log.rpcLines(t)[id]
		}
		if len(lines) != 1 || lines[0]["code"] != want.line.String() || lines[0]["level"] == "ERROR" {
			t.Errorf("%s has the lines %v, want one with %v", method, lines, want.line)
		}
	}
}

// noEvents is a stats.Handler that ignores all events.
type noEvents struct{}

func (noEvents) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (noEvents) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (noEvents) HandleConn(context.Context, stats.ConnStats)                       {}
func (noEvents) HandleRPC(context.Context, stats.RPCStats)                         {}

// TestOpenHasNoStatsHandler: where everyone may ask, gRPC makes no stats events, which cost more
// than twenty allocations a call. So a handler added to the Options makes a call that much dearer.
func TestOpenHasNoStatsHandler(t *testing.T) {
	perCall := func(more ...grpc.ServerOption) float64 {
		s, err := New(Config{Prober: instant{}, Logger: quiet, Source: everySource})
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer(append(s.Options(), more...)...)
		s.Register(g)
		client := tcpshakerv1.NewShakerServiceClient(connTo(t, g))
		request := &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.200:65000"}}
		return testing.AllocsPerRun(500, func() {
			if _, err := client.Check(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
	without, with := perCall(), perCall(grpc.StatsHandler(noEvents{}))
	if with-without < 15 {
		t.Errorf("a Check has %v allocations, and with a stats handler %v: Options have one already", without, with)
	}
}

// TestRoutineCallsAreDebug: calls of grpc.health.v1 and of reflection that went well are for
// debugging. Those that failed, and all of ShakerService, stay as they are.
func TestRoutineCallsAreDebug(t *testing.T) {
	var log logBuffer
	p := serve(t, Config{
		Prober: always(open()), Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	list := &reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}
	for _, tt := range []struct {
		id, method string
		request    proto.Message
		code       codes.Code
		level      string
	}{
		{"health", healthMethod, &healthpb.HealthCheckRequest{}, codes.OK, "DEBUG"},
		{"list", listMethod, &healthpb.HealthListRequest{}, codes.OK, "DEBUG"},
		{"reflection", reflectMethod, list, codes.OK, "DEBUG"},
		{"reflection-alpha", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", list, codes.OK, "DEBUG"},
		{"other-health", healthMethod, &healthpb.HealthCheckRequest{Service: "other"}, codes.NotFound, "INFO"},
		{"check", checkMethod, &tcpshakerv1.CheckRequest{Targets: targetsOf(1)}, codes.OK, "INFO"},
		{"stream", streamMethod, &tcpshakerv1.StreamCheckRequest{Targets: targetsOf(1)}, codes.OK, "INFO"},
		{"vantage", vantageMethod, &tcpshakerv1.GetVantageRequest{}, codes.OK, "INFO"},
	} {
		raw, err := proto.Marshal(tt.request)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.post(t, tt.method, frame(false, raw), RequestIDHeader, tt.id); got.code != tt.code {
			t.Errorf("%s: %v %q", tt.id, got.code, got.message)
		}
		lines := log.rpcLines(t)[tt.id]
		if len(lines) != 1 || lines[0]["level"] != tt.level {
			t.Errorf("%s: lines %v, want one at %s", tt.id, lines, tt.level)
		}
	}
}
