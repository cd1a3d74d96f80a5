package client

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// refusal is a status with details, as the service makes it.
func refusal(code codes.Code, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, "scripted").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func errorInfo(reason string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Domain: "tcpshaker.v1", Reason: reason}
}

// Whoever is refused can ask why, and when to come again, of each of the calls.
func TestRefusals(t *testing.T) {
	in := func(d *durationpb.Duration) *errdetails.RetryInfo { return &errdetails.RetryInfo{RetryDelay: d} }
	quota := &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: "probes per second"}}}
	for name, tt := range map[string]struct {
		err    error
		code   codes.Code
		reason string
		delay  time.Duration
		ok     bool
	}{
		"unauthenticated": {
			err:  refusal(codes.Unauthenticated, errorInfo("UNAUTHENTICATED")),
			code: codes.Unauthenticated, reason: "UNAUTHENTICATED",
		},
		"permission denied": {
			err:  refusal(codes.PermissionDenied, errorInfo("PERMISSION_DENIED")),
			code: codes.PermissionDenied, reason: "PERMISSION_DENIED",
		},
		"quota": {
			err: refusal(codes.ResourceExhausted, errorInfo("QUOTA_EXCEEDED"), quota,
				in(durationpb.New(1500*time.Millisecond))),
			code: codes.ResourceExhausted, reason: "QUOTA_EXCEEDED", delay: 1500 * time.Millisecond, ok: true,
		},
		"at once": {
			err:  refusal(codes.ResourceExhausted, in(durationpb.New(0)), errorInfo("QUOTA_EXCEEDED")),
			code: codes.ResourceExhausted, reason: "QUOTA_EXCEEDED", ok: true,
		},
		"too large, for ever": {
			err:  refusal(codes.ResourceExhausted, errorInfo("TOO_MANY_TARGETS"), quota),
			code: codes.ResourceExhausted, reason: "TOO_MANY_TARGETS",
		},
		"somebody else's reason": {
			err:  refusal(codes.PermissionDenied, &errdetails.ErrorInfo{Domain: "proxy.example", Reason: "PERMISSION_DENIED"}),
			code: codes.PermissionDenied,
		},
		"no details":     {err: status.Error(codes.ResourceExhausted, "bare"), code: codes.ResourceExhausted},
		"no delay":       {err: refusal(codes.ResourceExhausted, in(nil)), code: codes.ResourceExhausted},
		"negative delay": {err: refusal(codes.ResourceExhausted, in(durationpb.New(-1))), code: codes.ResourceExhausted},
		"no duration": {
			err:  refusal(codes.ResourceExhausted, in(&durationpb.Duration{Seconds: 1, Nanos: -1})),
			code: codes.ResourceExhausted,
		},
		"out of Go's range": {
			err:  refusal(codes.ResourceExhausted, in(&durationpb.Duration{Seconds: 300_000_000_000})),
			code: codes.ResourceExhausted, delay: math.MaxInt64, ok: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{
				check: func(context.Context, *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
					return nil, tt.err
				},
				stream:  func(serverStream) error { return tt.err },
				vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) { return nil, tt.err },
			})
			for method, call := range map[string]func(*Client) error{
				"Check": checkOne, "StreamCheck": checkTwo, "GetVantage": askVantage,
			} {
				err := call(c)
				e, is := errors.AsType[*Error](err)
				if !is || status.Code(err) != tt.code {
					t.Fatalf("%s: %v", method, err)
				}
				delay, ok := e.RetryDelay()
				if e.StatusReason() != tt.reason || delay != tt.delay || ok != tt.ok {
					t.Errorf("%s: reason %q, delay %v, %v", method, e.StatusReason(), delay, ok)
				}
			}
		})
	}
}

// What is no status has no details.
func TestNoDetails(t *testing.T) {
	for _, err := range []error{nil, ErrProtocol, broken("scripted")} {
		e := &Error{Err: err}
		if delay, ok := e.RetryDelay(); e.StatusReason() != "" || delay != 0 || ok {
			t.Errorf("%v: reason %q, delay %v, %v", err, e.StatusReason(), delay, ok)
		}
	}
}
