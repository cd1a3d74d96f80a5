package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestUnsentIsRefunded: a handshake that sent no SYN does not cost its caller's quota, also if it
// ends after its target was decided, or with the deadline; a lookup costs one.
func TestUnsentIsRefunded(t *testing.T) {
	names := map[string][]string{"two.test.": {"192.0.2.2", "192.0.2.3"}}
	later := reply{Result: unrouted().Result, after: 50 * time.Millisecond}
	for _, test := range []struct {
		name     string
		target   string
		attempts uint32
		script   script
		made     int
	}{
		{"never sent", "192.0.2.2:80", 3, script{"192.0.2.2:80": answers(unrouted())}, 0},
		{"sent once", "192.0.2.2:80", 3, script{"192.0.2.2:80": sequence("nno")}, 1},
		{"the lookup is paid for", "two.test:80", 1, script{"192.0.2.2:80": answers(unrouted()), "192.0.2.3:80": answers(unrouted())}, 1},
		{"after the decision", "two.test:80", 1, script{"192.0.2.2:80": answers(open()), "192.0.2.3:80": answers(later)}, 1},
		{"after the decision, beside the lookup", "two.test:80", 2, script{
			"192.0.2.2:80": answers(reply{Result: open().Result, after: 20 * time.Millisecond}), "192.0.2.3:80": answers(later),
		}, 1},
		{"cut off before the SYN", "192.0.2.2:80", 1, script{"192.0.2.2:80": answers(reply{
			Result: shaker.Result{Outcome: shaker.Canceled, Err: context.DeadlineExceeded},
		})}, 0},
	} {
		plan := test.script
		plan["192.0.2.1:80"] = answers(open())
		config := Config{Prober: byAddress(plan), Resolver: &fakeResolver{names: names}, Access: rated(t, 1e-6, 100)}
		bubble(t, config, func(t *testing.T, client client, _ *Server) {
			stream, err := client.StreamCheck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			options := &tcpshakerv1.CheckOptions{Attempts: test.attempts, Addresses: anyOf}
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{test.target}, Options: options}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // the bubble's
			synctest.Wait()
			wantLeft(t, client, test.name, 100-test.made)
			stream.CloseSend()
			if err := readToEnd(stream, func(*tcpshakerv1.StreamCheckResponse) {}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUnsentIsRefundedToItsDestination is the same for the limit of the address probed.
func TestUnsentIsRefundedToItsDestination(t *testing.T) {
	const burst = 8
	later := reply{Result: unrouted().Result, after: 50 * time.Millisecond}
	for _, test := range []struct {
		target string
		script script
	}{
		{"192.0.2.3:80", script{"192.0.2.3:80": answers(unrouted())}},
		{"two.test:80", script{"192.0.2.2:80": answers(open()), "192.0.2.3:80": answers(later)}},
	} {
		unsent := true
		script := test.script["192.0.2.3:80"]
		test.script["192.0.2.3:80"] = func(p shaker.Probe, before int) reply {
			if unsent {
				return script(p, before)
			}
			return open()
		}
		config := Config{
			Prober:   byAddress(test.script),
			Resolver: &fakeResolver{names: map[string][]string{"two.test.": {"192.0.2.2", "192.0.2.3"}}},
			Access: control(t, access.Config{Destinations: quota.DestinationLimits{
				PerAddress: quota.Rate{PerSecond: 1e-6, Burst: burst}, IPv4Bits: 24, IPv6Bits: 64,
			}}),
		}
		bubble(t, config, func(t *testing.T, client client, _ *Server) {
			stream, err := client.StreamCheck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range burst - 1 { // the other address is asked as often, and pays for it
				options := &tcpshakerv1.CheckOptions{Attempts: 2, Addresses: anyOf}
				if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{test.target}, Options: options}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // the bubble's
			}
			stream.CloseSend()
			if err := readToEnd(stream, func(*tcpshakerv1.StreamCheckResponse) {}); err != nil {
				t.Error(err)
			}
			unsent = false
			for i := range burst + 1 {
				limited := check(t.Context(), t, client, "192.0.2.3:80", nil).Reason == tcpshakerv1.Reason_REASON_RATE_LIMITED
				if limited != (i == burst) {
					t.Errorf("%s: handshake %d: limited %v", test.target, i, limited)
				}
			}
		})
	}
}

// TestCanceledWhileAnAttemptWaits: an RPC that is canceled meanwhile refunds what it did not make.
func TestCanceledWhileAnAttemptWaits(t *testing.T) {
	fake := byAddress(script{"192.0.2.2:80": sequence("n"), "192.0.2.1:80": answers(open())})
	bubble(t, Config{Prober: fake, Access: rated(t, 1e-6, 100)}, func(t *testing.T, client client, _ *Server) {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := ask(client, ctx, &tcpshakerv1.CheckOptions{Attempts: 16}, "192.0.2.2:80")
			failed <- err
		}()
		time.Sleep(100 * time.Millisecond) // the bubble's
		cancel()
		if err := <-failed; err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		wantLeft(t, client, "canceled", 100)
	})
}

// wantLeft fails where other than n handshakes are left of the quota. It uses them up.
func wantLeft(t *testing.T, client client, name string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	used := make([]string, n)
	for i := range used {
		used[i] = "192.0.2.1:80"
	}
	if _, err := ask(client, ctx, nil, used...); n > 0 && err != nil {
		t.Errorf("%s: less is left than %d: %v", name, n, err)
	}
	if _, err := ask(client, ctx, nil, "192.0.2.1:80"); err == nil {
		t.Errorf("%s: more is left than %d", name, n)
	}
}
