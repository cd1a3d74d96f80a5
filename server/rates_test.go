package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// rated returns an Access without callers whose handshakes have this rate.
func rated(t *testing.T, perSecond float64, burst int) *access.Control {
	t.Helper()
	return control(t, access.Config{Rate: quota.Rate{PerSecond: perSecond, Burst: burst}})
}

func control(t *testing.T, c access.Config) *access.Control {
	t.Helper()
	control, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return control
}

// targetsOf returns n targets that differ.
func targetsOf(n int) []string {
	targets := make([]string, n)
	for i := range targets {
		targets[i] = fmt.Sprintf("198.18.%d.%d:80", i>>8&0xff, i&0xff)
	}
	return targets
}

func ask(client client, ctx context.Context, o *tcpshakerv1.CheckOptions, targets ...string) (*tcpshakerv1.CheckResponse, error) {
	return client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: targets, Options: o})
}

// TestCheckBeyondTheBurst: a Check beyond the burst is RESOURCE_EXHAUSTED with QuotaFailure, and
// without RetryInfo, before anything is probed or looked up.
func TestCheckBeyondTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(open())
		names := &fakeResolver{names: map[string][]string{"a.example.": {"192.0.2.1"}}}
		client, _, stop := startStoppable(t, Config{Prober: fake, Resolver: names, Access: rated(t, 1000, 1000)})
		defer stop()
		all := &tcpshakerv1.CheckOptions{Attempts: 16, Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL}
		for _, tt := range []struct {
			targets []string
			options *tcpshakerv1.CheckOptions
		}{
			{targetsOf(1001), nil},
			{targetsOf(63), &tcpshakerv1.CheckOptions{Attempts: 16}},           // 1,008
			{slices.Repeat([]string{"a.example:80"}, 4), all},                  // 1,024
			{slices.Repeat([]string{"a.example:80"}, 10000), all},              // "amplification": 2,560,000
			{append(targetsOf(990), slices.Repeat([]string{"x"}, 11)...), nil}, // what is no target counts as well
			{slices.Repeat([]string{"198.18.0.1:80"}, 63), all},                // an address has no sixteen
			{slices.Repeat([]string{"no.example:80"}, 4), all},                 // whether or not it exists
			{slices.Repeat([]string{"no.example:80"}, 63), &tcpshakerv1.CheckOptions{Attempts: 16}},
		} {
			_, err := ask(client, t.Context(), tt.options, tt.targets...)
			_, quota, retry := wantStatus(t, err, codes.ResourceExhausted, ReasonQuota)
			if len(quota.GetViolations()) != 1 || quota.Violations[0].Subject != "all callers" || retry != nil {
				t.Errorf("%d targets: quota %v, retry %v", len(tt.targets), quota, retry)
			}
		}
		if n := fake.total(); n != 0 || len(names.lookups()) != 0 {
			t.Errorf("%d probes, lookups %q", n, names.lookups())
		}
		if _, err := ask(client, t.Context(), nil, targetsOf(1000)...); err != nil {
			t.Errorf("what was refused was charged: %v", err)
		}
	})
}

// TestCheckWaitsWithinTheBurst: "within the burst it waits inside its deadline", and where the deadline is too near it is told so
// at once.
func TestCheckWaitsWithinTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(open())
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: rated(t, 1000, 1000)})
		defer stop()
		began := time.Now()
		for i := range 4 {
			if _, err := ask(client, t.Context(), nil, targetsOf(1000)...); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(began), time.Duration(i)*time.Second; took != want {
				t.Errorf("Check %d ended after %v, want %v", i, took, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer cancel()
		_, err := ask(client, ctx, nil, targetsOf(1000)...)
		_, _, retry := wantStatus(t, err, codes.ResourceExhausted, ReasonQuota)
		if d := retry.GetRetryDelay().AsDuration(); d != time.Second {
			t.Errorf("retry after %v, want 1s", d)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("told after %v, want 3s", took)
		}
		if _, err := ask(client, ctx, nil, targetsOf(500)...); err != nil || time.Since(began) != 3500*time.Millisecond {
			t.Errorf("500 more: %v after %v", err, time.Since(began))
		}
	})
}

// TestStreamIsSlowed: "within a stream the caller is slowed (its own reading held back)": every target is answered by a handshake,
// at the rate, and nothing is refused; and many streams share one bucket.
func TestStreamIsSlowed(t *testing.T) {
	for _, streams := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			const perSecond, burst, each = 1000, 500, 2000
			fake := always(open())
			client, _, stop := startStoppable(t, Config{Prober: fake, Access: rated(t, perSecond, burst)})
			defer stop()
			began := time.Now()
			var wg sync.WaitGroup
			for range streams {
				wg.Go(func() {
					stream, err := client.StreamCheck(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					wg.Go(func() {
						for chunk := range slices.Chunk(targetsOf(each), 700) {
							if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: chunk}); err != nil {
								t.Error(err)
							}
						}
						stream.CloseSend()
					})
					index := uint64(0)
					err = readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) {
						for _, r := range response.Results {
							if r.Verdict != reachable || r.Index != index {
								t.Errorf("result %v, want index %d", r, index)
							}
							index++
						}
						if most := burst + int(time.Since(began).Seconds()*perSecond); fake.total() > most {
							t.Errorf("%d probes after %v, at most %d allowed", fake.total(), time.Since(began), most)
						}
					})
					if err != nil || index != each {
						t.Errorf("%d results, want %d; %v", index, each, err)
					}
				})
			}
			wg.Wait()
			want := time.Duration(streams*each-burst) * time.Second / perSecond
			if took := time.Since(began); took < want || took > want+10*time.Millisecond {
				t.Errorf("%d streams took %v, want %v", streams, took, want)
			}
		})
	}
}

// TestDearTarget: a target that can come to more than the burst is refused in a Check, with the limit, and in a stream waits for what
// is missing, without ending the stream of those around it.
func TestDearTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, burst = 10, 5
		fake := always(open())
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: rated(t, perSecond, burst)})
		defer stop()
		dear := &tcpshakerv1.CheckOptions{Attempts: 16, Exhaustive: true}
		_, err := ask(client, t.Context(), dear, "198.18.0.1:80")
		wantStatus(t, err, codes.ResourceExhausted, ReasonQuota)
		if !strings.Contains(err.Error(), "5") || fake.total() != 0 {
			t.Errorf("%v, %d probes", err, fake.total())
		}
		began := time.Now()
		stream, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*tcpshakerv1.StreamCheckRequest{
			{Targets: targetsOf(2)},                          // at once: 3 are left
			{Targets: targetsOf(2), Options: dear},           // 16 and 16: after 1.3 s, and 1.6 s later
			{Targets: []string{"198.18.0.9:80"}},             // 100 ms later
			{Targets: []string{"198.18.0.9"}, Options: dear}, // no target: 1.6 s later, and it costs nothing
			{Targets: []string{"198.18.0.9:80"}},
		} {
			if err := stream.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		stream.CloseSend()
		answered, last := 0, time.Duration(0)
		err = readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) {
			answered += len(response.Results)
			last = time.Since(began)
			if most := 16 + int(last.Seconds()*perSecond); fake.total() > most {
				t.Errorf("%d probes after %v, at most %d allowed", fake.total(), last, most)
			}
		})
		if err != nil || answered != 7 || fake.total() != 2+32+2 {
			t.Errorf("%d answers after %v, %d probes; %v", answered, last, fake.total(), err)
		}
	})
}

// TestWhatIsNotMadeIsGivenBack: a Check is charged for all that it can come to, and pays for what it came to.
func TestWhatIsNotMadeIsGivenBack(t *testing.T) {
	all := tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL
	for _, tt := range []struct {
		name    string
		options *tcpshakerv1.CheckOptions
		target  string
		script  reply
		made    int
	}{
		{"answered at once", &tcpshakerv1.CheckOptions{Attempts: 16}, "198.18.0.1:80", open(), 1},
		{"two addresses", &tcpshakerv1.CheckOptions{Attempts: 8, Addresses: all}, "two.example:80", open(), 2},
		{"one of them decides", &tcpshakerv1.CheckOptions{Attempts: 8, Addresses: all}, "two.example:80", refused(), 2},
		{"exhaustive", &tcpshakerv1.CheckOptions{Attempts: 16, Exhaustive: true}, "198.18.0.1:80", open(), 16},
		{"no name, but a lookup", &tcpshakerv1.CheckOptions{Attempts: 16, Addresses: all}, "none.example:80", open(), 1},
		{"no target", &tcpshakerv1.CheckOptions{Attempts: 16}, "198.18.0.1", open(), 0},
		{"denied", &tcpshakerv1.CheckOptions{Attempts: 16}, "169.254.169.254:80", open(), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := always(tt.script)
			names := &fakeResolver{names: map[string][]string{"two.example.": {"192.0.2.1", "192.0.2.2"}}}
			client, _, stop := startStoppable(t, Config{Prober: fake, Resolver: names, Access: rated(t, 1e-3, 1000)})
			defer stop()
			if _, err := ask(client, t.Context(), tt.options, tt.target); err != nil {
				t.Fatal(err)
			}
			if fake.total() != tt.made && len(names.lookups()) == 0 {
				t.Errorf("%s: %d probes, want %d", tt.name, fake.total(), tt.made)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if _, err := ask(client, ctx, nil, targetsOf(1000-tt.made)...); err != nil {
				t.Errorf("%s: what is left: %v", tt.name, err)
			}
			if _, err := ask(client, ctx, nil, "198.18.0.1:80"); err == nil {
				t.Errorf("%s: more is left than %d", tt.name, 1000-tt.made)
			}
		})
	}
}

// TestCanceledIsGivenBack: what an RPC was charged and had not begun when its caller went away is not lost, nor its places among the
// targets outstanding.
func TestCanceledIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(hanging())
		gate := make(chan struct{})
		client, _, stop := startStoppable(t, Config{
			Prober: fake, Resolver: &fakeResolver{gate: gate}, Access: rated(t, 1e-3, 1000),
		})
		defer stop()
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := client.StreamCheck(ctx)
			if err != nil {
				t.Fatal(err)
			}
			names := slices.Repeat([]string{"slow.example:80"}, 60)
			options := &tcpshakerv1.CheckOptions{Attempts: 16}
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: names, Options: options}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			cancel()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := ask(client, ctx, &tcpshakerv1.CheckOptions{Timeout: durationpb.New(time.Second)}, targetsOf(1000-3*60)...); err != nil { // less the lookups
			t.Error(err)
		}
	})
}

// TestDestinationLimits: "only per-destination excess comes back as REASON_RATE_LIMITED", for the target that it is about, before any
// packet, and all others are probed.
func TestDestinationLimits(t *testing.T) {
	limits := quota.DestinationLimits{
		PerAddress: quota.Rate{PerSecond: 1, Burst: 3}, PerPrefix: quota.Rate{PerSecond: 1, Burst: 6}, IPv4Bits: 24, IPv6Bits: 64,
		Ports: 2, Window: time.Minute,
	}
	const limited = tcpshakerv1.Reason_REASON_RATE_LIMITED
	const ok = tcpshakerv1.Reason_REASON_SYN_ACK
	for _, tt := range []struct {
		name    string
		targets []string
		options *tcpshakerv1.CheckOptions
		want    []tcpshakerv1.Reason
		detail  string
	}{
		{
			"address",
			[]string{"192.0.2.1:1", "192.0.2.1:1", "192.0.2.1:1", "192.0.2.1:1", "192.0.2.2:1"},
			nil,
			[]tcpshakerv1.Reason{ok, ok, ok, limited, ok},
			"address",
		},
		{
			"prefix",
			[]string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1", "192.0.2.5:1", "192.0.2.6:1", "192.0.2.7:1"},
			nil,
			[]tcpshakerv1.Reason{ok, ok, ok, ok, ok, ok, limited},
			"prefix",
		},
		{
			"IPv6 prefix",
			[]string{
				"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "[2001:db8::4]:1", "[2001:db8::5]:1", "[2001:db8::6:7]:1",
				"[2001:db8::9:0:0:7]:1", "[2001:db8:1::1]:1",
			},
			nil,
			[]tcpshakerv1.Reason{ok, ok, ok, ok, ok, ok, limited, ok},
			"prefix",
		},
		{
			"ports",
			[]string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:2"},
			nil,
			[]tcpshakerv1.Reason{ok, ok, limited, ok},
			"port",
		},
		{
			"attempts",
			[]string{"192.0.2.1:1", "192.0.2.2:1"},
			&tcpshakerv1.CheckOptions{Attempts: 4},
			[]tcpshakerv1.Reason{limited, limited},
			"address",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := always(open())
			client, _, stop := startStoppable(t, Config{Prober: fake, Access: control(t, access.Config{Destinations: limits})})
			defer stop()
			response, err := ask(client, t.Context(), tt.options, tt.targets...)
			if err != nil {
				t.Fatal(err)
			}
			made := 0
			for i, r := range response.Results {
				if r.Reason != tt.want[i] {
					t.Errorf("%s: %s: %v, want %v", tt.name, r.Target, r.Reason, tt.want[i])
				}
				if r.Reason == limited && (r.Attempted != 0 || r.Address != "" || !strings.Contains(r.Detail, tt.detail)) {
					t.Errorf("%s: %v", tt.name, r)
				}
				if r.Reason == ok {
					made++
				}
			}
			if fake.total() != made {
				t.Errorf("%s: %d probes, want %d", tt.name, fake.total(), made)
			}
			time.Sleep(2 * time.Minute) // the bubble's
			response, err = ask(client, t.Context(), nil, tt.targets[len(tt.targets)-1])
			if err != nil || response.Results[0].Reason != ok {
				t.Errorf("%s: two minutes later: %v, %v", tt.name, response, err)
			}
		})
	}
}

// TestDestinationIsChargedForHandshakes: attempts that were not needed are given back to the destination.
func TestDestinationIsChargedForHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFake(func(p shaker.Probe, _ int) reply { return open() })
		limits := quota.DestinationLimits{PerAddress: quota.Rate{PerSecond: 1e-3, Burst: 20}, IPv4Bits: 24, IPv6Bits: 64}
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: control(t, access.Config{Destinations: limits})})
		defer stop()
		for i := range 21 {
			response, err := ask(client, t.Context(), &tcpshakerv1.CheckOptions{Attempts: 1 + uint32(min(15, 19-min(i, 19)))}, "192.0.2.1:1")
			if err != nil {
				t.Fatal(err)
			}
			if limited := response.Results[0].Reason == tcpshakerv1.Reason_REASON_RATE_LIMITED; limited != (i == 20) {
				t.Errorf("Check %d: %v", i, response)
			}
		}
	})
}
