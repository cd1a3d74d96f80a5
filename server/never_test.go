package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// slowPort is the port of targets that take 900 ms to answer.
const slowPort = 81

// TestRetryOnlyWhereWaitingHelps walks the limits that refuse a call, or a target of one: what does
// not fit into a limit at all is refused with the limit's setting, what it has and what may be
// needed, and without a time to ask again. What fits gets the time after which it does succeed, if
// nobody else comes.
func TestRetryOnlyWhereWaitingHelps(t *testing.T) {
	type limits struct {
		caller  access.Caller
		service quota.Rate
		to      quota.DestinationLimits
	}
	edge := func(c access.Caller) limits { return limits{caller: c} }
	rate := func(burst int) quota.Rate { return quota.Rate{PerSecond: 10, Burst: burst} }
	callerRate := func(burst int) limits { return edge(access.Caller{Rate: rate(burst)}) }
	serviceRate := func(burst int) limits { return limits{service: rate(burst)} }
	perAddress := func(burst int) limits { return limits{to: quota.DestinationLimits{PerAddress: rate(burst)}} }
	perPrefix := func(burst int) limits {
		return limits{to: quota.DestinationLimits{PerPrefix: rate(burst), IPv4Bits: 24, IPv6Bits: 64}}
	}
	both := func(address, prefix quota.Rate) limits {
		return limits{to: quota.DestinationLimits{PerAddress: address, PerPrefix: prefix, IPv4Bits: 24, IPv6Bits: 64}}
	}
	ports := limits{to: quota.DestinationLimits{Ports: 1, Window: time.Minute}}

	attempts := func(n uint32) *tcpshakerv1.CheckOptions {
		return &tcpshakerv1.CheckOptions{Attempts: n, Exhaustive: true}
	}
	all := &tcpshakerv1.CheckOptions{Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL}
	any := &tcpshakerv1.CheckOptions{Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY, Attempts: 2, Exhaustive: true}
	one, name := []string{"198.18.0.1:80"}, []string{"many.example:80"}
	const (
		never = "never" // refused, and no wait helps
		later = "later" // refused, and succeeds after the wait that it was told
		now   = "now"   // succeeds, where need be by waiting inside the call
	)
	const unary, stream = "Check", "StreamCheck"
	for _, tt := range []struct {
		limit   string
		limits  limits
		before  []string // asked about by a Check that has ended, with the options with
		with    *tcpshakerv1.CheckOptions
		slow    int // so many targets of a stream are under way, for 900 ms
		rpc     string
		targets []string
		options *tcpshakerv1.CheckOptions
		want    string
		says    string
	}{
		// The caller's rate.
		{"callers[].limits.burst", callerRate(300), nil, nil, 0, unary, targetsOf(400), nil, never, "at most 300 handshakes at once (callers[].limits.burst), this Check may need 400"},
		{"callers[].limits.burst", callerRate(300), targetsOf(300), nil, 0, unary, targetsOf(301), nil, never, "this Check may need 301"},
		{"callers[].limits.burst", callerRate(300), targetsOf(300), nil, 0, unary, targetsOf(300), nil, later, "callers[].limits.burst"},
		{"callers[].limits.burst", callerRate(300), targetsOf(300), nil, 0, unary, one, nil, later, "callers[].limits.burst"},
		{"callers[].limits.burst", callerRate(15), nil, nil, 0, unary, one, attempts(16), never, "this Check may need 16"},
		{"callers[].limits.burst", callerRate(15), nil, nil, 0, unary, name, all, never, "this Check may need 16"},
		{"callers[].limits.burst", callerRate(31), nil, nil, 0, unary, name, any, never, "this Check may need 32"},
		{"callers[].limits.burst", callerRate(15), nil, nil, 0, stream, name, any, now, ""},
		{"callers[].limits.burst", callerRate(300), targetsOf(300), nil, 0, stream, targetsOf(400), nil, now, ""},

		// The rate of all callers together.
		{"limits.burst", serviceRate(300), nil, nil, 0, unary, targetsOf(400), nil, never, "at most 300 handshakes at once (limits.burst), this Check may need 400"},
		{"limits.burst", serviceRate(300), targetsOf(300), nil, 0, unary, targetsOf(301), nil, never, "this Check may need 301"},
		{"limits.burst", serviceRate(300), targetsOf(300), nil, 0, unary, targetsOf(300), nil, later, "limits.burst"},
		{"limits.burst", serviceRate(15), nil, nil, 0, unary, name, all, never, "this Check may need 16"},
		{"limits.burst", serviceRate(15), nil, nil, 0, stream, name, any, now, ""},

		// Both: the caller's has no room now, the service's never has.
		{"limits.burst", limits{caller: access.Caller{Rate: rate(300)}, service: rate(200)}, targetsOf(200), nil, 0, unary, targetsOf(250), nil, never, "limits.burst), this Check may need 250"},
		// Both have no room now, and the service's takes longer.
		{"limits.burst", limits{caller: access.Caller{Rate: quota.Rate{PerSecond: 1000, Burst: 50}}, service: rate(50)}, targetsOf(50), nil, 0, unary, targetsOf(40), nil, later, "limits.burst"},

		// A bucket of that burst takes more than 36 years to fill: fewer fit.
		{"callers[].limits.burst", edge(access.Caller{Rate: quota.Rate{PerSecond: 1e-9, Burst: 100}}), nil, nil, 0, unary, targetsOf(2), nil, never, "at most 1 handshake at once"},
		{"callers[].limits.burst", edge(access.Caller{Rate: quota.Rate{PerSecond: 1e-9, Burst: 100}}), nil, nil, 0, stream, targetsOf(2), nil, never, "36 years"},

		// The caller's outstanding targets, and its calls.
		{"callers[].limits.outstanding", edge(access.Caller{Outstanding: 100}), nil, nil, 0, unary, targetsOf(101), nil, never, "at most 100 targets outstanding (callers[].limits.outstanding), this Check has 101"},
		{"callers[].limits.outstanding", edge(access.Caller{Outstanding: 100}), nil, nil, 90, unary, targetsOf(101), nil, never, "this Check has 101"},
		{"callers[].limits.outstanding", edge(access.Caller{Outstanding: 100}), nil, nil, 90, unary, targetsOf(100), nil, later, "callers[].limits.outstanding"},
		{"callers[].limits.outstanding", edge(access.Caller{Outstanding: 100}), nil, nil, 90, stream, targetsOf(400), nil, now, ""},
		{"callers[].limits.streams", edge(access.Caller{RPCs: 1}), nil, nil, 1, unary, one, nil, later, "callers[].limits.streams"},
		{"callers[].limits.streams", edge(access.Caller{RPCs: 1}), nil, nil, 1, stream, one, nil, later, "callers[].limits.streams"},

		// The fixed sizes.
		{"targets to a message", limits{}, nil, nil, 0, unary, targetsOf(10_001), nil, never, "at most 10000 targets"},
		{"targets to a message", limits{}, nil, nil, 0, stream, targetsOf(10_001), nil, never, "at most 10000 targets"},
		{"bytes to an answer", limits{}, nil, nil, 0, unary, targetsOf(10_000), &tcpshakerv1.CheckOptions{Evidence: true, Attempts: 4}, never, "bytes"},

		// A destination's limits, which refuse one target.
		{"limits.per_address.burst", perAddress(3), nil, nil, 0, unary, one, attempts(4), never, "at most 3 handshakes at once with one address (limits.per_address.burst), this target may need 4"},
		{"limits.per_address.burst", perAddress(3), nil, nil, 0, stream, one, attempts(4), never, "this target may need 4"},
		{"limits.per_address.burst", perAddress(3), one, attempts(3), 0, unary, one, attempts(3), later, "limits.per_address.burst"},
		{"limits.per_address.burst", perAddress(3), one, attempts(3), 0, stream, one, attempts(3), later, "limits.per_address.burst"},
		{"limits.per_prefix.burst", perPrefix(15), nil, nil, 0, unary, name, all, never, "at most 15 handshakes at once with one prefix (limits.per_prefix.burst), this target may need 16"},
		{"limits.per_prefix.burst", perPrefix(15), nil, nil, 0, stream, name, all, never, "this target may need 16"},
		{"limits.per_prefix.burst", perPrefix(31), nil, nil, 0, stream, name, any, never, "this target may need 32"},
		{"limits.per_prefix.burst", perPrefix(16), name, all, 0, unary, name, all, later, "limits.per_prefix.burst"},
		{"limits.per_prefix.burst", perPrefix(16), name, all, 0, stream, name, all, later, "limits.per_prefix.burst"},
		// The address has no room now, the prefix never has.
		{"limits.per_prefix.burst", both(rate(2), rate(15)), []string{"192.0.2.3:80"}, attempts(2), 0, unary, name, all, never, "limits.per_prefix.burst), this target may need 16"},
		// The address has room after 100 ms, the prefix after 16 s.
		{"limits.per_address.burst", both(rate(1), quota.Rate{PerSecond: 1, Burst: 16}), name, all, 0, unary, name, all, later, "limits.per_address.burst"},
		{"limits.ports_per_address.ports", ports, one, nil, 0, unary, []string{"198.18.0.1:443"}, nil, later, "limits.ports_per_address.ports"},
		{"limits.ports_per_address.ports", ports, one, nil, 0, stream, []string{"198.18.0.1:443"}, nil, later, "limits.ports_per_address.ports"},
	} {
		t.Run(fmt.Sprintf("%s %s %d %s", tt.limit, tt.rpc, len(tt.targets), tt.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFake(func(p shaker.Probe, _ int) reply {
					r := open()
					if p.Addr.Port() == slowPort {
						r.after = 900 * time.Millisecond
					}
					return r
				})
				names := &fakeResolver{names: make(map[string][]string)}
				for i := range 16 {
					names.names["many.example."] = append(names.names["many.example."], fmt.Sprintf("192.0.2.%d", 1+i))
				}
				config := callers(t, caller{name: "edge", allow: []string{everything, "*:*"}, limits: tt.limits.caller})
				config.Rate, config.Destinations = tt.limits.service, tt.limits.to
				client, _, stop := startStoppable(t, Config{Prober: fake, Resolver: names, Access: control(t, config)})
				defer stop()
				ctx := as(t.Context(), "edge")
				if tt.before != nil {
					if _, err := ask(client, ctx, tt.with, tt.before...); err != nil {
						t.Fatal(err)
					}
				}
				if tt.slow > 0 {
					targets := make([]string, tt.slow)
					for i := range targets {
						targets[i] = fmt.Sprintf("198.19.0.%d:%d", i, slowPort)
					}
					read := streamOf(t, client, ctx, targets)
					defer read()
					synctest.Wait()
				}
				told, wait := askOnce(t, client, ctx, tt.rpc, tt.options, tt.targets)
				switch tt.want {
				case now:
					if told != "" {
						t.Errorf("refused: %s", told)
					}
				case never:
					if told == "" || wait != 0 || !strings.Contains(told, tt.says) {
						t.Errorf("told %q, and to wait for %v; want %q, and no wait", told, wait, tt.says)
					}
				case later:
					if told == "" || wait <= 0 || !strings.Contains(told, tt.says) || strings.Contains(told, "may need") {
						t.Fatalf("told %q, and to wait for %v; want %q", told, wait, tt.says)
					}
					time.Sleep(wait)
					if told, _ := askOnce(t, client, ctx, tt.rpc, tt.options, tt.targets); told != "" {
						t.Errorf("after the wait of %v: %s", wait, told)
					}
				}
			})
		})
	}
}

// askOnce asks about targets, a Check with a deadline too near to wait for anything. It returns
// what the answer says of a limit, of the call or of its first target, and after how long to ask
// again. Both are zero if all targets were probed.
func askOnce(
	t *testing.T, client client, ctx context.Context, rpc string, o *tcpshakerv1.CheckOptions, targets []string,
) (told string, wait time.Duration) {
	t.Helper()
	var results []*tcpshakerv1.CheckResult
	var err error
	if rpc == "Check" {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		var response *tcpshakerv1.CheckResponse
		response, err = ask(client, short, o, targets...)
		results = response.GetResults()
	} else {
		var stream tcpshakerv1.ShakerService_StreamCheckClient
		if stream, err = client.StreamCheck(ctx); err == nil {
			_ = stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets, Options: o}) // Recv tells
			stream.CloseSend()
			err = readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) {
				for _, r := range response.Results {
					results = append(results, &tcpshakerv1.CheckResult{Reason: r.Reason, Detail: r.Detail})
				}
			})
		}
	}
	if err != nil {
		if status.Code(err) != codes.ResourceExhausted {
			t.Fatal(err)
		}
		info := infoOf(err)
		_, violations, retry := wantStatus(t, err, codes.ResourceExhausted, info)
		if len(violations.GetViolations()) != 1 {
			t.Errorf("QuotaFailure %v", violations)
		}
		return status.Convert(err).Message(), retry.GetRetryDelay().AsDuration()
	}
	if len(results) != len(targets) {
		t.Fatalf("%d results of %d", len(results), len(targets))
	}
	for _, r := range results {
		switch r.Reason {
		case tcpshakerv1.Reason_REASON_SYN_ACK:
		case tcpshakerv1.Reason_REASON_RATE_LIMITED:
			if len(r.Detail) >= maxDetail {
				t.Errorf("a detail of %d bytes: %s", len(r.Detail), r.Detail)
			}
			if _, after, ok := strings.Cut(r.Detail, "ask again in "); ok {
				if wait, err = time.ParseDuration(after); err != nil {
					t.Fatal(err)
				}
			}
			return r.Detail, wait
		default:
			t.Fatalf("result %v", r)
		}
	}
	return "", 0
}

// TestLateCheckGetsItsTime: a Check whose time runs out while another one of its caller has the
// turn learns when the rate has room.
func TestLateCheckGetsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := callers(t, caller{name: "edge", allow: []string{everything}})
		config.Rate = quota.Rate{PerSecond: 10, Burst: 50}
		client, _, stop := startStoppable(t, Config{Prober: always(open()), Access: control(t, config)})
		defer stop()
		ctx := as(t.Context(), "edge")
		if _, err := ask(client, ctx, nil, targetsOf(50)...); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := ask(client, ctx, nil, targetsOf(50)...)
			waiting <- err
		}()
		synctest.Wait()
		told, wait := askOnce(t, client, ctx, "Check", nil, targetsOf(50))
		if told == "" || wait < 9*time.Second || wait > 10*time.Second {
			t.Errorf("told %q, and to wait for %v", told, wait)
		}
		time.Sleep(wait)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if told, _ := askOnce(t, client, ctx, "Check", nil, targetsOf(50)); told != "" {
			t.Errorf("after the wait of %v: %s", wait, told)
		}
	})
}
