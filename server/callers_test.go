package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// caller is a caller of a test, whose token is its name.
type caller struct {
	name        string
	allow, deny []string
	limits      access.Caller // Name and Rules are put in
}

// callers returns a Config of Access with these callers.
func callers(t *testing.T, all ...caller) access.Config {
	t.Helper()
	var c access.Config
	var known []identity.Caller
	for _, one := range all {
		known = append(known, identity.Caller{Name: one.name, TokenSHA256: [][sha256.Size]byte{sha256.Sum256([]byte(one.name))}})
		one.limits.Name = one.name
		one.limits.Rules = policy.Compile(rules(t, one.allow), rules(t, one.deny))
		c.Callers = append(c.Callers, one.limits)
	}
	state, err := identity.NewState(known, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Identity = state
	return c
}

func rules(t *testing.T, texts []string) []policy.AccessRule {
	t.Helper()
	var parsed []policy.AccessRule
	for _, text := range texts {
		rule, err := policy.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, rule)
	}
	return parsed
}

// as makes the RPCs of ctx those of a caller.
func as(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

const everything = "0.0.0.0/0:*"

var deniedReason = tcpshakerv1.Reason_REASON_POLICY_DENIED

// TestUnknownCallers: without an identity, or with one that is not believed, there is nothing of ShakerService, and all such
// callers are told the same.
func TestUnknownCallers(t *testing.T) {
	fake := always(open())
	client, _ := start(t, Config{Prober: fake, Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}}))})
	said := make(map[string]bool)
	for name, ctx := range map[string]context.Context{
		"nothing":        t.Context(),
		"wrong":          as(t.Context(), "hedge"),
		"empty":          metadata.AppendToOutgoingContext(t.Context(), "authorization", ""),
		"empty token":    as(t.Context(), ""),
		"huge":           as(t.Context(), strings.Repeat("x", 5000)),
		"two":            as(as(t.Context(), "edge"), "edge"),
		"no scheme":      metadata.AppendToOutgoingContext(t.Context(), "authorization", "edge"),
		"another scheme": metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic edge"),
	} {
		_, unary := ask(client, ctx, nil, "192.0.2.1:80")
		_, vantage := client.GetVantage(ctx, &tcpshakerv1.GetVantageRequest{})
		stream, err := client.StreamCheck(ctx)
		if err == nil {
			_, err = stream.Recv()
		}
		for _, err := range []error{unary, vantage, err} {
			wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
			said[status.Convert(err).Message()] = true
		}
		if len(said) != 1 {
			t.Errorf("%s: told %v", name, said)
		}
	}
	if fake.total() != 0 {
		t.Errorf("%d probes", fake.total())
	}
	response, err := ask(client, as(t.Context(), "edge"), nil, "192.0.2.1:80")
	if err != nil || response.Results[0].Verdict != reachable {
		t.Errorf("the caller itself: %v, %v", response, err)
	}
	if !slices.Equal(fake.callers, []string{"edge"}) {
		t.Errorf("to the engine the caller is %q", fake.callers)
	}
}

// TestServerWithoutOptions: a server made without Options does not ask who calls, and refuses where it should.
func TestServerWithoutOptions(t *testing.T) {
	s, err := New(Config{Prober: always(open()), Logger: quiet, Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}}))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
	wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
	_, err = s.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
	wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
}

// TestDeniedSaysNothing: "POLICY_DENIED has the same content whether or not the target or the name exists, and costs no lookup and
// no packet."
func TestDeniedSaysNothing(t *testing.T) {
	fake := always(open())
	names := &fakeResolver{names: map[string][]string{"there.other.example.": {"192.0.2.9"}}}
	client, _ := start(t, Config{Prober: fake, Resolver: names, Access: control(t, callers(t, caller{
		name: "edge", allow: []string{"192.0.2.0/24:443", "*.corp.example:443"}, deny: []string{"192.0.2.66/32:*", "not.corp.example:*"},
	}))})
	response, err := ask(client, as(t.Context(), "edge"), nil,
		"there.other.example:443", "nowhere.other.example:443", "a.corp.example:80", "corp.example:443", "not.corp.example:443",
		"192.0.2.1:80", "192.0.2.66:443", "198.51.100.1:443", "169.254.169.254:443", "127.0.0.1:443", "[::1]:443", "[::ffff:192.0.2.66]:443",
		"[64:ff9b::c000:242]:443", "0.0.0.0:443", "255.255.255.255:443", "224.0.0.1:443",
	)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range response.Results {
		if r.Reason != deniedReason {
			t.Errorf("%s: %v", r.Target, r)
		}
		r.Target, r.Index = "", 0
		if !proto.Equal(r, response.Results[0]) {
			t.Errorf("result %d is %v, others are %v", i, r, response.Results[0])
		}
	}
	if fake.total() != 0 || len(names.lookups()) != 0 {
		t.Errorf("%d probes, lookups %q", fake.total(), names.lookups())
	}
}

// TestRebinding: "DNS rebinding (first allowed, then 169.254.169.254, 127.0.0.1, a private address)": the addresses of each lookup
// are judged, all of them, and what was judged is what is probed.
func TestRebinding(t *testing.T) {
	private := []string{"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1"}
	thousand := make([]string, 1000)
	for i := range thousand {
		thousand[i] = "203.0.113." + slog.IntValue(i%250+1).String()
		if i >= 250 {
			thousand[i] = "198.51." + slog.IntValue(i>>8).String() + "." + slog.IntValue(i&0xff).String()
			thousand[i] = strings.Replace(thousand[i], "198.51.", "8.8.", 1)
		} else {
			thousand[i] = "9.9.9." + slog.IntValue(i+1).String()
		}
	}
	fake := always(open())
	names := &fakeResolver{names: map[string][]string{}}
	client, _ := start(t, Config{Prober: fake, Resolver: names, NameCache: -1, Access: control(t, callers(t, caller{
		name: "edge", allow: []string{"*:443", "10.1.0.0/16:443"}, deny: []string{"9.9.8.0/24:*"},
	}))})
	lookup := func(o *tcpshakerv1.CheckOptions, addrs ...string) *tcpshakerv1.CheckResult {
		t.Helper()
		names.names["evil.example."] = addrs
		response, err := ask(client, as(t.Context(), "edge"), o, "evil.example:443")
		if err != nil {
			t.Fatal(err)
		}
		return response.Results[0]
	}
	for _, fine := range [][]string{{"9.9.9.9"}, {"10.1.2.3"}, thousand, {"2606:4700::1111"}} {
		if r := lookup(nil, fine...); r.Verdict != reachable || r.Address == "" {
			t.Errorf("%.2q…: %v", fine, r)
		}
	}
	before := fake.total()
	bad := slices.Concat(private, []string{
		"169.254.169.254", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "fe80::1", "9.9.8.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
		"2002:7f00:1::", "64:ff9b::a9fe:a9fe", "64:ff9b::909:801", "224.0.0.1", "255.255.255.255", "fd00:ec2::254", "168.63.129.16",
	})
	for _, addr := range bad {
		for _, o := range []*tcpshakerv1.CheckOptions{
			nil, {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL}, {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY},
		} {
			for _, addrs := range [][]string{{addr}, {"9.9.9.9", addr}, append(slices.Clone(thousand[:999]), addr)} {
				if r := lookup(o, addrs...); r.Reason != deniedReason || r.Detail != detailDenied {
					t.Errorf("%d addresses with %s: %v", len(addrs), addr, r)
				}
			}
		}
	}
	if n := fake.total() - before; n != 0 {
		t.Errorf("%d probes", n)
	}
}

// TestReloadReachesRunningStreams: "running streams feel the new policy from their next target on", and a caller that is gone is
// turned out.
func TestReloadReachesRunningStreams(t *testing.T) {
	edge := caller{name: "edge", allow: []string{"192.0.2.0/24:*"}}
	rules := control(t, callers(t, edge, caller{name: "other", allow: []string{everything}}))
	client, _ := start(t, Config{Prober: always(open()), Access: rules})
	stream, err := client.StreamCheck(as(t.Context(), "edge"))
	if err != nil {
		t.Fatal(err)
	}
	reason := func() tcpshakerv1.Reason {
		t.Helper()
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}}); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return response.Results[0].Reason
	}
	update := func(c access.Config) {
		t.Helper()
		if err := rules.Update(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := reason(); got != tcpshakerv1.Reason_REASON_SYN_ACK {
		t.Errorf("at first %v", got)
	}
	edge.deny = []string{"192.0.2.1/32:*"}
	update(callers(t, edge))
	if got := reason(); got != deniedReason {
		t.Errorf("with a rule against it %v", got)
	}
	edge.deny = nil
	update(callers(t, edge))
	if got := reason(); got != tcpshakerv1.Reason_REASON_SYN_ACK {
		t.Errorf("without it again %v", got)
	}
	update(callers(t, caller{name: "other", allow: []string{everything}}))
	_, err = stream.Recv()
	wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
	_, err = ask(client, as(t.Context(), "edge"), nil, "192.0.2.1:80")
	wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
	if err := rules.Update(access.Config{}); err == nil {
		t.Error("closed, and opened by an update")
	}
}

// TestReloadEndsRunningChecks: a Check under way ends when its caller is gone, and a health watch too.
func TestReloadEndsRunningChecks(t *testing.T) {
	fake := always(hanging())
	rules := control(t, callers(t, caller{name: "edge", allow: []string{everything}}))
	client, _ := start(t, Config{Prober: fake, Access: rules})
	ended := make(chan error, 1)
	go func() {
		_, err := ask(client, as(t.Context(), "edge"), nil, "192.0.2.1:80")
		ended <- err
	}()
	fake.awaitTotal(t, 1)
	if err := rules.Update(callers(t, caller{name: "other"})); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, <-ended, codes.Unauthenticated, ReasonUnauthenticated)
}

// TestCallerLimits: rate, targets outstanding and RPCs are the caller's, whichever of its RPCs ask, and nobody else's.
func TestCallerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(hanging())
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: control(t, callers(t,
			caller{name: "edge", allow: []string{everything}, limits: access.Caller{Outstanding: 100, RPCs: 3}},
			caller{name: "other", allow: []string{everything}},
		))})
		defer stop()
		edge := as(t.Context(), "edge")
		stream, err := client.StreamCheck(edge)
		if err != nil {
			t.Fatal(err)
		}
		for chunk := range slices.Chunk(targetsOf(300), 60) {
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: chunk}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if fake.total() != 100 {
			t.Errorf("%d targets of a stream outstanding, want 100", fake.total())
		}
		_, err = ask(client, edge, nil, "192.0.2.1:80")
		_, quota, retry := wantStatus(t, err, codes.ResourceExhausted, ReasonQuota)
		if quota == nil || retry == nil {
			t.Error("no QuotaFailure or RetryInfo")
		}
		another, err := client.StreamCheck(edge)
		if err != nil {
			t.Fatal(err)
		}
		if err := another.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}}); err != nil {
			t.Fatal(err)
		}
		third, err := client.StreamCheck(edge)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		fourth, err := client.StreamCheck(edge)
		if err == nil {
			_, err = fourth.Recv()
		}
		_, quota, retry = wantStatus(t, err, codes.ResourceExhausted, ReasonQuota)
		if quota == nil || retry == nil {
			t.Error("no QuotaFailure or RetryInfo")
		}
		if fake.total() != 100 {
			t.Errorf("%d targets outstanding, want 100", fake.total())
		}
		ctx, cancel := context.WithTimeout(as(t.Context(), "other"), time.Second)
		defer cancel()
		if _, err := ask(client, ctx, nil, targetsOf(300)...); err != nil {
			t.Errorf("another caller: %v", err)
		}
		if fake.total() != 400 {
			t.Errorf("%d probes, want 400", fake.total())
		}
		third.CloseSend()
		if _, err := third.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// TestVantageTellsTheCaller: its name and its limits.
func TestVantageTellsTheCaller(t *testing.T) {
	limits := access.Caller{Outstanding: 7, RPCs: 8}
	limits.Rate.PerSecond, limits.Rate.Burst = 5, 300
	client, _ := start(t, Config{Prober: always(open()), Access: control(t, callers(t, caller{name: "edge", limits: limits}))})
	got, err := client.GetVantage(as(t.Context(), "edge"), &tcpshakerv1.GetVantageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	l := got.Limits
	if got.Caller != "edge" || l.CallerHandshakesPerSecond != 5 || l.CallerBurst != 300 || l.CallerOutstanding != 7 || l.CallerRpcs != 8 {
		t.Errorf("got %v", got)
	}
}

// TestAnonymous: "without identity a caller gets grpc.health.v1 for "" and the service's own name and nothing else (not tcp:// names,
// not List of others)", on a whole service.
func TestAnonymous(t *testing.T) {
	for _, reflection := range []access.Reflection{access.ByCallers, access.ByAnyone, access.ByNobody} {
		c := callers(t, caller{name: "edge", allow: []string{everything}})
		c.Reflection = reflection
		conn := serveWhole(t, Config{Prober: always(open()), Access: control(t, c)})
		health := healthpb.NewHealthClient(conn)
		own := tcpshakerv1.ShakerService_ServiceDesc.ServiceName
		for _, name := range []string{"", own} {
			r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("Check of %q: %v, %v", name, r, err)
			}
			watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := watch.Recv(); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("Watch of %q: %v, %v", name, r, err)
			}
		}
		for _, name := range []string{"tcp://127.0.0.1:22", "tcp://127.0.0.1", "other", own + "x", " "} {
			_, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
			watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err == nil {
				_, err = watch.Recv()
			}
			wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
			_, err = health.Check(as(t.Context(), "edge"), &healthpb.HealthCheckRequest{Service: name})
			if status.Code(err) != codes.NotFound {
				t.Errorf("a caller's Check of %q: %v", name, err)
			}
		}
		list, err := health.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(list.Statuses) != 2 || list.Statuses[""] == nil || list.Statuses[own] == nil {
			t.Errorf("List: %v, %v", list, err)
		}
		if _, err := health.Check(as(t.Context(), "hedge"), &healthpb.HealthCheckRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("Check with a wrong token: %v", err)
		}
		for token, want := range map[string]bool{"": reflection == access.ByAnyone, "edge": reflection != access.ByNobody} {
			ctx := t.Context()
			if token != "" {
				ctx = as(ctx, token)
			}
			if err := reflect(ctx, conn); (err == nil) != want {
				t.Errorf("reflection %d with token %q: %v", reflection, token, err)
			}
		}
	}
}

// TestAnonymousAreFew: what strangers may have under way is bounded, by peer, and they cannot keep callers out.
func TestAnonymousAreFew(t *testing.T) {
	conn := serveWhole(t, Config{Prober: always(open()), Access: control(t, callers(t, caller{name: "edge", allow: []string{everything}}))})
	health := healthpb.NewHealthClient(conn)
	var last error
	watches := 0
	for range 20 {
		watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		if err != nil {
			last = err
			continue
		}
		watches++
	}
	if watches != 8 {
		t.Errorf("%d watches of one peer, want 8", watches)
	}
	wantStatus(t, last, codes.ResourceExhausted, ReasonQuota)
	if _, err := ask(tcpshakerv1.NewShakerServiceClient(conn), as(t.Context(), "edge"), nil, "192.0.2.1:80"); err != nil {
		t.Error(err)
	}
}

// TestAuditLine: "one structured line per RPC (caller, peer, method, number of targets, verdict counts, denied, limited, duration,
// code)", and with AuditProbes one per probe and denied target.
func TestAuditLine(t *testing.T) {
	for _, probes := range []bool{false, true} {
		var log logBuffer
		c := callers(t, caller{name: "edge", allow: []string{"192.0.2.0/24:*"}})
		c.AuditProbes = probes
		fake := byAddress(map[string]func(shaker.Probe, int) reply{
			"192.0.2.1:80": func(shaker.Probe, int) reply { return open() },
			"192.0.2.1:81": func(shaker.Probe, int) reply { return refused() },
		})
		client, _, stop := startStoppable(t, Config{Prober: fake, Access: control(t, c), Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		_, err := ask(client, as(t.Context(), "edge"), nil, "192.0.2.1:80", "192.0.2.1:81", "10.0.0.1:80", "x", "192.0.2.1:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask(client, t.Context(), nil, "192.0.2.1:80"); err == nil {
			t.Error("without a token")
		}
		stop()
		var kinds []string
		for _, r := range log.records(t) {
			kinds = append(kinds, r["msg"].(string))
			if r["request_id"] == "" || r["caller"] == nil {
				t.Errorf("line %v", r)
			}
			if r["msg"] != "rpc" {
				continue
			}
			if r["peer"] == "" || r["method"] != "/tcpshaker.v1.ShakerService/Check" || r["duration"] == nil {
				t.Errorf("line %v", r)
			}
			if r["code"] == "OK" && (r["caller"] != "edge" || r["targets"] != 5.0 || r["reachable"] != 2.0 || r["unreachable"] != 1.0 ||
				r["inconclusive"] != 2.0 || r["denied"] != 1.0 || r["limited"] != 0.0) {
				t.Errorf("line %v", r)
			}
			if r["code"] == "Unauthenticated" && (r["caller"] != "" || r["level"] != "WARN") {
				t.Errorf("line %v", r)
			}
		}
		want := "rpc rpc"
		if probes {
			want = "denied probe probe probe rpc rpc"
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("lines %q, want %q", got, want)
		}
	}
}

// reflect asks for the list of services.
func reflect(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
	if err != nil {
		return err
	}
	defer stream.CloseSend()
	if err := stream.SendMsg(&healthpb.HealthCheckRequest{}); err != nil { // an empty message of any type
		return err
	}
	err = stream.RecvMsg(&healthpb.HealthCheckResponse{})
	if code := status.Code(err); code == codes.Unauthenticated || code == codes.PermissionDenied {
		return err
	}
	return nil
}

// serveWhole runs a whole service on loopback, and returns a connection to it.
func serveWhole(t *testing.T, c Config) *grpc.ClientConn {
	t.Helper()
	c.Logger = quiet
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, 0, l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return conn
}
