package server

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestCallersInTurn: the engine starts 1,000 handshakes a second. One caller has 90 streams open with 200 targets on each; the
// Checks of another, of one target, wait for one start of theirs, and not for one of each stream, which would take 90 ms.
func TestCallersInTurn(t *testing.T) {
	const streams, targets, checks, most = 90, 200, 11, 30 * time.Millisecond
	engine, err := shaker.New(shaker.Config{Shards: 1, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	open := listen(t, "tcp4", "127.0.0.1:0").Addr().String()
	client, _ := start(t, Config{Prober: FromEngine(engine), Caller: func(ctx context.Context) string {
		md, _ := metadata.FromIncomingContext(ctx)
		return md.Get("caller")[0]
	}})
	of := func(caller string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "caller", caller)
	}
	all := make([]tcpshakerv1.ShakerService_StreamCheckClient, streams)
	for i := range all {
		stream, err := client.StreamCheck(of("greedy"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: slices.Repeat([]string{open}, targets)}); err != nil {
			t.Fatal(err)
		}
		all[i] = stream
	}
	for _, stream := range all { // once each has had a turn, all of them wait for the next
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	var waits []time.Duration
	for range checks {
		got := check(of("modest"), t, client, open, &tcpshakerv1.CheckOptions{Evidence: true})
		waits = append(waits, got.Handshakes[0].Queued.AsDuration())
	}
	slices.Sort(waits)
	t.Logf("waited %v, %v, %v (least, median, most)", waits[0], waits[checks/2], waits[checks-1])
	if waits[checks/2] > most {
		t.Errorf("a caller with one target waits %v behind one with %d", waits[checks/2], streams*targets)
	}
}
