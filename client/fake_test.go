package client

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type serverStream = grpc.BidiStreamingServer[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse]

// fake is a service whose answers a test scripts.
type fake struct {
	tcpshakerv1.UnimplementedShakerServiceServer
	check   func(context.Context, *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error)
	stream  func(serverStream) error
	vantage func(context.Context) (*tcpshakerv1.GetVantageResponse, error)
}

func (f *fake) Check(ctx context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
	return f.check(ctx, r)
}

func (f *fake) StreamCheck(s serverStream) error { return f.stream(s) }

func (f *fake) GetVantage(ctx context.Context, _ *tcpshakerv1.GetVantageRequest) (*tcpshakerv1.GetVantageResponse, error) {
	return f.vantage(ctx)
}

// dial serves f in this process until the test ends and returns a Client of it.
func dial(t *testing.T, f *fake, opts ...Option) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	tcpshakerv1.RegisterShakerServiceServer(server, f)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	opts = append([]Option{
		WithInsecure(),
		WithDialOptions(grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		})),
	}, opts...)
	c, err := New("passthrough:///fake", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c
}

// reachable is the plainest good result.
func reachable(index uint64, target string) *tcpshakerv1.CheckResult {
	return &tcpshakerv1.CheckResult{
		Index:   index,
		Target:  target,
		Verdict: tcpshakerv1.Verdict_VERDICT_REACHABLE,
		Reason:  tcpshakerv1.Reason_REASON_SYN_ACK,
	}
}

func respond(results ...*tcpshakerv1.CheckResult) *tcpshakerv1.StreamCheckResponse {
	return &tcpshakerv1.StreamCheckResponse{Results: results}
}

// echo answers every target of a stream at once, each message backwards, as a service may.
func echo(s serverStream) error {
	next := uint64(0)
	for {
		request, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		response := new(tcpshakerv1.StreamCheckResponse)
		for i := len(request.GetTargets()) - 1; i >= 0; i-- {
			response.Results = append(response.Results, reachable(next+uint64(i), request.GetTargets()[i]))
		}
		next += uint64(len(request.GetTargets()))
		if err := s.Send(response); err != nil {
			return err
		}
	}
}
