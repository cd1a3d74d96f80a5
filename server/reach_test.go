package server

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// TestRunningCountsUntilItsEnd: a caller with a limit of 1 RPC that resets them has 1 handler at work at a time.
func TestRunningCountsUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		slow := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second) // stands for a decoding or a write that does not look at its context
			return handler(ctx, req)
		}
		client, _, stop := startStoppable(t, Config{
			Prober: always(open()), UnaryInterceptors: []grpc.UnaryServerInterceptor{slow},
			Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}, limits: access.Caller{RPCs: 1}})),
		})
		defer stop()
		for range 20 {
			ctx, cancel := context.WithTimeout(as(t.Context(), "edge"), time.Millisecond)
			_, _ = client.GetVantage(ctx, &tcpshakerv1.GetVantageRequest{})
			cancel()
			synctest.Wait()
		}
		if most.Load() > 1 {
			t.Errorf("%d handlers at a time, the limit is 1", most.Load())
		}
	})
}

// TestLookupsAreCharged: names that do not exist cost the resolver, and must cost their caller something.
func TestLookupsAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := &fakeResolver{}
		client, _, stop := startStoppable(t, Config{Prober: always(open()), Resolver: names, Access: rated(t, 1, 256)})
		defer stop()
		began, total := time.Now(), 0
		for i := range 50 {
			targets := make([]string, 200)
			for j := range targets {
				targets[j] = string(rune('a'+i%26)) + string(rune('a'+i/26)) + string(rune('a'+j%26)) + string(rune('a'+j/26)) + ".example:80"
			}
			if _, err := ask(client, t.Context(), nil, targets...); err != nil {
				t.Fatal(err)
			}
			total += len(targets)
		}
		if took := time.Since(began); took < time.Minute {
			t.Errorf("%d lookups in %v under a rate of 1 per second, burst 256", len(names.lookups()), took)
		}
	})
}
