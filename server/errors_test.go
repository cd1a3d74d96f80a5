package server

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// wantStatus checks code and ErrorInfo, and returns the details by type.
func wantStatus(t *testing.T, err error, code codes.Code, reason string) (
	bad *errdetails.BadRequest, quota *errdetails.QuotaFailure, retry *errdetails.RetryInfo,
) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("status %v, want %v", err, code)
	}
	var info *errdetails.ErrorInfo
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.BadRequest:
			bad = d
		case *errdetails.QuotaFailure:
			quota = d
		case *errdetails.RetryInfo:
			retry = d
		default:
			t.Errorf("unexpected detail %T", d)
		}
	}
	if info.GetDomain() != ErrorDomain || info.GetReason() != reason {
		t.Errorf("%v: ErrorInfo %v, want reason %s", err, info, reason)
	}
	return bad, quota, retry
}

// infoOf returns the reason of the ErrorInfo that err carries.
func infoOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func fields(bad *errdetails.BadRequest) string {
	var names []string
	for _, v := range bad.GetFieldViolations() {
		names = append(names, v.Field)
	}
	return strings.Join(names, " ")
}

// TestBadRequests: what the request as a whole suffers is a status, with details, for Check and StreamCheck alike; and
// nothing of such a request is probed.
func TestBadRequests(t *testing.T) {
	fake := always(open())
	client, _ := start(t, Config{Prober: fake})
	one := []string{"192.0.2.1:80"}
	timeout := func(d time.Duration) *tcpshakerv1.CheckOptions {
		return &tcpshakerv1.CheckOptions{Timeout: durationpb.New(d)}
	}
	type opts = tcpshakerv1.CheckOptions
	const invalid, exhausted = codes.InvalidArgument, codes.ResourceExhausted
	for _, test := range []struct {
		name    string
		targets []string
		options *opts
		code    codes.Code
		reason  string
		fields  string
	}{
		{"empty", nil, nil, invalid, ReasonInvalidRequest, "targets"},
		{"timeout 0", one, timeout(0), invalid, ReasonInvalidRequest, "options.timeout"},
		{"timeout negative", one, timeout(-time.Second), invalid, ReasonInvalidRequest, "options.timeout"},
		{"timeout 1h", one, timeout(time.Hour), invalid, ReasonInvalidRequest, "options.timeout"},
		{
			"timeout malformed", one, &opts{Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}},
			invalid, ReasonInvalidRequest, "options.timeout",
		},
		{"attempts 17", one, &opts{Attempts: 17}, invalid, ReasonInvalidRequest, "options.attempts"},
		{
			"unknown enums", one, &opts{Addresses: 9, IpFamily: -1},
			invalid, ReasonInvalidRequest, "options.addresses options.ip_family",
		},
		{
			"all at once", nil, &opts{Timeout: durationpb.New(-1), Attempts: 1 << 31, Addresses: 9, IpFamily: 9},
			invalid, ReasonInvalidRequest, "options.timeout options.attempts options.addresses options.ip_family targets",
		},
		{"too many targets", slices.Repeat(one, 10_001), nil, exhausted, ReasonTooManyTargets, ""},
		{"target too long", []string{strings.Repeat("a", 3<<20)}, nil, exhausted, ReasonAnswerTooLarge, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, unary := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: test.targets, Options: test.options})
			stream, err := client.StreamCheck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: test.targets, Options: test.options}); err != nil {
				t.Fatal(err)
			}
			_, streamed := stream.Recv()
			for _, err := range []error{unary, streamed} {
				bad, quota, retry := wantStatus(t, err, test.code, test.reason)
				if got := fields(bad); got != test.fields {
					t.Errorf("violations of %q, want %q", got, test.fields)
				}
				if (quota != nil) != (test.code == codes.ResourceExhausted) || retry != nil {
					t.Errorf("quota %v, retry %v", quota, retry)
				}
			}
		})
	}
	if n := fake.total(); n != 0 {
		t.Errorf("%d probes, want none", n)
	}
}

// TestBadTargetsAreData: a malformed target is answered with REASON_INVALID_TARGET and harms no other.
func TestBadTargetsAreData(t *testing.T) {
	client, _ := start(t, Config{Prober: always(open()), Resolver: &fakeResolver{}})
	bad := []string{
		"", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1", "1.2.3:80", "0x7f.1:80", "http://a:80", "::1:80",
		strings.Repeat("a.", 150) + ":80", "a\x00b:80", "192.0.2.1:80\x00",
	}
	for _, target := range bad {
		response, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{target, "192.0.2.1:80"}})
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		got := response.Results[0]
		want := brief{verdict: inconclusive, reason: invalid}
		if briefOf(got) != want || got.Target != target || got.Detail == "" {
			t.Errorf("%q: %v", target, got)
		}
		if got := response.Results[1]; got.Verdict != reachable {
			t.Errorf("%q: its neighbor: %v", target, got)
		}
	}
}

// TestAnswerTooLarge: a Check whose answer could exceed 3 MiB is pointed to StreamCheck, which takes it.
func TestAnswerTooLarge(t *testing.T) {
	client, _ := start(t, Config{Prober: always(open()), Resolver: &fakeResolver{}})
	targets := slices.Repeat([]string{"192.0.2.1:80"}, 1000)
	o := &tcpshakerv1.CheckOptions{Evidence: true, Attempts: 16}
	_, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targets, Options: o})
	_, quota, _ := wantStatus(t, err, codes.ResourceExhausted, ReasonAnswerTooLarge)
	if quota == nil || !strings.Contains(err.Error(), "StreamCheck") {
		t.Errorf("%v", err)
	}
	if got := streamAll(t, client, &tcpshakerv1.StreamCheckRequest{Targets: targets, Options: o}); len(got) != len(targets) {
		t.Errorf("%d results, want %d", len(got), len(targets))
	}
}

// TestMillionTargetsInOneCheck: more than 4 MiB is refused by gRPC itself, before a byte of it is decoded.
func TestMillionTargetsInOneCheck(t *testing.T) {
	fake := always(open())
	client, _ := start(t, Config{Prober: fake})
	_, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: slices.Repeat([]string{"192.0.2.1:80"}, 1_000_000)})
	if status.Code(err) != codes.ResourceExhausted || fake.total() != 0 {
		t.Errorf("%v, %d probes", err, fake.total())
	}
}

// rawCodec sends bytes as they are, as a client could that does not check them.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return proto.Name }

// TestBytesThatAreNoUTF8: protobuf has no such strings, so gRPC refuses the message itself; the service goes on.
func TestBytesThatAreNoUTF8(t *testing.T) {
	fake := always(open())
	conn, _, _ := startConn(t, Config{Prober: fake})
	message := []byte("\x0a\x06\xff\xfe:80\x00") // field 1, 6 bytes
	err := conn.Invoke(t.Context(), tcpshakerv1.ShakerService_Check_FullMethodName, message, nil, grpc.ForceCodecV2(rawCodec{}))
	if status.Code(err) != codes.Internal || fake.total() != 0 {
		t.Errorf("%v, %d probes", err, fake.total())
	}
	check(t.Context(), t, tcpshakerv1.NewShakerServiceClient(conn), "192.0.2.1:80", nil)
}

// TestStatusDetailsAreSmall: "details are 4 KiB at most", all of one status together, and each has its ErrorInfo.
func TestStatusDetailsAreSmall(t *testing.T) {
	_, wrong := decodeOptions(&tcpshakerv1.CheckOptions{
		Timeout: durationpb.New(-1), Attempts: 17, Addresses: 9, IpFamily: 9,
	}, DefaultMaxTimeout)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for name, err := range map[string]error{
		"invalid":   errInvalid(append(wrong, violation{"targets", "at least one is needed"})),
		"too many":  errTooManyTargets(1 << 30),
		"too large": errAnswerTooLarge(),
		"too long":  errTargetTooLong(),
		"draining":  errDraining(),
		"old":       errStreamAge(),
		"internal":  errInternal(),
		"canceled":  errEnded(canceled),
		"late":      errEnded(late),
	} {
		st := status.Convert(err)
		size := 0
		for _, detail := range st.Proto().GetDetails() {
			size += pb.Size(detail)
		}
		if size == 0 || size > 4<<10 {
			t.Errorf("%s: %d bytes of details", name, size)
		}
		if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.Domain != ErrorDomain || info.Reason == "" {
			t.Errorf("%s: no ErrorInfo in %v", name, st)
		}
	}
	if code := status.Code(errEnded(late)); code != codes.DeadlineExceeded {
		t.Errorf("late: %v", code)
	}
}
