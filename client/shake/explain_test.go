package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// refusing returns a stream that ends with a status of the service's own.
func refusing(code codes.Code, reason, message string, details ...protoadapt.MessageV1) func(serverStream) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: "tcpshaker.v1"}
	s, err := status.New(code, message).WithDetails(append([]protoadapt.MessageV1{info}, details...)...)
	if err != nil {
		panic(err)
	}
	return func(serverStream) error { return s.Err() }
}

// closedAddress returns an address of loopback where nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// A failed call is explained in words, without gRPC's own.
func TestFailedCallsInWords(t *testing.T) {
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(90 * time.Second)}
	first := &tcpshakerv1.StreamCheckResponse{Results: []*tcpshakerv1.CheckResult{resultOf(0, "down:1")}}
	answered := func(then error) func(serverStream) error {
		return func(s serverStream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			return errors.Join(s.Send(first), then)
		}
	}
	for name, tt := range map[string]struct {
		stream func(serverStream) error
		want   string // ADDR stands for the address
	}{
		"token": {
			refusing(codes.Unauthenticated, "UNAUTHENTICATED", "token unknown"),
			"the service ADDR refuses the call: token unknown (UNAUTHENTICATED)",
		},
		"method": {
			refusing(codes.PermissionDenied, "PERMISSION_DENIED", "not served here"),
			"the service ADDR refuses the call: not served here (PERMISSION_DENIED)",
		},
		"option": {
			refusing(codes.InvalidArgument, "INVALID_REQUEST", "options.attempts: must be 1 to 16"),
			"the service ADDR refuses the call: options.attempts: must be 1 to 16 (INVALID_ARGUMENT)",
		},
		"quota": {
			refusing(codes.ResourceExhausted, "QUOTA_EXCEEDED", "too many calls", retry),
			"the service ADDR refuses the call: too many calls (RESOURCE_EXHAUSTED); ask again in 1m30s",
		},
		"too large": {
			refusing(codes.ResourceExhausted, "ANSWER_TOO_LARGE", "a target is too long"),
			"the service ADDR refuses the call: a target is too long (RESOURCE_EXHAUSTED)",
		},
		"fault": {
			refusing(codes.Internal, "INTERNAL", "internal error"), "the service ADDR failed: internal error (INTERNAL)",
		},
		"unknown call": {
			func(serverStream) error { return status.Error(codes.Unimplemented, "unknown service") },
			"the service ADDR does not know the call: unknown service (UNIMPLEMENTED)",
		},
		"proxy's deadline": {
			func(serverStream) error { return status.Error(codes.DeadlineExceeded, "upstream") },
			"the service ADDR did not answer in time: upstream (DEADLINE_EXCEEDED)",
		},
		"protocol": {
			answered(nil),
			"the service ADDR broke its protocol: the stream ended ",
		},
		"request id": {
			func(s serverStream) error {
				return errors.Join(s.SendHeader(metadata.Pairs("x-request-id", "abc-1")), status.Error(codes.Internal, "oh"))
			},
			"the service ADDR failed: oh (INTERNAL, request abc-1)",
		},
		"after results": {
			answered(status.Error(codes.Internal, "oh")), "the service ADDR failed: oh (INTERNAL), after 1 result",
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, tt.stream)
			o := shakeWith(t, nil, "--server", address, "down:1", "up:1")
			want := "shake: " + strings.ReplaceAll(tt.want, "ADDR", address)
			line, _, _ := strings.Cut(o.stderr, "\n")
			if line != want && (name != "protocol" || !strings.HasPrefix(line, want)) {
				t.Errorf("%s, want %s", line, want)
			}
		})
	}
}

// So is a service that is not there, or is not one.
func TestUnreachableServiceInWords(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, socket := closedAddress(t), filepath.Join(t.TempDir(), "none")
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"closed port": {
			[]string{"--server", closed},
			[]string{closed, "connection refused (UNAVAILABLE)\n"},
		},
		"no socket": {
			[]string{"--server", "unix:" + socket},
			[]string{"unix:" + socket, "no such file or directory (UNAVAILABLE)\n"},
		},
		"silence": {
			[]string{"--server", silent.Addr().String(), "--connect-timeout", "200ms"},
			[]string{silent.Addr().String(), "(UNAVAILABLE)\n"},
		},
		"deadline": {
			[]string{"--server", silent.Addr().String(), "--deadline", "200ms"},
			[]string{
				"--deadline 200ms is over: still connecting to " + silent.Addr().String() + "\n",
				"shake: 1 target has no result: up:1\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			o := shakeWith(t, nil, append(tt.args, "up:1")...)
			for _, want := range tt.want {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("%s, want %q", o.stderr, want)
				}
			}
			for _, noise := range []string{"rpc error", "desc = ", "transport:", "client:", `\"`} {
				if strings.Contains(o.stderr, noise) {
					t.Errorf("%q in %s", noise, o.stderr)
				}
			}
			if took := time.Since(begun); o.code != exitFailed || took > 8*time.Second {
				t.Errorf("%+v after %v", o, took)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		`rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp: x"`: "dial tcp: x",
		`last connection error: connection error: desc = "error reading server preface: \"EOF\""`:                     `last connection error: error reading server preface: "EOF"`,
		`connection error: desc = "a: connection error: desc = \"transport: b\""`:                                     "a: b",
		`connection error: desc = "\q"`: `"\q"`,
		`desc = "x"`:                    `desc = "x"`,
		"":                              "",
	} {
		if got := plain(errors.New(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// An error that is not a call's keeps its text and its cause.
func TestExplainOddErrors(t *testing.T) {
	s := &service{name: "this machine"}
	if explain(s, 0, nil) != nil {
		t.Error("no error is explained")
	}
	for text, want := range map[string]string{
		"no upstream":                      "this machine cannot be reached: no upstream (UNAVAILABLE)",
		"cannot connect to a:1 within 10s": "cannot connect to a:1 within 10s (UNAVAILABLE)",
	} {
		if got := explain(s, 0, &client.Error{Err: status.Error(codes.Unavailable, text)}).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	draining := &client.Error{Err: refusing(codes.Unavailable, "DRAINING", "shutting down")(nil)}
	if got := explain(s, 0, draining).Error(); got != "this machine refuses the call: shutting down (UNAVAILABLE)" {
		t.Error(got)
	}
	err := explain(s, 2, context.Canceled)
	if got := err.Error(); got != "this machine failed: context canceled (UNKNOWN), after 2 results" {
		t.Error(got)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
}
