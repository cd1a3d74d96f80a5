package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// logBuffer keeps what is logged.
type logBuffer struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}

// records returns the lines logged so far, decoded.
func (b *logBuffer) records(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []map[string]any
	for line := range strings.Lines(b.lines.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		records = append(records, record)
	}
	return records
}

// TestRequestID: "1 to 128 visible ASCII characters. The service makes one where there is none; it stands in the service's log
// and comes back in the response header of the same name."
func TestRequestID(t *testing.T) {
	var log logBuffer
	client, s, stop := startStoppable(t, Config{Prober: always(open()), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	var ids []string
	for _, test := range []struct {
		given []string
		taken bool
	}{
		{nil, false},
		{[]string{"order 66"}, false},
		{[]string{strings.Repeat("x", 129)}, false},
		{[]string{"one", "two"}, false},
		{[]string{"!~request=66"}, true},
		{[]string{strings.Repeat("x", 128)}, true},
	} {
		ctx := t.Context()
		for _, id := range test.given {
			ctx = metadata.AppendToOutgoingContext(ctx, RequestIDHeader, id)
		}
		var unary metadata.MD
		if _, err := client.Check(ctx, &tcpshakerv1.CheckRequest{}, grpc.Header(&unary)); status.Code(err) != codes.InvalidArgument {
			t.Fatal(err)
		}
		stream, err := client.StreamCheck(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stream.CloseSend()
		if _, err := stream.Recv(); err == nil {
			t.Fatal("a result of nothing")
		}
		streamed, err := stream.Header()
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range []metadata.MD{unary, streamed} {
			got := header.Get(RequestIDHeader)
			if len(got) != 1 || !validRequestID(got[0]) || (test.taken != (got[0] == strings.Join(test.given, ""))) {
				t.Errorf("given %q: got %q", test.given, got)
				continue
			}
			ids = append(ids, got[0])
		}
	}
	s.Drain()
	stop() // all handlers have logged
	records := log.records(t)
	if len(records) != len(ids) {
		t.Fatalf("%d lines, want one per RPC: %d", len(records), len(ids))
	}
	for i, record := range records {
		if record["request_id"] != ids[i] || record["code"] == nil || record["peer"] == nil || record["level"] != "INFO" {
			t.Errorf("line %d: %v, want id %s", i, record, ids[i])
		}
	}
}

// TestPanicTellsTheCallerNothing: a panic is INTERNAL to the caller and a stack in the log, and the log of the RPC, outside of
// recovery, has its code.
func TestPanicTellsTheCallerNothing(t *testing.T) {
	var log logBuffer
	fake := always(open())
	fake.panics = true
	client, _, stop := startStoppable(t, Config{Prober: fake, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	_, unary := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	for _, err := range []error{unary, streamed} {
		wantStatus(t, err, codes.Internal, ReasonInternal)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the caller is told %v", err)
		}
	}
	stop()
	panics, finished := 0, 0
	for _, record := range log.records(t) {
		if record["msg"] == "panic" && strings.Contains(record["stack"].(string), "server") && record["request_id"] != "" {
			panics++
		}
		if record["msg"] == "rpc" && record["code"] == "Internal" && record["level"] == "ERROR" {
			finished++
		}
	}
	if panics != 2 || finished != 2 {
		t.Errorf("%d panics and %d finished calls in the log, want 2 each", panics, finished)
	}
}

// panickingStream panics in Recv, as a codec or an interceptor of others could.
type panickingStream struct{ grpc.ServerStream }

func (panickingStream) Context() context.Context { return context.Background() }
func (panickingStream) Recv() (*tcpshakerv1.StreamCheckRequest, error) {
	panic("in Recv")
}
func (panickingStream) Send(*tcpshakerv1.StreamCheckResponse) error { return nil }

// TestReaderRecovers: the reader of a stream runs in a goroutine of ours, where gRPC's recovery does not reach.
func TestReaderRecovers(t *testing.T) {
	s, err := New(Config{Prober: always(open()), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s.StreamCheck(panickingStream{}), codes.Internal, ReasonInternal)
}

// TestOuterInterceptors: those of Config run outside of the server's own, in their order, and see what the caller gets: the
// INTERNAL that recovery makes, once it is logged.
func TestOuterInterceptors(t *testing.T) {
	var (
		log   logBuffer
		mu    sync.Mutex
		trace []string
	)
	note := func(ctx context.Context, when, name, method string, err error) {
		mu.Lock()
		defer mu.Unlock()
		logged := strings.Count(log.String(), `"msg":"rpc"`)
		trace = append(trace, fmt.Sprintf("%s %s %s %v, %d logged, id %q",
			when, name, path.Base(method), status.Code(err), logged, requestID(ctx)))
	}
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			note(ctx, "in", name, info.FullMethod, nil)
			resp, err := handler(ctx, req)
			note(ctx, "out", name, info.FullMethod, err)
			return resp, err
		}
	}
	stream := func(name string) grpc.StreamServerInterceptor {
		return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			note(ss.Context(), "in", name, info.FullMethod, nil)
			err := handler(srv, ss)
			note(ss.Context(), "out", name, info.FullMethod, err)
			return err
		}
	}
	fake := always(open())
	fake.panics = true
	client, _, stop := startStoppable(t, Config{
		Prober: fake, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		UnaryInterceptors:  []grpc.UnaryServerInterceptor{unary("first"), unary("second")},
		StreamInterceptors: []grpc.StreamServerInterceptor{stream("first"), stream("second")},
	})
	_, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
	wantStatus(t, err, codes.Internal, ReasonInternal)
	streaming, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = streaming.Recv()
	wantStatus(t, err, codes.Internal, ReasonInternal)
	stop()

	var want []string
	for i, method := range []string{"Check", "StreamCheck"} {
		want = append(want,
			fmt.Sprintf("in first %s OK, %d logged, id \"\"", method, i),
			fmt.Sprintf("in second %s OK, %d logged, id \"\"", method, i),
			fmt.Sprintf("out second %s Internal, %d logged, id \"\"", method, i+1),
			fmt.Sprintf("out first %s Internal, %d logged, id \"\"", method, i+1))
	}
	if !slices.Equal(trace, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(trace, "\n"), strings.Join(want, "\n"))
	}
}

// TestLogLinesCannotBeForged: what callers send comes into the log quoted.
func TestLogLinesCannotBeForged(t *testing.T) {
	var log logBuffer
	s, err := New(Config{Prober: always(open()), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	evil := "x\nlevel=ERROR msg=forged"
	_, err = s.unary()[3](t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a/" + evil}, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.InvalidArgument, evil)
	})
	if err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(log.lines.String(), "\n"); n != 1 {
		t.Errorf("%d lines: %s", n, &log.lines)
	}
}
