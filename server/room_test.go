package server

import (
	"context"
	"testing"
	"testing/synctest"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// TestRaisedLimitIsFelt: a stream that waits for room goes on when a reload raises the limit.
func TestRaisedLimitIsFelt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(hanging())
		before := callers(t, caller{name: "edge", allow: []string{everything}, limits: access.Caller{Outstanding: 10}})
		control := control(t, before)
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: control})
		defer stop()
		ctx, cancel := context.WithCancel(as(t.Context(), "edge"))
		defer cancel()
		stream, err := client.StreamCheck(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(100)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		after := before
		after.Callers = []access.Caller{before.Callers[0]}
		after.Callers[0].Outstanding = 1000
		if err := control.Update(after); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := fake.total(); n != 100 {
			t.Errorf("%d of 100 targets begun after the limit was raised", n)
		}
		cancel()
		synctest.Wait()
	})
}
