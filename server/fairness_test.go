package server

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// streamOf sends targets, and returns a function that reads until the end and counts the answers by reason.
func streamOf(t *testing.T, client client, ctx context.Context, targets []string) func() map[tcpshakerv1.Reason]int {
	t.Helper()
	stream, err := client.StreamCheck(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets}); err != nil {
		t.Fatal(err)
	}
	stream.CloseSend()
	return func() map[tcpshakerv1.Reason]int {
		got := make(map[tcpshakerv1.Reason]int)
		err := readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) {
			for _, r := range response.Results {
				got[r.Reason]++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// TestReloadReachesWhoWaits: targets that wait for a rate are judged when they begin, by what holds then, in streams and Checks.
func TestReloadReachesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := access.Caller{Rate: quota.Rate{PerSecond: 1, Burst: 10}}
		edge := caller{name: "edge", allow: []string{everything}, limits: rate}
		c := control(t, callers(t, edge))
		fake := always(open())
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: c})
		defer stop()
		read := streamOf(t, client, as(t.Context(), "edge"), targetsOf(15))
		var waiting *tcpshakerv1.CheckResponse
		var wg sync.WaitGroup
		time.Sleep(time.Millisecond)
		wg.Go(func() {
			var err error
			if waiting, err = ask(client, as(t.Context(), "edge"), nil, targetsOf(5)...); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(1500 * time.Millisecond)
		edge.deny = []string{everything}
		made := fake.total()
		if err := c.Update(callers(t, edge)); err != nil {
			t.Fatal(err)
		}
		got := read()
		wg.Wait()
		if fake.total() != made || got[deniedReason] != 15-made {
			t.Errorf("%d handshakes before the reload, %d after; answers %v", made, fake.total(), got)
		}
		for _, r := range waiting.GetResults() {
			if r.Reason != deniedReason {
				t.Errorf("a Check that waited: %v", r)
			}
		}
	})
}

// TestRaisedRateHoldsAtOnce: who waits by a slow rate goes on by the fast one, and so do others.
func TestRaisedRateHoldsAtOnce(t *testing.T) {
	for _, service := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			config := func(perSecond float64) access.Config {
				rate := quota.Rate{PerSecond: perSecond, Burst: 10}
				edge := caller{name: "edge", allow: []string{everything}}
				if !service {
					edge.limits.Rate = rate
				}
				all := callers(t, edge)
				if service {
					all.Rate = rate
				}
				return all
			}
			c := control(t, config(0.01))
			fake := always(open())
			client, _, stop := startStoppable(t, Config{Prober: fake, Access: c})
			defer stop()
			var reads []func() map[tcpshakerv1.Reason]int
			for range 3 {
				reads = append(reads, streamOf(t, client, as(t.Context(), "edge"), targetsOf(100)))
			}
			time.Sleep(time.Minute)
			if err := c.Update(config(1000)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(as(t.Context(), "edge"), 2*time.Second)
			defer cancel()
			if _, err := ask(client, ctx, nil, targetsOf(5)...); err != nil {
				t.Errorf("a Check: %v", err)
			}
			began := time.Now()
			for _, read := range reads {
				if got := read(); got[tcpshakerv1.Reason_REASON_SYN_ACK] != 100 {
					t.Errorf("%v", got)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("300 targets at 1,000 a second took %v", took)
			}
		})
	}
}

// TestStalledStreamsSaveNothingUp: streams whose readers stand still do not come with all that they might have had meanwhile.
func TestStalledStreamsSaveNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, burst, streams = 100, 100, 20
		fake := always(open())
		s, err := New(Config{Prober: fake, Logger: quiet, Access: rated(t, perSecond, burst)})
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		var wg sync.WaitGroup
		for range streams {
			wg.Go(func() {
				work, err := s.newSession(t.Context(), &page{send: func(*tcpshakerv1.StreamCheckResponse) error { <-gate; return nil }}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				defer work.close()
				if err := work.accept(append([]string{"junk"}, targetsOf(250)...), nil); err != nil {
					t.Error(err)
				}
				if err := work.run(nil); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(10 * time.Minute)
		before := fake.total()
		close(gate)
		synctest.Wait()
		if made := fake.total() - before; made > burst+perSecond {
			t.Errorf("%d handshakes at once, after %d; at most %d", made, before, burst+perSecond)
		}
		wg.Wait()
	})
}

// besideHonest serves a caller and an honest one, together at 1,000 handshakes a second.
func besideHonest(t *testing.T, other caller) (client, *fakeProber) {
	t.Helper()
	c := callers(t, other, caller{name: "honest", allow: []string{everything}})
	c.Rate = quota.Rate{PerSecond: 1000, Burst: 1000}
	fake := always(open())
	client, _ := start(t, Config{Prober: fake, Access: control(t, c)})
	return client, fake
}

// TestSlowCallerBooksNothingAhead: one caller that may make 1 handshake per second must not take the whole service's rate from
// the others by waiting in many RPCs.
func TestSlowCallerBooksNothingAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, fake := besideHonest(t, caller{
			name: "slow", allow: []string{everything}, limits: access.Caller{Rate: quota.Rate{PerSecond: 1, Burst: 1000}, RPCs: 64},
		})
		ctx, cancel := context.WithCancel(as(t.Context(), "slow"))
		defer cancel()
		for range 64 {
			go ask(client, ctx, nil, targetsOf(1000)...)
		}
		synctest.Wait()
		made := fake.total()
		honest, done := context.WithTimeout(as(t.Context(), "honest"), 10*time.Second)
		defer done()
		_, err := ask(client, honest, nil, "192.0.2.1:80")
		if err != nil {
			t.Errorf("after %d handshakes of the slow caller the honest one gets: %v", made, err)
		}
		cancel()
		synctest.Wait()
	})
}

// TestNobodyBooksTheServiceAhead: a caller without a rate of its own, in as many Checks and streams as it likes, leaves the others their
// turns at the rate of all.
func TestNobodyBooksTheServiceAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, fake := besideHonest(t, caller{name: "greedy", allow: []string{everything}})
		ctx, cancel := context.WithCancel(as(t.Context(), "greedy"))
		defer cancel()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if i%2 == 0 {
						_, _ = ask(client, ctx, nil, targetsOf(1000)...)
					} else if stream, err := client.StreamCheck(ctx); err == nil {
						_ = stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(1000)})
						_, _ = stream.Recv()
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		for range 20 {
			time.Sleep(330 * time.Millisecond)
			began := time.Now()
			honest, done := context.WithTimeout(as(t.Context(), "honest"), 10*time.Second)
			if _, err := ask(client, honest, nil, "192.0.2.1:80"); err != nil {
				t.Errorf("after %v: %v", time.Since(began), err)
			} else if took := time.Since(began); took > 1100*time.Millisecond {
				t.Errorf("answered after %v, behind more than one burst", took)
			}
			done()
		}
		if made := fake.total(); made < 8000 {
			t.Errorf("%d handshakes in 12 s at 1,000 a second", made)
		}
		cancel()
		wg.Wait()
	})
}
