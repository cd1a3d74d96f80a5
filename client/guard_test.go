package client

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// token is what the guard lets in. The test of secrecy looks for parts of it, so nothing else may have them.
const token = "tok~S3CRET+/=.x9"

// guard is a service for those who have a token.
type guard struct {
	asked atomic.Int32 // RPCs
	saw   atomic.Value // the authorization of the last one, a []string
}

func (g *guard) judge(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	g.asked.Add(1)
	g.saw.Store(md.Get("authorization"))
	if !slices.Equal(md.Get("authorization"), []string{"Bearer " + token}) {
		return refusal(codes.Unauthenticated, errorInfo("UNAUTHENTICATED"))
	}
	return nil
}

func (g *guard) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := g.judge(ctx); err != nil {
				return nil, err
			}
			return next(ctx, r)
		}),
		grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := g.judge(stream.Context()); err != nil {
				return err
			}
			return next(s, stream)
		}),
	}
}

// listen serves what answers every call on a real socket until the test ends. It returns the socket's address.
func listen(t *testing.T, network, address string, opts ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	tcpshakerv1.RegisterShakerServiceServer(server, &fake{
		check: func(_ context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
			return &tcpshakerv1.CheckResponse{Results: []*tcpshakerv1.CheckResult{reachable(0, r.GetTargets()[0])}}, nil
		},
		stream: echo,
		vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) {
			return &tcpshakerv1.GetVantageResponse{}, nil
		},
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// newClient is New for a test in which it works.
func newClient(t *testing.T, target string, opts ...Option) *Client {
	t.Helper()
	c, err := New(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// calls are one call of each kind.
var calls = map[string]func(*Client) error{"Check": checkOne, "StreamCheck": checkTwo, "GetVantage": askVantage}

// callAll makes the calls at once, and checks the error of each.
func callAll(t *testing.T, c *Client, check func(method string, err error)) {
	t.Helper()
	var all sync.WaitGroup
	for method, call := range calls {
		all.Go(func() { check(method, call(c)) })
	}
	all.Wait()
}
