package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noEnv(string) string { return "" }

// outcome is what a run left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

func shakeWith(t *testing.T, stdin io.Reader, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, noEnv, stdin, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

type serverStream = grpc.BidiStreamingServer[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse]

// fake is a service whose answers a test scripts.
type fake struct {
	tcpshakerv1.UnimplementedShakerServiceServer
	stream func(serverStream) error
}

func (f fake) StreamCheck(s serverStream) error { return f.stream(s) }

// serve runs a fake on loopback until the test ends, and returns its address.
func serve(t *testing.T, stream func(serverStream) error) string {
	t.Helper()
	return serveOn(t, "tcp", "127.0.0.1:0", stream)
}

// serveOn is serve at an address of choice.
func serveOn(t *testing.T, network, address string, stream func(serverStream) error, opts ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(opts, grpc.WaitForHandlers(true))...)
	tcpshakerv1.RegisterShakerServiceServer(server, fake{stream: stream})
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

// byName answers each target at once, as its host says: up:80 is reachable, down:80 unreachable, lost:80 inconclusive.
func byName(s serverStream) error {
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
		for i, target := range request.GetTargets() {
			response.Results = append(response.Results, resultOf(next+uint64(i), target))
		}
		next += uint64(len(request.GetTargets()))
		if err := s.Send(response); err != nil {
			return err
		}
	}
}

// backwards answers as byName, but all targets at the end, and the last one first.
func backwards(s serverStream) error {
	response := new(tcpshakerv1.StreamCheckResponse)
	for {
		request, err := s.Recv()
		if errors.Is(err, io.EOF) {
			slices.Reverse(response.Results)
			return s.Send(response)
		}
		if err != nil {
			return err
		}
		for _, target := range request.GetTargets() {
			response.Results = append(response.Results, resultOf(uint64(len(response.Results)), target))
		}
	}
}

func resultOf(index uint64, target string) *tcpshakerv1.CheckResult {
	host, _, _ := strings.Cut(target, ":")
	r := &tcpshakerv1.CheckResult{Index: index, Target: target}
	switch host {
	case "up":
		r.Verdict, r.Reason = tcpshakerv1.Verdict_VERDICT_REACHABLE, tcpshakerv1.Reason_REASON_SYN_ACK
		r.Silence = tcpshakerv1.Silence_SILENCE_PROVEN
	case "down":
		r.Verdict, r.Reason = tcpshakerv1.Verdict_VERDICT_UNREACHABLE, tcpshakerv1.Reason_REASON_TIMED_OUT
	default:
		r.Verdict, r.Reason = tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE, tcpshakerv1.Reason_REASON_NO_ROUTE
	}
	return r
}

// firstColumn returns the first word of each line but the header.
func firstColumn(table string) []string {
	var words []string
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		words = append(words, strings.Fields(line)[0])
	}
	return words
}

// request returns what a run with args asks of the service for the target up:80.
func request(t *testing.T, args ...string) *tcpshakerv1.StreamCheckRequest {
	t.Helper()
	got := make(chan *tcpshakerv1.StreamCheckRequest, 1)
	address := serve(t, func(s serverStream) error {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		got <- proto.CloneOf(r)
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("more than one message: %w", err)
		}
		return s.Send(&tcpshakerv1.StreamCheckResponse{Results: []*tcpshakerv1.CheckResult{resultOf(0, "up:80")}})
	})
	if o := shakeWith(t, nil, append(args, "--server", address, "up:80")...); o.code != exitReachable {
		t.Fatalf("%+v", o)
	}
	return <-got
}

// cancelOn returns a writer that cancels when it is first written to.
func cancelOn(cancel context.CancelFunc) io.Writer { return writerFunc(func() { cancel() }) }

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }
