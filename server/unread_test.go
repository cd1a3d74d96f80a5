package server

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"

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
