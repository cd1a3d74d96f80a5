package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestLostSYNThenNoRoute: a silent first handshake and no route after it make the target
// INCONCLUSIVE; a route that is back for the third handshake makes it REACHABLE.
func TestLostSYNThenNoRoute(t *testing.T) {
	for s, want := range map[string]brief{
		"snn": {inconclusive, noRoute, "192.0.2.1:80", 0, 1},
		"sno": {reachable, synAck, "192.0.2.1:80", 1, 2},
	} {
		bubble(t, Config{Prober: byAddress(script{"192.0.2.1:80": sequence(s)})}, func(t *testing.T, client client, _ *Server) {
			got := check(t.Context(), t, client, "192.0.2.1:80", &tcpshakerv1.CheckOptions{Attempts: 3})
			if briefOf(got) != want {
				t.Errorf("%s: got %v, want %v", s, got, want)
			}
			if want.reason == noRoute && got.Detail != "this machine has no route to the address (ENETUNREACH); 1 other handshake met silence" {
				t.Errorf("%s: detail %q", s, got.Detail)
			}
		})
	}
}

// TestTroubleWaits: after our own trouble the next attempt starts min(timeout, 200 ms) later, after
// silence at once. Targets of one stream with different timeouts do not wait for each other.
func TestTroubleWaits(t *testing.T) {
	tests := []struct {
		target, sequence string
		timeout          time.Duration
		starts           []time.Duration // in milliseconds
	}{
		{"192.0.2.1:80", "nnno", 2 * time.Second, []time.Duration{0, 200, 400, 600}},
		{"192.0.2.2:80", "nnno", 50 * time.Millisecond, []time.Duration{0, 50, 100, 150}},
		{"192.0.2.3:80", "nsnr", 300 * time.Millisecond, []time.Duration{0, 200, 500, 700}},
		{"192.0.2.4:80", "ssnn", 70 * time.Millisecond, []time.Duration{0, 70, 140, 210}},
		{"192.0.2.5:80", "fffo", 200 * time.Millisecond, []time.Duration{0, 200, 400, 600}},
		{"192.0.2.6:80", "nnnn", time.Millisecond, []time.Duration{0, 1, 2, 3}},
	}
	plan := make(script)
	var messages []*tcpshakerv1.StreamCheckRequest
	for _, test := range tests {
		plan[test.target] = sequence(test.sequence)
		messages = append(messages, &tcpshakerv1.StreamCheckRequest{
			Targets: []string{test.target},
			Options: &tcpshakerv1.CheckOptions{Attempts: 4, Timeout: durationpb.New(test.timeout)},
		})
	}
	fake := byAddress(plan)
	bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
		began := time.Now()
		if results := streamAll(t, client, messages...); len(results) != len(tests) {
			t.Errorf("%d results, want %d", len(results), len(tests))
		}
		for _, test := range tests {
			times := fake.times(test.target)
			if len(times) != len(test.starts) {
				t.Fatalf("%s: %d handshakes, want %d", test.sequence, len(times), len(test.starts))
			}
			for i, at := range times {
				if got, want := at.Sub(began), test.starts[i]*time.Millisecond; got != want {
					t.Errorf("%s, timeout %v: attempt %d after %v, want %v", test.sequence, test.timeout, i, got, want)
				}
			}
		}
	})
}

// TestDeadlineWhileAnAttemptWaits: a target whose next attempt waits when the time is over is
// answered at once, with the trouble and not as cut off. So is a target whose trouble comes when
// the time is over.
func TestDeadlineWhileAnAttemptWaits(t *testing.T) {
	names := map[string][]string{"two.test.": {"192.0.2.1", "192.0.2.9"}}
	late := answers(reply{Result: unrouted().Result, hang: true})
	for _, test := range []struct {
		target string
		script func(shaker.Probe, int) reply
		policy tcpshakerv1.AddressPolicy
		want   brief
	}{
		{"192.0.2.1:80", sequence("n"), anyOf, brief{inconclusive, noRoute, "192.0.2.1:80", 0, 0}},
		{"192.0.2.1:80", late, anyOf, brief{inconclusive, noRoute, "192.0.2.1:80", 0, 0}},
		{"two.test:80", sequence("n"), anyOf, brief{inconclusive, noRoute, "192.0.2.1:80", 0, 1}}, // the other hangs
		{"two.test:80", sequence("n"), allOf, brief{inconclusive, noRoute, "192.0.2.1:80", 0, 1}},
	} {
		for _, stream := range []bool{false, true} {
			config := Config{
				Prober:   byAddress(script{"192.0.2.1:80": test.script}),
				Resolver: &fakeResolver{names: names}, Access: rated(t, 1e-6, 100),
			}
			bubble(t, config, func(t *testing.T, client client, _ *Server) {
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond) // 135 ms for work
				defer cancel()
				began := time.Now()
				options := &tcpshakerv1.CheckOptions{Attempts: 3, Addresses: test.policy}
				var got *tcpshakerv1.CheckResult
				if stream {
					s, err := client.StreamCheck(ctx)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{test.target}, Options: options}); err != nil {
						t.Fatal(err)
					}
					s.CloseSend()
					err = readToEnd(s, func(r *tcpshakerv1.StreamCheckResponse) { got = r.Results[0] })
					if err != nil {
						t.Fatal(err)
					}
				} else {
					got = check(ctx, t, client, test.target, options)
				}
				if briefOf(got) != test.want || !strings.HasPrefix(got.Detail, "this machine has no route") {
					t.Errorf("%s, stream %v: %v", test.target, stream, got)
				}
				if took := time.Since(began); took < 135*time.Millisecond || took > 136*time.Millisecond {
					t.Errorf("%s, stream %v: answered after %v", test.target, stream, took)
				}
			})
		}
	}
}

// TestCutHandshakeKeepsItsEvidence: a handshake that is in flight when the time is over decides
// with what the engine saw of it, though attempts were left.
func TestCutHandshakeKeepsItsEvidence(t *testing.T) {
	cut := shaker.Result{Outcome: shaker.Canceled, Err: context.DeadlineExceeded, Retransmits: 2, Elapsed: time.Second}
	fake := always(reply{Result: cut, hang: true})
	bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := check(ctx, t, client, "192.0.2.1:80", &tcpshakerv1.CheckOptions{Attempts: 3})
		if got.Reason != cutOff || got.SynRetransmits != 2 || got.Attempted != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// TestAWaitingAttemptGoesWithItsTarget: an attempt that waits when its target is decided is not
// made, neither for it nor for the target that comes to its place; and a place with a waiting
// attempt is not given away.
func TestAWaitingAttemptGoesWithItsTarget(t *testing.T) {
	names := map[string][]string{"two.test.": {"192.0.2.1", "192.0.2.2"}}
	fake := byAddress(script{
		"192.0.2.1:80": answers(unrouted()),
		"192.0.2.2:80": answers(reply{Result: open().Result, after: 100 * time.Millisecond}),
		"192.0.2.3:80": sequence("nno"),
		"192.0.2.4:80": silence,
	})
	config := Config{Prober: fake, Resolver: &fakeResolver{names: names}, Limits: Limits{OutstandingPerStream: 1}}
	bubble(t, config, func(t *testing.T, client client, _ *Server) {
		options := &tcpshakerv1.CheckOptions{Attempts: 3, Addresses: anyOf}
		results := streamAll(t, client,
			&tcpshakerv1.StreamCheckRequest{Targets: []string{"two.test:80"}, Options: options},
			&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.4:80"}},
			&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.3:80", "192.0.2.4:80"}, Options: options},
		)
		var got []tcpshakerv1.Reason
		for i, r := range results {
			if r.Index != uint64(i) {
				t.Errorf("result %d has index %d", i, r.Index)
			}
			got = append(got, r.Reason)
		}
		if want := []tcpshakerv1.Reason{synAck, timeout, synAck, timeout}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for addr, want := range map[string]int{"192.0.2.1:80": 1, "192.0.2.2:80": 1, "192.0.2.3:80": 3, "192.0.2.4:80": 1 + 3} {
			if n := len(fake.times(addr)); n != want {
				t.Errorf("%s: %d handshakes, want %d", addr, n, want)
			}
		}
	})
}
