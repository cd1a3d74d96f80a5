package server

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

const (
	checkMethod   = "/tcpshaker.v1.ShakerService/Check"
	streamMethod  = "/tcpshaker.v1.ShakerService/StreamCheck"
	vantageMethod = "/tcpshaker.v1.ShakerService/GetVantage"
	healthMethod  = "/grpc.health.v1.Health/Check"
	listMethod    = "/grpc.health.v1.Health/List"
	watchMethod   = "/grpc.health.v1.Health/Watch"
	reflectMethod = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
)

// TestGzip: each method reads a compressed request. The answer is compressed if the request was,
// and only then.
func TestGzip(t *testing.T) {
	p := serve(t, Config{Prober: always(open())})
	targets := targetsOf(100)
	list := &reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}
	for _, tt := range []struct {
		method  string
		request proto.Message
		answer  proto.Message
	}{
		{checkMethod, &tcpshakerv1.CheckRequest{Targets: targets}, &tcpshakerv1.CheckResponse{}},
		{streamMethod, &tcpshakerv1.StreamCheckRequest{Targets: targets}, &tcpshakerv1.StreamCheckResponse{}},
		{vantageMethod, &tcpshakerv1.GetVantageRequest{}, &tcpshakerv1.GetVantageResponse{}},
		{healthMethod, &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}},
		{listMethod, &healthpb.HealthListRequest{}, &healthpb.HealthListResponse{}},
		{reflectMethod, list, &reflectionpb.ServerReflectionResponse{}},
	} {
		got := p.post(t, tt.method, packed(t, tt.request), "grpc-encoding", "gzip")
		if got.code != codes.OK || got.encoding != "gzip" || len(got.body) < 5 || got.body[0] != 1 {
			t.Errorf("%s: %v %q, encoding %q, %d bytes", tt.method, got.code, got.message, got.encoding, len(got.body))
			continue
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(got.body[5 : 5+binary.BigEndian.Uint32(got.body[1:])]))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(raw, tt.answer); err != nil {
			t.Errorf("%s: %v", tt.method, err)
		}
		if r, ok := tt.answer.(interface {
			GetResults() []*tcpshakerv1.CheckResult
		}); ok && len(r.GetResults()) != len(targets) {
			t.Errorf("%s: %d results of %d", tt.method, len(r.GetResults()), len(targets))
		}
		raw, err = proto.Marshal(tt.request)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.post(t, tt.method, frame(false, raw), "grpc-accept-encoding", "gzip"); got.code != codes.OK || got.encoding != "" {
			t.Errorf("%s, not compressed: %v %q, encoding %q", tt.method, got.code, got.message, got.encoding)
		}
	}
}

// TestGzipClient: gRPC's own client, as its users write it. A health watch answers before its
// caller ends it.
func TestGzipClient(t *testing.T) {
	p := serve(t, Config{Prober: always(open())})
	conn := p.dial(t, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	client := tcpshakerv1.NewShakerServiceClient(conn)
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := 0
	for chunk := range slices.Chunk(targetsOf(1000), 300) {
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: chunk}); err != nil {
			t.Fatal(err)
		}
	}
	stream.CloseSend()
	err = readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) { results += len(response.Results) })
	if err != nil || results != 1000 {
		t.Errorf("%d results, want 1000; %v", results, err)
	}
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Errorf("watch: %v", err)
	}
}

// TestOtherEncodings: an encoding that the service does not have is refused by name.
func TestOtherEncodings(t *testing.T) {
	p := serve(t, Config{Prober: always(open())})
	for _, encoding := range []string{"deflate", "snappy", "zstd", "br", "GZIP"} {
		for _, method := range []string{checkMethod, streamMethod, healthMethod, reflectMethod} {
			got := p.post(t, method, frame(true, []byte("x")), "grpc-encoding", encoding)
			if got.code != codes.Unimplemented || !strings.Contains(got.message, encoding) {
				t.Errorf("%s, %s: %v %q", method, encoding, got.code, got.message)
			}
		}
	}
	if got := p.post(t, checkMethod, frame(true, []byte("x")), "grpc-encoding", "gzip"); got.code != codes.Internal {
		t.Errorf("what is not gzip: %v %q", got.code, got.message)
	}
}

// bomb returns a message of some 1 MiB that unpacks to 1 GiB of zeros.
func bomb(t *testing.T) []byte {
	t.Helper()
	const part = 16 << 20
	return frame(true, bytes.Repeat(zip(t, make([]byte, part)), 1<<30/part))
}

// TestGzipBomb: a message that unpacks to more than maxRequest is RESOURCE_EXHAUSTED without
// details, as one that is not compressed. Unpacking ends there.
func TestGzipBomb(t *testing.T) {
	p := serve(t, Config{Prober: always(open())})
	big, huge := frame(false, make([]byte, maxRequest+1)), bomb(t)
	for _, method := range []string{checkMethod, streamMethod, vantageMethod, healthMethod, watchMethod, reflectMethod} {
		want := p.post(t, method, big)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := p.post(t, method, huge, "grpc-encoding", "gzip")
		runtime.ReadMemStats(&after)
		if got.code != codes.ResourceExhausted || want.code != got.code || want.details != got.details {
			t.Errorf("%s: %v %q, details %q; not compressed: %v, details %q", method, got.code, got.message, got.details, want.code, want.details)
		}
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %.1f MiB allocated", method, float64(used)/(1<<20))
		if used > 32<<20 { // 4 MiB of them unpacked, in buffers that double; the rest is the client's
			t.Errorf("%s: %d bytes were allocated to refuse a bomb", method, used)
		}
	}
	targets := make([]string, DefaultTargetsPerMessage)
	for i := range targets {
		targets[i] = fmt.Sprintf("%0250d.example:80", i)
	}
	exact := packed(t, &tcpshakerv1.CheckRequest{Targets: targets, Options: &tcpshakerv1.CheckOptions{Attempts: 99}})
	if got := p.post(t, checkMethod, exact, "grpc-encoding", "gzip"); got.code != codes.InvalidArgument {
		t.Errorf("2.6 MB in %d bytes: %v %q", len(exact), got.code, got.message)
	}
}

// TestStrangersAreNotUnpacked: nothing that a caller without an identity sends is unpacked, so its
// bytes cost no more than they are. Unpacked, the message would be RESOURCE_EXHAUSTED.
func TestStrangersAreNotUnpacked(t *testing.T) {
	config := callers(t, caller{name: "edge", allow: []string{everything}})
	config.Reflection = access.ByAnyone
	p := serve(t, Config{Prober: always(open()), Access: control(t, config)})
	small := frame(true, zip(t, make([]byte, 16<<20))) // fits in what a connection of a stranger may bring
	for _, method := range []string{healthMethod, listMethod, watchMethod, reflectMethod, checkMethod, streamMethod} {
		got := p.post(t, method, small, "grpc-encoding", "gzip")
		if got.code != codes.Unauthenticated {
			t.Errorf("%s: %v %q", method, got.code, got.message)
		}
		if method == checkMethod || method == streamMethod {
			continue
		}
		if got := p.post(t, method, small, "grpc-encoding", "gzip", "authorization", "Bearer edge"); got.code != codes.ResourceExhausted {
			t.Errorf("%s of a caller: %v %q", method, got.code, got.message)
		}
	}
	if got := p.post(t, healthMethod, frame(false, nil)); got.code != codes.OK {
		t.Errorf("a stranger, not compressed: %v %q", got.code, got.message)
	}
}
