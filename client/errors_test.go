package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// An error tells the method, the request id and the status, of each of the calls.
func TestErrors(t *testing.T) {
	refused := status.Error(codes.PermissionDenied, "scripted")
	id := metadata.Pairs("x-request-id", "4711")
	c := dial(t, &fake{
		check: func(ctx context.Context, _ *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
			return nil, errors.Join(grpc.SetHeader(ctx, id), refused)
		},
		stream: func(s serverStream) error {
			if err := s.SetHeader(id); err != nil {
				return err
			}
			return refused
		},
		vantage: func(ctx context.Context) (*tcpshakerv1.GetVantageResponse, error) {
			if err := grpc.SetHeader(ctx, id); err != nil {
				return nil, err
			}
			return nil, refused
		},
	})
	for method, call := range map[string]func(*Client) error{
		"Check": checkOne, "StreamCheck": checkTwo, "GetVantage": askVantage,
	} {
		t.Run(method, func(t *testing.T) {
			err := call(c)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T %v", err, err)
			}
			if e.Method != method || e.RequestID != "4711" {
				t.Errorf("%+v", e)
			}
			if s, ok := status.FromError(err); !ok || s.Code() != codes.PermissionDenied {
				t.Errorf("status %v, %v", s, ok)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, ErrProtocol) {
				t.Errorf("%v is taken for something else", err)
			}
			for _, want := range []string{method, "4711", "scripted"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not tell %q", err, want)
				}
			}
		})
	}
}

// What a context does is found by errors.Is as everywhere in Go, and by its status code as everywhere in gRPC.
func TestContextErrors(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	c := dial(t, &fake{
		check: func(ctx context.Context, _ *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
			return nil, wait(ctx)
		},
		stream: func(s serverStream) error { return wait(s.Context()) },
	})
	for name, tt := range map[string]struct {
		context func() (context.Context, context.CancelFunc)
		is      error
		code    codes.Code
	}{
		"deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		}, context.DeadlineExceeded, codes.DeadlineExceeded},
		"cancel": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled, codes.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range []func(context.Context) error{
				func(ctx context.Context) error { _, err := c.Check(ctx, "a:1"); return err },
				func(ctx context.Context) error {
					_, err := drain(c.Stream(ctx, slices.Values([]string{"a:1"})))
					return err
				},
			} {
				ctx, cancel := tt.context()
				err := call(ctx)
				cancel()
				if !errors.Is(err, tt.is) || status.Code(err) != tt.code {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
