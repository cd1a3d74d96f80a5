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

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestFitTimeout holds fitTimeout to its rule: L = (left − 20 ms) ÷ handshakes is used if 1.2 s ≤
// L < T, and T otherwise.
func TestFitTimeout(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, test := range []struct {
		timeout, left time.Duration
		handshakes    int
		want          time.Duration
	}{
		{2 * s, unfitted, 1, 2 * s},
		{2 * s, unfitted, maxAttempts, 2 * s},
		{2 * s, -s, 1, 2 * s},
		{2 * s, 0, 3, 2 * s},

		// The deadlines that callers use, less the reserve of 100 ms.
		{2 * s, 900 * ms, 1, 2 * s},
		{2 * s, 1200 * ms, 1, 2 * s},
		{2 * s, 1400 * ms, 1, 1380 * ms},
		{2 * s, 1900 * ms, 1, 1880 * ms},
		{2 * s, 2400 * ms, 1, 2 * s},
		{2 * s, 1900 * ms, 3, 2 * s},
		{2 * s, 2400 * ms, 3, 2 * s},
		{2 * s, 4900 * ms, 3, 1626_666_666},

		// The ends of the range in which L is used.
		{2 * s, 1220*ms - 1, 1, 2 * s},
		{2 * s, 1220 * ms, 1, 1200 * ms},
		{2 * s, 2020*ms - 1, 1, 2*s - 1},
		{2 * s, 2020 * ms, 1, 2 * s},
		{2 * s, 3*1200*ms + 20*ms - 1, 3, 2 * s},
		{2 * s, 3*1200*ms + 20*ms, 3, 1200 * ms},
		{2 * s, 3*2*s + 20*ms - 1, 3, 2*s - 1},
		{2 * s, 3*2*s + 20*ms, 3, 2 * s},
		{2 * s, 16*1200*ms + 20*ms, 16, 1200 * ms},

		// The operator allows less than 2 s.
		{1500 * ms, 1400 * ms, 1, 1380 * ms},
		{1500 * ms, 1900 * ms, 1, 1500 * ms},
		{1201 * ms, 1220 * ms, 1, 1200 * ms},
		{1200 * ms, 1220 * ms, 1, 1200 * ms},
		{1200 * ms, 1100 * ms, 1, 1200 * ms},
		{300 * ms, 200 * ms, 1, 300 * ms},
		{300 * ms, 1300 * ms, 1, 300 * ms},
	} {
		if got := fitTimeout(test.timeout, test.left, test.handshakes); got != test.want {
			t.Errorf("timeout %v, left %v, %d handshakes: %v, want %v", test.timeout, test.left, test.handshakes, got, test.want)
		}
	}
}

// TestTimeoutOf: the attempts before are not counted, those of an exhaustive target overlap, and
// what the caller has set stays.
func TestTimeoutOf(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, test := range []struct {
		o       options
		attempt int
		left    time.Duration
		want    time.Duration
	}{
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 3}, 0, 4900 * ms, 4880 * ms / 3},
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 3}, 1, 3220 * ms, 1600 * ms},
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 3}, 2, 1620 * ms, 1600 * ms},
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 16, exhaustive: true}, 0, 1900 * ms, 1730 * ms},
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 16, exhaustive: true}, 15, 1750 * ms, 1730 * ms},
		{options{timeout: 2 * s, timeoutUnset: true, attempts: 16, exhaustive: true}, 0, 1370*ms - 1, 2 * s},
		{options{timeout: 2 * s, attempts: 1}, 0, 1900 * ms, 2 * s},
		{options{timeout: 2 * s, attempts: 3, exhaustive: true}, 0, 1900 * ms, 2 * s},
	} {
		if got := test.o.timeoutOf(test.attempt, test.left); got != test.want {
			t.Errorf("%+v, attempt %d, left %v: %v, want %v", test.o, test.attempt, test.left, got, test.want)
		}
	}
}

// TestTimeoutsOfAnRPC: only an RPC of Check with a deadline fits its timeouts, by what is left
// when each handshake is submitted, and names in `detail` what it used.
func TestTimeoutsOfAnRPC(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	two := []string{"192.0.2.1", "192.0.2.2"}
	many := func(n int, d time.Duration) []time.Duration { return slices.Repeat([]time.Duration{d}, n) }
	for name, test := range map[string]struct {
		deadline time.Duration // 0: none
		stream   bool
		max      time.Duration // of the service; 0: the default
		lookup   time.Duration // how long it takes
		sequence string        // of each address; empty: silence
		options  *tcpshakerv1.CheckOptions
		want     []time.Duration // the timeouts, of all addresses
		reason   tcpshakerv1.Reason
		detail   string
	}{
		"no deadline":       {want: many(1, 2*s), reason: timeout, detail: "no answer to 1 SYN within 2s"},
		"deadline":          {deadline: 2 * s, want: many(1, 1880*ms), reason: timeout, detail: "no answer to 1 SYN within 1.88s"},
		"stream":            {stream: true, deadline: 2 * s, want: many(1, 2*s), reason: cutOff, detail: "timeout of 2s;"},
		"no deadline, set":  {options: &tcpshakerv1.CheckOptions{Timeout: durationpb.New(3 * s)}, want: many(1, 3*s), reason: timeout, detail: "within 3s"},
		"stream, long":      {stream: true, deadline: 5 * s, want: many(1, 2*s), reason: timeout, detail: "within 2s"},
		"stream, unlimited": {stream: true, want: many(1, 2*s), reason: timeout, detail: "within 2s"},
		"set to the default": {
			deadline: 2 * s, options: &tcpshakerv1.CheckOptions{Timeout: durationpb.New(2 * s)},
			want: many(1, 2*s), reason: cutOff,
			detail: "the deadline of the RPC passed before an answer, and before the timeout of 2s; set options.timeout below the deadline",
		},
		"set below the deadline": {
			deadline: 2 * s, options: &tcpshakerv1.CheckOptions{Timeout: durationpb.New(1234567 * time.Microsecond)},
			want: many(1, 1234567*time.Microsecond), reason: timeout, detail: "within 1.234567s",
		},
		"too short": {deadline: 1300 * ms, want: many(1, 2*s), reason: cutOff, detail: "before the timeout of 2s; set options.timeout"},
		"max below the least": {
			deadline: 1 * s, max: 1100 * ms, want: many(1, 1100*ms), reason: cutOff, detail: "before the timeout of 1.1s; set",
		},
		"max in force": {deadline: 2 * s, max: 1500 * ms, want: many(1, 1500*ms), reason: timeout, detail: "within 1.5s"},
		"below max":    {deadline: 1500 * ms, max: 1500 * ms, want: many(1, 1380*ms), reason: timeout, detail: "within 1.38s"},
		"after a lookup": {
			deadline: 2 * s, lookup: 300 * ms, want: many(1, 1580*ms), reason: timeout, detail: "within 1.58s",
		},
		"after too long a lookup": {deadline: 2 * s, lookup: 700 * ms, want: many(1, 2*s), reason: cutOff, detail: "timeout of 2s"},
		"attempts": {
			deadline: 5 * s, options: &tcpshakerv1.CheckOptions{Attempts: 3},
			want: many(3, 4880*ms/3), reason: timeout, detail: "no answer to 1 SYN within 1.63s, nor in 2 handshakes more",
		},
		"attempts of each address": {
			deadline: 3500 * ms, lookup: 1, options: &tcpshakerv1.CheckOptions{Attempts: 2, Addresses: anyOf},
			want: many(4, 1690*ms), reason: timeout, detail: "no answer to 1 SYN within 1.69s, nor in 1 handshake more",
		},
		"all addresses": {
			deadline: 2 * s, lookup: 1, options: &tcpshakerv1.CheckOptions{Addresses: allOf, Exhaustive: true},
			want: many(2, 1880*ms), reason: timeout, detail: "within 1.88s",
		},
		"exhaustive": {
			deadline: 2 * s, options: &tcpshakerv1.CheckOptions{Attempts: 16, Exhaustive: true},
			want: many(16, 1730*ms), reason: timeout, detail: "within 1.73s, nor in 15 handshakes more",
		},
		"exhaustive, too short": {
			deadline: 1400 * ms, options: &tcpshakerv1.CheckOptions{Attempts: 16, Exhaustive: true},
			want: many(16, 2*s), reason: cutOff, detail: "after 0 of 16 handshakes",
		},
		"after own trouble": { // 200 ms later
			deadline: 2 * s, sequence: "ns", options: &tcpshakerv1.CheckOptions{Attempts: 2},
			want: []time.Duration{2 * s, 1680 * ms}, reason: noRoute, detail: "1 other handshake met silence",
		},
		"after 2 s of silence": {
			deadline: 3500 * ms, sequence: "sso", options: &tcpshakerv1.CheckOptions{Attempts: 3},
			want: []time.Duration{2 * s, 2 * s}, reason: cutOff, detail: "after 1 of 3 handshakes",
		},
	} {
		var mu sync.Mutex
		var got []time.Duration
		script := func(p shaker.Probe, before int) reply {
			mu.Lock()
			got = append(got, p.Timeout)
			mu.Unlock()
			if test.sequence != "" {
				return sequence(test.sequence)(p, before)
			}
			return silent(p)
		}
		synctest.Test(t, func(t *testing.T) {
			resolver := &fakeResolver{names: map[string][]string{"two.test.": two}, gate: make(chan struct{})}
			client, _, stop := startStoppable(t, Config{
				Prober: newFake(script), Resolver: resolver, Limits: Limits{MaxTimeout: test.max},
			})
			defer stop()
			ctx := t.Context()
			if test.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
				defer cancel()
			}
			target := "192.0.2.1:80"
			if test.lookup > 0 {
				target = "two.test:80"
				time.AfterFunc(test.lookup, func() { close(resolver.gate) })
			}
			var result *tcpshakerv1.CheckResult
			if test.stream {
				result = streamOne(ctx, t, client, target, test.options)
			} else {
				result = check(ctx, t, client, target, test.options)
			}
			if result.Reason != test.reason || !strings.Contains(result.Detail, test.detail) {
				t.Errorf("%s: %v, want %v with %q", name, result, test.reason, test.detail)
			}
			if !slices.EqualFunc(got, test.want, func(got, want time.Duration) bool {
				return want-got < ms && got-want < ms // the deadline on the wire is rounded
			}) {
				t.Errorf("%s: timeouts %v, want %v", name, got, test.want)
			}
		})
	}
}

// TestTimeoutsKeepThePace: in a Check of many targets the engine's pace starts the last handshake late, so
// its timeout is shorter, and all silence is found.
func TestTimeoutsKeepThePace(t *testing.T) {
	const targets, rate = 500, 1000
	var mu sync.Mutex
	var got []time.Duration
	fake := newFake(func(p shaker.Probe, before int) reply {
		mu.Lock()
		got = append(got, p.Timeout)
		mu.Unlock()
		return silent(p)
	})
	fake.stats.Rate = rate
	synctest.Test(t, func(t *testing.T) {
		client, _, stop := startStoppable(t, Config{Prober: fake})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: targetsOf(targets)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range response.Results {
			if r.Reason != timeout {
				t.Fatal(r)
			}
		}
	})
	for i, d := range got {
		want := 1880*time.Millisecond - time.Duration(i)*time.Second/rate
		if (d - want).Abs() > time.Millisecond {
			t.Fatalf("handshake %d: %v, want %v", i, d, want)
		}
	}
}

// streamOne makes a StreamCheck of one target.
func streamOne(
	ctx context.Context, t *testing.T, client client, target string, o *tcpshakerv1.CheckOptions,
) *tcpshakerv1.CheckResult {
	t.Helper()
	stream, err := client.StreamCheck(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{target}, Options: o}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var results []*tcpshakerv1.CheckResult
	if err := readToEnd(stream, func(r *tcpshakerv1.StreamCheckResponse) { results = append(results, r.Results...) }); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 {
		t.Fatalf("%d results, want 1", len(results))
	}
	return results[0]
}

// TestLateSilence: silence that a busy machine reports after the end of the work is still
// TIMED_OUT, up to lateSilence and if its timeout was fitted. Nothing else is waited for, and no
// attempt begins then.
func TestLateSilence(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	for _, test := range []struct {
		late    time.Duration // when the engine reports silence, after its timeout
		targets int
		options *tcpshakerv1.CheckOptions
		reason  tcpshakerv1.Reason
		detail  string
		after   time.Duration // when the answer comes
	}{
		{0, 1, nil, timeout, "within 1.88s", 1880 * ms},
		{79 * ms, 1, nil, timeout, "within 1.88s", 1959 * ms},
		{85 * ms, 1, nil, cutOff, "before the timeout of 1.88s", 1960 * ms},
		{0, 1, &tcpshakerv1.CheckOptions{Timeout: durationpb.New(1910 * ms)}, cutOff, "before the timeout of 1.91s", 1900 * ms},
		{0, 1, &tcpshakerv1.CheckOptions{Attempts: 3}, cutOff, "after 0 of 3", 1900 * ms},
		{30 * ms, 9000, nil, cutOff, "before the timeout of 1.8s", 1880 * ms}, // for their answers 180 ms are kept back
	} {
		fake := newFake(func(p shaker.Probe, _ int) reply {
			r := silent(p)
			r.after += test.late
			return r
		})
		if test.targets > 1 {
			fake.script = answers(hanging())
		}
		bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*s)
			defer cancel()
			began := time.Now()
			response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{
				Targets: slices.Repeat([]string{"192.0.2.1:80"}, test.targets), Options: test.options,
			})
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			for _, r := range response.Results {
				if r.Reason != test.reason || !strings.Contains(r.Detail, test.detail) {
					t.Fatalf("%v late: %v, want %v with %q", test.late, r, test.reason, test.detail)
				}
			}
			if took < test.after || took > test.after+ms {
				t.Errorf("%v late: took %v, want %v", test.late, took, test.after)
			}
			if n := fake.total(); n != test.targets {
				t.Errorf("%v late: %d handshakes, want %d", test.late, n, test.targets)
			}
		})
	}
}

// TestNoAttemptAfterTheWork: silence that comes when the work has ended is followed by no attempt,
// though the batch may still wait for another address.
func TestNoAttemptAfterTheWork(t *testing.T) {
	for _, late := range []time.Duration{30 * time.Millisecond, 90 * time.Millisecond} {
		name := fmt.Sprintf("%v late", late)
		fake := newFake(func(p shaker.Probe, before int) reply {
			r := silent(p)
			if before == 0 {
				r.after = 3400*time.Millisecond + late // the first of two attempts waited for its turn
			}
			return r
		})
		bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			defer cancel()
			got := check(ctx, t, client, "192.0.2.1:80", &tcpshakerv1.CheckOptions{Attempts: 2})
			if got.Reason != cutOff || got.Verdict != inconclusive || fake.total() != 1 {
				t.Errorf("%s: %v, %d handshakes", name, got, fake.total())
			}
		})
	}
}

// TestOnlyFittedSilenceIsWaitedFor: once the last fitted handshake has ended, what is in flight
// beside it is cut off at once.
func TestOnlyFittedSilenceIsWaitedFor(t *testing.T) {
	fake := byAddress(script{"192.0.2.1:80": func(p shaker.Probe, _ int) reply {
		r := silent(p)
		r.after += 50 * time.Millisecond
		return r
	}}) // any other address hangs
	synctest.Test(t, func(t *testing.T) {
		resolver := &fakeResolver{names: map[string][]string{"slow.test.": {"192.0.2.2"}}, gate: make(chan struct{})}
		client, _, stop := startStoppable(t, Config{Prober: fake, Resolver: resolver})
		defer stop()
		time.AfterFunc(time.Second, func() { close(resolver.gate) }) // too late for a fitted timeout
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80", "slow.test:80"}})
		if err != nil {
			t.Fatal(err)
		}
		took, want := time.Since(began), 1930*time.Millisecond
		if took < want || took > want+time.Millisecond {
			t.Errorf("took %v, want %v", took, want)
		}
		if got := response.Results; got[0].Reason != timeout || got[1].Reason != cutOff {
			t.Errorf("got %v, want the first timed out and the second cut off", got)
		}
	})
}

// TestFlightContext: that of a stream ends with its work, and that of a Check by lateSilence
// later.
func TestFlightContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for expected, want := range map[int]time.Duration{
		0: 0, 1: lateSilence, 4000: lateSilence, 5000: 50 * time.Millisecond, 10_000: lateSilence, 100_000: 0,
	} {
		work, cancel := workContext(ctx, expected)
		defer cancel()
		end, _ := work.Deadline()
		flights, land := flightContext(ctx, work, expected)
		if got, ok := flights.Deadline(); !ok || (got.Sub(end)-want).Abs() > 5*time.Millisecond {
			t.Errorf("%d expected: %v after the work, want %v", expected, got.Sub(end), want)
		}
		land()
	}
	unlimited, land := flightContext(t.Context(), t.Context(), 1)
	defer land()
	if _, ok := unlimited.Deadline(); ok {
		t.Error("a deadline without one of the RPC")
	}
}
