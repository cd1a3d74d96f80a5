package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

var quiet = slog.New(slog.DiscardHandler)

type client = tcpshakerv1.ShakerServiceClient

type script = map[string]func(p shaker.Probe, before int) reply

func answers(r reply) func(shaker.Probe, int) reply {
	return func(shaker.Probe, int) reply { return r }
}

func silence(p shaker.Probe, _ int) reply { return silent(p) }

// brief is what most tests compare of a result.
type brief struct {
	verdict              tcpshakerv1.Verdict
	reason               tcpshakerv1.Reason
	address              string
	completed, attempted uint32
}

func briefOf(r *tcpshakerv1.CheckResult) brief {
	return brief{r.Verdict, r.Reason, r.Address, r.Completed, r.Attempted}
}

// check makes a Check of one target.
func check(
	ctx context.Context, t *testing.T, client client, target string, o *tcpshakerv1.CheckOptions,
) *tcpshakerv1.CheckResult {
	t.Helper()
	response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{target}, Options: o})
	if err != nil {
		t.Fatalf("Check(%s): %v", target, err)
	}
	if n := len(response.Results); n != 1 {
		t.Fatalf("Check(%s): %d results, want 1", target, n)
	}
	return response.Results[0]
}

// bubble runs f in a synctest bubble with a server of c; time moves only when all wait.
func bubble(t *testing.T, c Config, f func(t *testing.T, client client, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, s, stop := startStoppable(t, c)
		defer stop()
		f(t, client, s)
	})
}

// TestCheckAnswersInOrder: "One result per target, in the order and number of CheckRequest.targets", one Add for all.
func TestCheckAnswersInOrder(t *testing.T) {
	fake := newFake(func(p shaker.Probe, _ int) reply {
		r := open()
		r.after = time.Duration(p.Addr.Port()%7) * time.Microsecond
		if p.Addr.Port()%2 == 0 {
			r.Result = refused().Result
		}
		return r
	})
	client, _ := start(t, Config{Prober: fake})
	var targets []string
	for port := range 1000 {
		targets = append(targets, "192.0.2.1:"+slog.IntValue(port+1).String(), "no target")
	}
	response, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targets})
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Results) != len(targets) {
		t.Fatalf("%d results, want %d", len(response.Results), len(targets))
	}
	for i, r := range response.Results {
		want := synAck
		switch {
		case i%2 == 1:
			want = invalid
		case i%4 == 2: // an even port
			want = rst
		}
		if r.Index != uint64(i) || r.Target != targets[i] || r.Reason != want {
			t.Fatalf("result %d: %v, want reason %v", i, r, want)
		}
		if (r.Detail == "") != (r.Verdict == reachable) {
			t.Fatalf("result %d: detail %q with %v", i, r.Detail, r.Verdict)
		}
	}
	if fake.adds != 1 {
		t.Errorf("%d Adds, want 1", fake.adds)
	}
}

// TestReachableTellsWhatItSaw: rtt, silence, retransmits and elapsed come from the deciding handshake.
func TestReachableTellsWhatItSaw(t *testing.T) {
	r := open()
	r.Retransmits = 1
	r.Queued = 3 * time.Second
	client, _ := start(t, Config{Prober: always(r)})
	got := check(t.Context(), t, client, "[2001:DB8::1]:443", nil)
	if briefOf(got) != (brief{reachable, synAck, "[2001:db8::1]:443", 1, 1}) {
		t.Errorf("got %v", got)
	}
	if got.Target != "[2001:DB8::1]:443" || got.Rtt.AsDuration() != r.RTT || got.Elapsed.AsDuration() != r.Elapsed ||
		got.Silence != tcpshakerv1.Silence_SILENCE_PROVEN || got.SynRetransmits != 1 || got.Detail != "" || got.Handshakes != nil {
		t.Errorf("got %v", got)
	}
}

// TestMappedCountsAsIPv4: "An IPv4-mapped IPv6 address counts as its IPv4 address", and ip_family turns others away.
func TestMappedCountsAsIPv4(t *testing.T) {
	client, _ := start(t, Config{Prober: always(open())})
	for _, test := range []struct {
		target string
		family tcpshakerv1.IpFamily
		want   tcpshakerv1.Reason
	}{
		{"[::ffff:192.0.2.1]:80", tcpshakerv1.IpFamily_IP_FAMILY_IPV4, synAck},
		{"[::ffff:192.0.2.1]:80", tcpshakerv1.IpFamily_IP_FAMILY_IPV6, invalid},
		{"192.0.2.1:80", tcpshakerv1.IpFamily_IP_FAMILY_IPV6, invalid},
		{"[2001:db8::1]:80", tcpshakerv1.IpFamily_IP_FAMILY_IPV4, invalid},
		{"[2001:db8::1]:80", tcpshakerv1.IpFamily_IP_FAMILY_IPV6, synAck},
	} {
		got := check(t.Context(), t, client, test.target, &tcpshakerv1.CheckOptions{IpFamily: test.family})
		if got.Reason != test.want {
			t.Errorf("%s, %v: %v, want %v", test.target, test.family, got.Reason, test.want)
		}
		if got.Reason == synAck && strings.Contains(got.Address, "ffff") {
			t.Errorf("%s: address %s", test.target, got.Address)
		}
	}
}

// TestPolicyDeniesBeforeAnyPacket: every address of a name is judged, whichever is to be probed, and one denied address
// denies the target.
func TestPolicyDeniesBeforeAnyPacket(t *testing.T) {
	fake := always(open())
	resolver := &fakeResolver{names: map[string][]string{"mixed.test.": {"192.0.2.1", "169.254.169.254"}}}
	client, _ := start(t, Config{Prober: fake, Resolver: resolver})
	for _, target := range []string{"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "0.0.0.0:80", "mixed.test:80"} {
		for policy := range tcpshakerv1.AddressPolicy_name {
			got := check(t.Context(), t, client, target, &tcpshakerv1.CheckOptions{Addresses: tcpshakerv1.AddressPolicy(policy)})
			if briefOf(got) != (brief{verdict: inconclusive, reason: denied}) || got.Detail == "" || got.Elapsed != nil {
				t.Errorf("%s: %v", target, got)
			}
		}
	}
	if n := fake.total(); n != 0 {
		t.Errorf("%d probes, want none", n)
	}
}

// TestEarlyCertainty: "as soon as the verdict is certain it is told", while another address says nothing.
func TestEarlyCertainty(t *testing.T) {
	names := map[string][]string{"two.test.": {"192.0.2.1", "192.0.2.2"}}
	for _, test := range []struct {
		name   string
		policy tcpshakerv1.AddressPolicy
		second reply
		want   brief
	}{
		{"any is reachable", anyOf, open(), brief{reachable, synAck, "192.0.2.2:80", 1, 1}},
		{"all has one that refuses", allOf, refused(), brief{unreachable, rst, "192.0.2.2:80", 0, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := byAddress(script{"192.0.2.2:80": answers(test.second)})
			s, err := New(Config{Prober: fake, Resolver: &fakeResolver{names: names}, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			response, err := s.Check(t.Context(), &tcpshakerv1.CheckRequest{
				Targets: []string{"two.test:80"},
				Options: &tcpshakerv1.CheckOptions{Addresses: test.policy},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := briefOf(response.Results[0]); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if fake.opened[0].Err() == nil {
				t.Error("the handshake that was left over goes on")
			}
		})
	}
}

// TestFirstProbesTheFirstOnly: FIRST is the first address of those that the family filter leaves.
func TestFirstProbesTheFirstOnly(t *testing.T) {
	resolver := &fakeResolver{names: map[string][]string{"both.test.": {"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"}}}
	fake := always(open())
	client, _ := start(t, Config{Prober: fake, Resolver: resolver})
	for family, want := range map[tcpshakerv1.IpFamily]string{
		tcpshakerv1.IpFamily_IP_FAMILY_UNSPECIFIED: "[2001:db8::1]:80",
		tcpshakerv1.IpFamily_IP_FAMILY_IPV4:        "192.0.2.1:80",
		tcpshakerv1.IpFamily_IP_FAMILY_IPV6:        "[2001:db8::1]:80",
	} {
		got := check(t.Context(), t, client, "both.test:80", &tcpshakerv1.CheckOptions{IpFamily: family})
		if got.Address != want {
			t.Errorf("%v: %s, want %s", family, got.Address, want)
		}
	}
	if n := fake.total(); n != 3 {
		t.Errorf("%d probes, want 3", n)
	}
}

// TestLookupsAreSharedWithinARequest: one lookup per name and family, however many targets.
func TestLookupsAreSharedWithinARequest(t *testing.T) {
	resolver := &fakeResolver{names: map[string][]string{"a.test.": {"192.0.2.1"}}, gate: make(chan struct{})}
	fake := always(open())
	client, _ := start(t, Config{Prober: fake, Resolver: resolver})
	close(resolver.gate)
	response, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"a.test:1", "A.test:2", "a.test.:3", "b.test:1"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range response.Results {
		want := synAck
		if i == 3 {
			want = notFound
		}
		if r.Reason != want {
			t.Errorf("%s: %v, want %v", r.Target, r.Reason, want)
		}
	}
	asked := slices.Sorted(slices.Values(resolver.lookups()))
	if !slices.Equal(asked, []string{"ip4 a.test.", "ip4 b.test.", "ip6 a.test.", "ip6 b.test."}) {
		t.Errorf("lookups: %q", asked)
	}
}

// TestLookupTroubleIsNotTheTargets: a resolver that fails, or panics, makes the target INCONCLUSIVE.
func TestLookupTroubleIsNotTheTargets(t *testing.T) {
	for name, resolver := range map[string]*fakeResolver{
		"fails":  {fail: map[string]error{"a.test.": errors.New("server 10.0.0.53 misbehaving")}},
		"panics": {panics: true},
	} {
		client, _ := start(t, Config{Prober: always(open()), Resolver: resolver})
		got := check(t.Context(), t, client, "a.test:1", nil)
		if briefOf(got) != (brief{inconclusive, lookupFailed, "", 0, 0}) || got.Detail != detailLookup {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAttemptsFollowSilenceAndTrouble: another attempt follows silence at once and our own trouble
// 200 ms later, and no answer of the target's.
func TestAttemptsFollowSilenceAndTrouble(t *testing.T) {
	const addr = "192.0.2.1:80"
	after := func(silences int, then reply) func(shaker.Probe, int) reply {
		return func(p shaker.Probe, before int) reply {
			if before < silences {
				return silent(p)
			}
			return then
		}
	}
	for _, test := range []struct {
		name   string
		script func(shaker.Probe, int) reply
		want   brief
		took   time.Duration
	}{
		{"open at once", answers(open()), brief{reachable, synAck, addr, 1, 1}, 0},
		{"refused at once", answers(refused()), brief{unreachable, rst, addr, 0, 1}, 0},
		{"no ports", answers(noPorts()), brief{inconclusive, ours, addr, 0, 0}, 400 * time.Millisecond},
		{"open at last", after(2, open()), brief{reachable, synAck, addr, 1, 3}, 4 * time.Second},
		{"refused after silence", after(1, refused()), brief{unreachable, rst, addr, 0, 2}, 2 * time.Second},
		{"no ports after silence", after(1, noPorts()), brief{inconclusive, ours, addr, 0, 1}, 2200 * time.Millisecond},
		{"silence", silence, brief{unreachable, timeout, addr, 0, 3}, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, Config{Prober: byAddress(script{addr: test.script})}, func(t *testing.T, client client, _ *Server) {
				began := time.Now()
				got := check(t.Context(), t, client, addr, &tcpshakerv1.CheckOptions{Attempts: 3, Evidence: true})
				if briefOf(got) != test.want {
					t.Errorf("got %v, want %v", briefOf(got), test.want)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if n := len(got.Handshakes); n < int(test.want.attempted) {
					t.Errorf("%d handshakes told", n)
				}
			})
		})
	}
}

// TestExhaustiveMakesAllTenMillisecondsApart: "Make all `attempts`, the starts 10 ms apart, whatever they bring, and wait for
// all of them", with every address.
func TestExhaustiveMakesAllTenMillisecondsApart(t *testing.T) {
	names := map[string][]string{"two.test.": {"192.0.2.1", "192.0.2.2"}}
	fake := byAddress(script{
		"192.0.2.1:80": func(p shaker.Probe, before int) reply {
			if before%2 == 0 {
				return silent(p)
			}
			return open()
		},
		"192.0.2.2:80": answers(refused()),
	})
	bubble(t, Config{Prober: fake, Resolver: &fakeResolver{names: names}}, func(t *testing.T, client client, _ *Server) {
		began := time.Now()
		got := check(t.Context(), t, client, "two.test:80", &tcpshakerv1.CheckOptions{
			Attempts: 4, Exhaustive: true, Addresses: anyOf, Evidence: true,
		})
		if briefOf(got) != (brief{reachable, synAck, "192.0.2.1:80", 2, 8}) || len(got.Handshakes) != 8 {
			t.Errorf("got %v", got)
		}
		// The third attempt, begun after 20 ms, is silent for 2 s.
		if elapsed, want := got.Elapsed.AsDuration(), 2*time.Second+20*time.Millisecond; elapsed != want || time.Since(began) != want {
			t.Errorf("elapsed %v after %v, want %v", elapsed, time.Since(began), want)
		}
		for _, addr := range []string{"192.0.2.1:80", "192.0.2.2:80"} {
			times := fake.times(addr)
			if len(times) != 4 {
				t.Fatalf("%s: %d probes, want 4", addr, len(times))
			}
			for i, at := range times {
				if got, want := at.Sub(began), time.Duration(i)*pacing; got != want {
					t.Errorf("%s: attempt %d after %v, want %v", addr, i, got, want)
				}
			}
		}
	})
}

// TestDeadlineKeepsTimeForTheWayHome: "The service keeps back a tenth of it, at least 10 ms and at most 100 ms, and answers
// what is known by then; the targets that are not decided get REASON_DEADLINE_EXCEEDED."
func TestDeadlineKeepsTimeForTheWayHome(t *testing.T) {
	for deadline, reserve := range map[time.Duration]time.Duration{
		50 * time.Millisecond:  10 * time.Millisecond,
		500 * time.Millisecond: 50 * time.Millisecond,
		5 * time.Second:        100 * time.Millisecond,
	} {
		fake := byAddress(script{"192.0.2.1:80": answers(open()), "192.0.2.2:80": answers(refused())})
		resolver := &fakeResolver{gate: make(chan struct{})}
		synctest.Test(t, func(t *testing.T) {
			resolver.gate = make(chan struct{}) // of this bubble
			client, _, stop := startStoppable(t, Config{Prober: fake, Resolver: resolver})
			defer stop()
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			began := time.Now()
			response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{
				Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "a.test:80"},
				Options: &tcpshakerv1.CheckOptions{Timeout: durationpb.New(10 * time.Second)},
			})
			if err != nil {
				t.Fatal(err)
			}
			// grpc-timeout is rounded up by at most a microsecond here.
			if took := time.Since(began); took < deadline-reserve || took > deadline-reserve+time.Millisecond {
				t.Errorf("deadline %v: took %v", deadline, took)
			}
			for i, want := range []brief{
				{reachable, synAck, "192.0.2.1:80", 1, 1},
				{unreachable, rst, "192.0.2.2:80", 0, 1},
				{inconclusive, cutOff, "192.0.2.3:80", 0, 1},
				{inconclusive, cutOff, "", 0, 0},
			} {
				if got := response.Results[i]; briefOf(got) != want {
					t.Errorf("deadline %v: got %v, want %v", deadline, got, want)
				}
			}
		})
	}
}

// TestCutAttemptsAreNeverTimedOut: a target that had silence once, and whose other attempts the deadline cut off, is not
// UNREACHABLE: the caller asked for more before believing that.
func TestCutAttemptsAreNeverTimedOut(t *testing.T) {
	for _, exhaustive := range []bool{false, true} {
		fake := byAddress(script{
			"192.0.2.1:80": silence,
			"192.0.2.2:80": func(p shaker.Probe, before int) reply {
				if before == 0 {
					return open()
				}
				return silent(p)
			},
			"192.0.2.3:80": answers(refused()),
		})
		bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
			ctx, cancel := context.WithTimeout(t.Context(), 125*time.Millisecond) // 112.5 ms for work
			defer cancel()
			response, err := client.Check(ctx, &tcpshakerv1.CheckRequest{
				Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"},
				Options: &tcpshakerv1.CheckOptions{Attempts: 16, Exhaustive: exhaustive, Timeout: durationpb.New(45 * time.Millisecond)},
			})
			if err != nil {
				t.Fatal(err)
			}
			silenced, opened, refused := response.Results[0], response.Results[1], response.Results[2]
			if silenced.Verdict != inconclusive || silenced.Reason != cutOff || !strings.Contains(silenced.Detail, "of 16 handshakes") {
				t.Errorf("exhaustive %v: silence, cut off: %v", exhaustive, silenced)
			}
			if opened.Verdict != reachable {
				t.Errorf("exhaustive %v: answered once: %v", exhaustive, opened)
			}
			if refused.Verdict != unreachable || refused.Reason != rst { // an answer, whatever was cut off after it
				t.Errorf("exhaustive %v: refused: %v", exhaustive, refused)
			}
			if want := map[bool]uint32{false: 3, true: 12}[exhaustive]; silenced.Attempted != want {
				t.Errorf("exhaustive %v: attempted %d, want %d", exhaustive, silenced.Attempted, want)
			}
		})
	}
}

// TestCancelFrees: "A caller that cancels frees everything that is under way at once."
func TestCancelFrees(t *testing.T) {
	fake := always(hanging())
	client, _ := start(t, Config{Prober: fake})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
		failed <- err
	}()
	fake.awaitTotal(t, 1)
	cancel()
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Errorf("Check: %v", err)
	}
	<-fake.opened[0].Done()
}

// TestEngineClosed: what is under way is answered SHUTTING_DOWN, what comes after is turned away.
func TestEngineClosed(t *testing.T) {
	client, _ := start(t, Config{Prober: always(reply{Result: shaker.Result{Outcome: shaker.Canceled, Err: shaker.ErrClosed}})})
	got := check(t.Context(), t, client, "192.0.2.1:80", nil)
	if briefOf(got) != (brief{inconclusive, closing, "192.0.2.1:80", 0, 0}) || got.Detail != detailShutdown {
		t.Errorf("got %v", got)
	}

	fake := always(open())
	fake.refuses = shaker.ErrClosed
	client, _ = start(t, Config{Prober: fake})
	_, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
	wantStatus(t, err, codes.Unavailable, ReasonDraining)

	fake = always(open())
	fake.refuses = &shaker.ProbeError{Err: errors.New("secret")}
	client, _ = start(t, Config{Prober: fake})
	_, err = client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
	wantStatus(t, err, codes.Internal, ReasonInternal)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the caller is told too much: %v", err)
	}
}
