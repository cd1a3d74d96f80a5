package server

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// unrouted is our own trouble: connect(2) found no route, and no SYN was sent.
func unrouted() reply {
	return reply{Result: shaker.Result{Outcome: shaker.LocalError, Cause: shaker.NoRoute, Errno: syscall.ENETUNREACH}}
}

// letters names what a handshake brings, for the tables below.
var letters = map[byte]struct {
	reply  func(p shaker.Probe) reply
	reason tcpshakerv1.Reason
	sent   bool
}{
	'o': {func(shaker.Probe) reply { return open() }, synAck, true},
	'r': {func(shaker.Probe) reply { return refused() }, rst, true},
	'u': {func(shaker.Probe) reply {
		return reply{Result: shaker.Result{Outcome: shaker.Unreachable, Cause: shaker.HostUnreachable, Elapsed: time.Millisecond}}
	}, hostUn, true},
	's': {silent, timeout, true},
	'n': {func(shaker.Probe) reply { return unrouted() }, noRoute, false},
	'f': {func(shaker.Probe) reply {
		return reply{Result: shaker.Result{Outcome: shaker.LocalError, Cause: shaker.LocalFiltered, Elapsed: time.Millisecond}}
	}, tcpshakerv1.Reason_REASON_LOCAL_FILTERED, true},
}

// sequence answers the handshakes with one address as its letters say, in turn.
func sequence(s string) func(shaker.Probe, int) reply {
	return func(p shaker.Probe, before int) reply {
		if before >= len(s) {
			panic("more handshakes than " + s)
		}
		return letters[s[before]].reply(p)
	}
}

// sequences returns all sequences of n of these letters.
func sequences(n int, of string) []string {
	all := []string{""}
	for range n {
		var longer []string
		for _, s := range all {
			for i := range of {
				longer = append(longer, s+of[i:i+1])
			}
		}
		all = longer
	}
	return all
}

// naive is the rule for one address in its plainest form: which handshakes of s are made, and which
// one decides.
func naive(s string, attempts int, exhaustive bool) (made string, decides byte) {
	for i := range attempts {
		made += s[i : i+1]
		if !exhaustive && strings.Contains("oru", s[i:i+1]) {
			break
		}
	}
	for _, class := range []string{"o", "ru", "nf", "s"} {
		if i := strings.IndexAny(made, class); i >= 0 {
			return made, made[i]
		}
	}
	panic("nothing made of " + s)
}

// TestEverySequenceOfHandshakes walks all sequences of what three handshakes can bring: verdict,
// reason, detail, attempted, and what their caller has left of its quota, which is charged for SYNs
// alone.
func TestEverySequenceOfHandshakes(t *testing.T) {
	const burst = 1000
	all := sequences(3, "orusnf")
	targets := targetsOf(len(all))
	for _, stream := range []bool{false, true} {
		for attempts := 1; attempts <= 3; attempts++ {
			for _, exhaustive := range []bool{false, true} {
				name := fmt.Sprintf("stream %v, attempts %d, exhaustive %v", stream, attempts, exhaustive)
				plan := make(script)
				for i, s := range all {
					plan[targets[i]] = sequence(s)
				}
				plan["192.0.2.1:80"] = answers(open())
				config := Config{Prober: byAddress(plan), Access: rated(t, 1e-6, burst)}
				bubble(t, config, func(t *testing.T, client client, _ *Server) {
					options := &tcpshakerv1.CheckOptions{Attempts: uint32(attempts), Exhaustive: exhaustive, Evidence: true}
					sent := 0
					for i, got := range resultsOf(t, client, stream, targets, options) {
						s := all[i]
						made, decides := naive(s, attempts, exhaustive)
						wantSent := len(made) - strings.Count(made, "n")
						want := brief{
							verdictOf(letters[decides].reason), letters[decides].reason, targets[i],
							uint32(strings.Count(made, "o")), uint32(wantSent),
						}
						if briefOf(got) != want || len(got.Handshakes) != len(made) {
							t.Errorf("%s: %s: got %v and %d handshakes, want %v and %d", name, s, briefOf(got), len(got.Handshakes), want, len(made))
						}
						if detail := detailWanted(made, decides); !strings.HasSuffix(got.Detail, detail) || len(got.Detail) > maxDetail ||
							(got.Detail == "") != (decides == 'o') || detail == "" && strings.Contains(got.Detail, "handshake") {
							t.Errorf("%s: %s: detail %q, want it to end in %q", name, s, got.Detail, detail)
						}
						sent += wantSent
					}
					wantLeft(t, client, name, burst-sent)
				})
			}
		}
	}
}

// detailWanted is how the detail has to end that tells of other handshakes than the deciding one.
func detailWanted(made string, decides byte) string {
	n := strings.Count(made, "s")
	switch {
	case decides == 's' && n > 1:
		return ", nor in " + counted(uint64(n-1), "handshake") + " more"
	case (decides == 'n' || decides == 'f') && n > 0:
		return "; " + counted(uint64(n), "other handshake") + " met silence"
	default:
		return ""
	}
}

// resultsOf asks for targets with a Check or a StreamCheck, and returns their results in order.
func resultsOf(
	t *testing.T, client client, stream bool, targets []string, options *tcpshakerv1.CheckOptions,
) []*tcpshakerv1.CheckResult {
	t.Helper()
	if !stream {
		// A Check is charged at once for all that its targets can come to, so each has its own.
		var results []*tcpshakerv1.CheckResult
		for _, target := range targets {
			results = append(results, check(t.Context(), t, client, target, options))
		}
		return results
	}
	results := make([]*tcpshakerv1.CheckResult, len(targets))
	for i := range targets {
		one := streamAll(t, client, &tcpshakerv1.StreamCheckRequest{Targets: targets[i : i+1], Options: options})
		if len(one) != 1 {
			t.Fatalf("%s: %d results", targets[i], len(one))
		}
		results[i] = one[0]
	}
	return results
}

// TestEverySequenceUnderEveryPolicy walks names of two addresses, each with all sequences of two
// handshakes.
func TestEverySequenceUnderEveryPolicy(t *testing.T) {
	const attempts = 2
	all := sequences(attempts, "orsn")
	names, plan := make(map[string][]string), make(script)
	var targets []string
	var pairs [][2]string
	for i, first := range all {
		for j, second := range all {
			a, b := fmt.Sprintf("198.18.%d.%d", i, j), fmt.Sprintf("198.19.%d.%d", i, j)
			name := fmt.Sprintf("n%d-%d.test.", i, j)
			names[name] = []string{a, b}
			plan[a+":80"], plan[b+":80"] = sequence(first), sequence(second)
			targets, pairs = append(targets, name+":80"), append(pairs, [2]string{first, second})
		}
	}
	order := map[tcpshakerv1.AddressPolicy][]tcpshakerv1.Verdict{
		tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST: {},
		anyOf: {reachable, inconclusive, unreachable},
		allOf: {unreachable, inconclusive, reachable},
	}
	for policy, order := range order {
		for _, exhaustive := range []bool{false, true} {
			fake, resolver := byAddress(plan), &fakeResolver{names: names}
			bubble(t, Config{Prober: fake, Resolver: resolver}, func(t *testing.T, client client, _ *Server) {
				response, err := ask(client, t.Context(), &tcpshakerv1.CheckOptions{
					Attempts: attempts, Exhaustive: exhaustive, Addresses: policy,
				}, targets...)
				if err != nil {
					t.Fatal(err)
				}
				for i, got := range response.Results {
					_, decides := naive(pairs[i][0], attempts, exhaustive)
					want := verdictOf(letters[decides].reason)
					if len(order) > 0 {
						_, other := naive(pairs[i][1], attempts, exhaustive)
						second := verdictOf(letters[other].reason)
						for _, v := range order {
							if v == want || v == second {
								want = v
								break
							}
						}
					}
					if got.Verdict != want {
						t.Errorf("%v, exhaustive %v: %v: %v, want %v", policy, exhaustive, pairs[i], briefOf(got), want)
					}
				}
			})
		}
	}
}
