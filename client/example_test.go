package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// The usual way: one Client for the program, a deadline for the call, and a look at the verdict.
func Example() {
	address, stop := serve()
	defer stop()

	c, err := client.New(address) // for instance 127.0.0.1:50051
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	result, err := c.Check(ctx, "192.0.2.7:443", client.WithTimeout(time.Second))
	if err != nil {
		log.Fatal(err) // the service could not be asked; nothing is known of the target
	}
	switch result.Verdict {
	case client.Reachable:
		fmt.Println("up, round trip", result.RTT)
	case client.Unreachable:
		fmt.Println("down:", result.Reason)
	case client.Inconclusive:
		fmt.Println("not known:", result.Reason)
	}
	// Output: up, round trip 1.5ms
}

// Many targets at once, and their results in the same order.
func ExampleClient_CheckAll() {
	address, stop := serve()
	defer stop()
	c, err := client.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	results, err := c.CheckAll(context.Background(), []string{"192.0.2.7:443", "192.0.2.7:81", "192.0.2.7"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Printf("%s: %s (%s)\n", r.Target, r.Verdict, r.Reason)
	}
	// Output:
	// 192.0.2.7:443: reachable (SYN-ACK)
	// 192.0.2.7:81: unreachable (refused)
	// 192.0.2.7: inconclusive (invalid target)
}

// Any number of targets, pulled as the service takes them on, and their results as they complete. To break out of the loop
// frees everything.
func ExampleClient_Stream() {
	address, stop := serve()
	defer stop()
	c, err := client.New(address)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	// Every port of an address, made up on the way.
	ports := func(yield func(string) bool) {
		for port := 1; port <= 65535; port++ {
			if !yield(fmt.Sprintf("192.0.2.7:%d", port)) {
				return
			}
		}
	}
	for result, err := range c.Stream(context.Background(), ports) {
		if err != nil {
			log.Fatal(err)
		}
		if result.Verdict == client.Reachable {
			fmt.Println("found", result.Target)
			break
		}
	}
	// Output: found 192.0.2.7:443
}

// serve stands in for a running service: on 192.0.2.7 it finds port 443 open and all others closed.
func serve() (address string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	tcpshakerv1.RegisterShakerServiceServer(server, stub{})
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), server.Stop
}

type stub struct {
	tcpshakerv1.UnimplementedShakerServiceServer
}

func (stub) Check(_ context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
	return &tcpshakerv1.CheckResponse{Results: answers(0, r.GetTargets())}, nil
}

func (stub) StreamCheck(
	s grpc.BidiStreamingServer[tcpshakerv1.StreamCheckRequest, tcpshakerv1.StreamCheckResponse],
) error {
	next := uint64(0)
	for {
		request, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		results := answers(next, request.GetTargets())
		next += uint64(len(results))
		if err := s.Send(&tcpshakerv1.StreamCheckResponse{Results: results}); err != nil {
			return err
		}
	}
}

func answers(first uint64, targets []string) []*tcpshakerv1.CheckResult {
	var results []*tcpshakerv1.CheckResult
	for i, target := range targets {
		r := &tcpshakerv1.CheckResult{
			Index: first + uint64(i), Target: target,
			Verdict: tcpshakerv1.Verdict_VERDICT_UNREACHABLE, Reason: tcpshakerv1.Reason_REASON_REFUSED,
		}
		if target == "192.0.2.7:443" {
			r.Verdict, r.Reason = tcpshakerv1.Verdict_VERDICT_REACHABLE, tcpshakerv1.Reason_REASON_SYN_ACK
			r.Rtt = durationpb.New(1500 * time.Microsecond)
		}
		if target == "192.0.2.7" {
			r.Verdict, r.Reason = tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE, tcpshakerv1.Reason_REASON_INVALID_TARGET
		}
		results = append(results, r)
	}
	slices.Reverse(results) // a stream may answer in any order
	return results
}
