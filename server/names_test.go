package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/internal/testdns"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

const (
	firstOf          = tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST
	tooManyAddresses = tcpshakerv1.Reason_REASON_TOO_MANY_ADDRESSES
)

// What a name server says about one family, for the tables.
const (
	found    = "addresses"
	empty    = "empty"
	nxdomain = "nxdomain"
	servfail = "servfail"
	refuses  = "refused"
	mute     = "silent"
)

// halves is the table of what becomes of a name, by what the name server says about its families. A
// letter stands for FIRST, ANY and ALL: R reachable, U unreachable (the addresses refuse), F name
// lookup failed, N name not found.
var halves = []struct {
	a, aaaa          string
	ifOpen, ifClosed string
	took             time.Duration
}{
	{found, found, "RRR", "UUU", 0},
	{found, empty, "RRR", "UUU", 0},
	{found, nxdomain, "RRR", "UUU", 0},
	{found, servfail, "RRF", "UFU", 0},
	{found, refuses, "RRF", "UFU", 0},
	{found, mute, "RRF", "UFU", 300 * time.Millisecond},

	{empty, found, "RRR", "UUU", 0},
	{empty, empty, "NNN", "NNN", 0},
	{empty, nxdomain, "NNN", "NNN", 0},
	{empty, servfail, "FFF", "FFF", 0},
	{empty, refuses, "FFF", "FFF", 0},
	{empty, mute, "FFF", "FFF", 2 * time.Second},

	{nxdomain, found, "RRR", "UUU", 0},
	{nxdomain, empty, "NNN", "NNN", 0},
	{nxdomain, nxdomain, "NNN", "NNN", 0},
	{nxdomain, servfail, "FFF", "FFF", 0},
	{nxdomain, refuses, "FFF", "FFF", 0},
	{nxdomain, mute, "FFF", "FFF", 2 * time.Second},

	{servfail, found, "RRF", "UFU", 0},
	{servfail, empty, "FFF", "FFF", 0},
	{servfail, nxdomain, "FFF", "FFF", 0},
	{servfail, servfail, "FFF", "FFF", 0},
	{servfail, refuses, "FFF", "FFF", 0},
	{servfail, mute, "FFF", "FFF", 10 * time.Second},

	{refuses, found, "RRF", "UFU", 0},
	{refuses, empty, "FFF", "FFF", 0},
	{refuses, nxdomain, "FFF", "FFF", 0},
	{refuses, servfail, "FFF", "FFF", 0},
	{refuses, refuses, "FFF", "FFF", 0},
	{refuses, mute, "FFF", "FFF", 10 * time.Second},

	{mute, found, "RRF", "UFU", 300 * time.Millisecond},
	{mute, empty, "FFF", "FFF", 2 * time.Second},
	{mute, nxdomain, "FFF", "FFF", 2 * time.Second},
	{mute, servfail, "FFF", "FFF", 10 * time.Second},
	{mute, refuses, "FFF", "FFF", 10 * time.Second},
	{mute, mute, "FFF", "FFF", 10 * time.Second},
}

// wantOfLetter is what a letter of halves stands for.
var wantOfLetter = map[byte]struct {
	verdict tcpshakerv1.Verdict
	reason  tcpshakerv1.Reason
}{
	'R': {reachable, synAck},
	'U': {unreachable, rst},
	'F': {inconclusive, lookupFailed},
	'N': {inconclusive, notFound},
}

// halfResolver says the same about every name: what Go's resolver makes of a name server's answers.
type halfResolver struct{ a, aaaa string }

func (r halfResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	says, addr := r.a, "192.0.2.1"
	if network == "ip6" {
		says, addr = r.aaaa, "2001:db8::1"
	}
	switch says {
	case found:
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	case empty, nxdomain:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case mute:
		select {
		case <-time.After(10 * time.Second):
			return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	default:
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: says == servfail}
	}
}

// expect compares a result with a letter of halves.
func expect(t *testing.T, cell string, got *tcpshakerv1.CheckResult, letter byte, a, aaaa string) {
	t.Helper()
	want := wantOfLetter[letter]
	if got.Verdict != want.verdict || got.Reason != want.reason {
		t.Errorf("%s: %v, want %v", cell, got, want)
	}
	if len(got.Detail) > maxDetail || (got.Detail == "") != (letter == 'R') {
		t.Errorf("%s: detail %q of %d bytes", cell, got.Detail, len(got.Detail))
	}
	if letter != 'F' {
		return
	}
	failed4, failed6 := a == servfail || a == refuses || a == mute, aaaa == servfail || aaaa == refuses || aaaa == mute
	if both := failed4 && failed6; strings.Contains(got.Detail, "(A)") != (failed4 && !both) ||
		strings.Contains(got.Detail, "(AAAA)") != (failed6 && !both) || got.Address != "" {
		t.Errorf("%s: detail %q, address %q", cell, got.Detail, got.Address)
	}
}

// TestHalvesOfAName walks the whole table with Check and with StreamCheck, and with a clock: the
// answer about one family is used 300 ms after it came.
func TestHalvesOfAName(t *testing.T) {
	for _, row := range halves {
		for i, policy := range []tcpshakerv1.AddressPolicy{firstOf, anyOf, allOf} {
			for letters, outcome := range map[string]reply{row.ifOpen: open(), row.ifClosed: refused()} {
				cell := fmt.Sprintf("A %s, AAAA %s, %v, %v", row.a, row.aaaa, policy, outcome.Outcome)
				c := Config{Prober: always(outcome), Resolver: halfResolver{row.a, row.aaaa}}
				bubble(t, c, func(t *testing.T, client client, _ *Server) {
					o := &tcpshakerv1.CheckOptions{Addresses: policy}
					began := time.Now()
					got := check(t.Context(), t, client, "checked.test:80", o)
					expect(t, cell+", Check", got, letters[i], row.a, row.aaaa)
					if took := time.Since(began); took != row.took {
						t.Errorf("%s: Check took %v, want %v", cell, took, row.took)
					}
					began = time.Now()
					all := streamAll(t, client, &tcpshakerv1.StreamCheckRequest{Targets: []string{"streamed.test:80"}, Options: o})
					if len(all) != 1 {
						t.Fatalf("%s: %d results", cell, len(all))
					}
					expect(t, cell+", StreamCheck", all[0], letters[i], row.a, row.aaaa)
					if took := time.Since(began); took != row.took {
						t.Errorf("%s: StreamCheck took %v, want %v", cell, took, row.took)
					}
				})
			}
		}
	}
}

// TestHalvesWithANameServer walks the table with a real name server behind Go's resolver, apart
// from the cells for which that resolver waits 10 s.
func TestHalvesWithANameServer(t *testing.T) {
	answer := func(says, addr string) testdns.Answer {
		if says == found {
			return testdns.Addrs(addr)
		}
		return testdns.Answer{Kind: testdns.Kind(says)}
	}
	names := make(map[string]testdns.Name)
	var targets []string
	rows := halves[:0:0]
	for _, row := range halves {
		if row.took > time.Second {
			continue
		}
		name := row.a + "-" + row.aaaa + ".test"
		names[name+"."] = testdns.Name{A: answer(row.a, "192.0.2.1"), AAAA: answer(row.aaaa, "2001:db8::1")}
		targets = append(targets, name+":80")
		rows = append(rows, row)
	}
	server := testdns.Start(t, names)
	for _, open := range []bool{true, false} {
		outcome := refused()
		if open {
			outcome = reply{Result: shaker.Result{Outcome: shaker.Open, Silence: shaker.Proven}}
		}
		for i, policy := range []tcpshakerv1.AddressPolicy{firstOf, anyOf, allOf} {
			for method, call := range map[string]func(*testing.T, client, *tcpshakerv1.CheckOptions) []*tcpshakerv1.CheckResult{
				"Check": func(t *testing.T, client client, o *tcpshakerv1.CheckOptions) []*tcpshakerv1.CheckResult {
					response, err := ask(client, t.Context(), o, targets...)
					if err != nil {
						t.Fatal(err)
					}
					return response.Results
				},
				"StreamCheck": func(t *testing.T, client client, o *tcpshakerv1.CheckOptions) []*tcpshakerv1.CheckResult {
					return streamAll(t, client, &tcpshakerv1.StreamCheckRequest{Targets: targets, Options: o})
				},
			} {
				t.Run(fmt.Sprintf("%v, open %t, %s", policy, open, method), func(t *testing.T) {
					t.Parallel()
					client, _ := start(t, Config{Prober: always(outcome), Resolver: &pairs{Resolver: server.Resolver()}})
					results := call(t, client, &tcpshakerv1.CheckOptions{Addresses: policy})
					if len(results) != len(targets) {
						t.Errorf("%d results, want %d", len(results), len(targets))
					}
					for _, got := range results {
						row := rows[got.Index]
						letters := row.ifClosed
						if open {
							letters = row.ifOpen
						}
						expect(t, got.Target, got, letters[i], row.a, row.aaaa)
					}
				})
			}
		}
	}
}

// pairs gives the answers about both families of a name at the same moment, however busy the
// machine is, unless one of them is silent.
type pairs struct {
	*net.Resolver
	hosts sync.Map // by host: the *sync.WaitGroup of its two lookups
}

func (p *pairs) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	addrs, err := p.Resolver.LookupNetIP(ctx, network, host)
	if !strings.Contains(host, mute) {
		both := new(sync.WaitGroup)
		both.Add(2)
		if other, loaded := p.hosts.LoadOrStore(host, both); loaded {
			both = other.(*sync.WaitGroup)
		}
		both.Done()
		both.Wait()
	}
	return addrs, err
}

// TestFortyCallsOneQuery: 40 calls for one name at once make one query per family, and so do Checks
// and StreamChecks together.
func TestFortyCallsOneQuery(t *testing.T) {
	server := testdns.Start(t, map[string]testdns.Name{
		"a.test.": {A: testdns.Addrs("192.0.2.1"), AAAA: testdns.Addrs("2001:db8::1")},
	})
	client, _ := start(t, Config{Prober: always(open()), Resolver: server.Resolver()})
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() {
			var got []*tcpshakerv1.CheckResult
			if i%2 == 0 {
				got = streamAll(t, client, &tcpshakerv1.StreamCheckRequest{Targets: []string{"a.test:80"}})
			} else if response, err := ask(client, t.Context(), nil, "a.test:80"); err == nil {
				got = response.Results
			}
			if len(got) != 1 || got[0].Verdict != reachable {
				t.Errorf("call %d: %v", i, got)
			}
		})
	}
	calls.Wait()
	for _, question := range []string{"A a.test.", "AAAA a.test."} {
		if n := server.Asked(question); n != 1 {
			t.Errorf("%s: %d queries, want 1", question, n)
		}
	}
}

// TestAnyLeavesOutAFamily: ANY probes no address of a family that this host cannot send to, if it
// can send to the other one; ALL probes them.
func TestAnyLeavesOutAFamily(t *testing.T) {
	six := brief{inconclusive, noRoute, "[2001:db8::1]:80", 0, 0}
	for _, tt := range []struct {
		name       string
		has4, has6 bool
		policy     tcpshakerv1.AddressPolicy
		four       reply
		want       brief
		detail     string
	}{
		{"no IPv6, refused", true, false, anyOf, refused(), brief{unreachable, rst, "192.0.2.1:80", 0, 1}, "IPv6 left out: no source address"},
		{"no IPv6, open", true, false, anyOf, open(), brief{reachable, synAck, "192.0.2.1:80", 1, 1}, ""},
		{"no IPv6, ALL", true, false, allOf, open(), brief{inconclusive, noRoute, "[2001:db8::1]:80", 1, 1}, "no route"},
		{"no IPv4", false, true, anyOf, open(), six, "IPv4 left out: no source address"},
		{"neither", false, false, anyOf, refused(), brief{inconclusive, noRoute, "[2001:db8::1]:80", 0, 1}, "no route"},
		{"both", true, true, anyOf, refused(), brief{inconclusive, noRoute, "[2001:db8::1]:80", 0, 1}, "no route"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := byAddress(script{
				"192.0.2.1:80":     answers(tt.four),
				"[2001:db8::1]:80": answers(reply{Result: shaker.Result{Outcome: shaker.LocalError, Cause: shaker.NoRoute}}),
			})
			client, _ := start(t, Config{
				Prober: fake, Resolver: halfResolver{found, found},
				Source: func(to netip.Addr) (netip.Addr, bool) {
					return netip.Addr{}, to.Is4() && tt.has4 || to.Is6() && tt.has6
				},
			})
			got := check(t.Context(), t, client, "two.test:80", &tcpshakerv1.CheckOptions{Addresses: tt.policy})
			if briefOf(got) != tt.want || !strings.Contains(got.Detail, tt.detail) || len(got.Detail) > maxDetail {
				t.Errorf("got %v", got)
			}
			if tt.detail != "no route" && strings.Contains(got.Detail, "left out") != (tt.detail != "") {
				t.Errorf("detail %q", got.Detail)
			}
		})
	}
}

// TestAllOfManyAddresses: ALL over more than 16 addresses is never REACHABLE, and a better reason
// wins.
func TestAllOfManyAddresses(t *testing.T) {
	names := make(map[string][]string)
	for i := range maxAddresses + 1 {
		names["many.test."] = append(names["many.test."], fmt.Sprintf("192.0.2.%d", i+1))
	}
	names["enough.test."] = names["many.test."][:maxAddresses]
	for _, tt := range []struct {
		name    string
		outcome reply
		policy  tcpshakerv1.AddressPolicy
		want    tcpshakerv1.Reason
	}{
		{"many.test", open(), allOf, tooManyAddresses},
		{"many.test", refused(), allOf, rst},
		{"many.test", noPorts(), allOf, ours},
		{"many.test", open(), anyOf, synAck},
		{"many.test", refused(), anyOf, tooManyAddresses},
		{"many.test", refused(), firstOf, rst},
		{"enough.test", refused(), anyOf, rst},
		{"many.test", open(), firstOf, synAck},
		{"enough.test", open(), allOf, synAck},
	} {
		client, _ := start(t, Config{Prober: always(tt.outcome), Resolver: &fakeResolver{names: names}})
		got := check(t.Context(), t, client, tt.name+":80", &tcpshakerv1.CheckOptions{Addresses: tt.policy})
		if got.Reason != tt.want {
			t.Errorf("%s, %v: %v, want %v", tt.name, tt.policy, got, tt.want)
		}
		if tt.want == tooManyAddresses && (!strings.Contains(got.Detail, "17") || got.Address != "" || got.Attempted != maxAddresses) {
			t.Errorf("%v", got)
		}
	}
}

// TestExhaustiveWithAFailedFamily: "exhaustive" waits for every handshake, and then a failed family
// counts.
func TestExhaustiveWithAFailedFamily(t *testing.T) {
	for policy, want := range map[tcpshakerv1.AddressPolicy]brief{
		anyOf: {reachable, synAck, "192.0.2.1:80", 3, 3},
		allOf: {inconclusive, lookupFailed, "", 3, 3},
	} {
		bubble(t, Config{Prober: always(open()), Resolver: halfResolver{found, servfail}},
			func(t *testing.T, client client, _ *Server) {
				got := check(t.Context(), t, client, "a.test:80", &tcpshakerv1.CheckOptions{
					Addresses: policy, Attempts: 3, Exhaustive: true,
				})
				if briefOf(got) != want {
					t.Errorf("%v: %v, want %v", policy, got, want)
				}
			})
	}
}

// TestRememberedNamesAreJudged: an answer that one caller's request brought is judged by the policy
// of each caller that it serves.
func TestRememberedNamesAreJudged(t *testing.T) {
	names := &fakeResolver{names: map[string][]string{"a.example.": {"9.9.9.9", "9.9.8.1"}}}
	fake := always(open())
	client, _ := start(t, Config{Prober: fake, Resolver: names, Access: control(t, callers(t,
		caller{name: "edge", allow: []string{"*:443"}},
		caller{name: "batch", allow: []string{"*:443"}, deny: []string{"9.9.8.0/24:*"}},
	))})
	for _, tt := range []struct {
		caller string
		want   tcpshakerv1.Reason
	}{{"edge", synAck}, {"batch", denied}, {"edge", synAck}} {
		response, err := ask(client, as(t.Context(), tt.caller), nil, "a.example:443")
		if err != nil || response.Results[0].Reason != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.caller, response, err, tt.want)
		}
	}
	if n := len(names.lookups()); n != 2 || fake.total() != 2 {
		t.Errorf("%d queries, %d probes; want 2 and 2", n, fake.total())
	}
}

// TestDeadZoneLeavesRoom: "32 names of a dead zone" that come first in a message do not hold up a
// good name.
func TestDeadZoneLeavesRoom(t *testing.T) {
	names := zoneResolver{good: "good.test."}
	bubble(t, Config{Prober: always(open()), Resolver: names}, func(t *testing.T, client client, _ *Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var targets []string
		for i := range 32 {
			targets = append(targets, fmt.Sprintf("n%d.dead.test:80", i))
		}
		response, err := ask(client, ctx, nil, append(targets, "good.test:80")...)
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range response.Results {
			want := cutOff
			if i == 32 {
				want = synAck
			}
			if got.Reason != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
	})
}

// zoneResolver knows one name. The servers of all other names are silent.
type zoneResolver struct{ good string }

func (r zoneResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if host == r.good {
		return halfResolver{found, found}.LookupNetIP(ctx, network, host)
	}
	return halfResolver{mute, mute}.LookupNetIP(ctx, network, host)
}
