package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// names is a resolver that knows every name, as an address of this host.
type names struct{}

func (names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// service is a whole one, on loopback, with a real engine and metrics.
type service struct {
	engine  *shaker.Engine
	metrics *Metrics
	conn    *grpc.ClientConn
}

func startService(t *testing.T) service {
	t.Helper()
	engine, err := shaker.New(shaker.Config{Rate: 12345})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	m := New("v1", engine.Stats)
	s, err := server.New(server.Config{
		Prober: server.FromEngine(engine), Resolver: names{}, Logger: slog.New(slog.DiscardHandler),
		UnaryInterceptors:  []grpc.UnaryServerInterceptor{m.Unary()},
		StreamInterceptors: []grpc.StreamServerInterceptor{m.Stream()},
		Registered:         m.Registered,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, 0, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := tcpshakerv1.NewShakerServiceClient(conn).GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{}); err != nil {
		t.Fatal(err)
	}
	return service{engine, m, conn}
}

// use asks about an open port, by address and by name, a closed one, and what is no target, and meets trouble of this host's own; it
// returns what it asked about.
func (s service) use(t *testing.T) (targets []string) {
	t.Helper()
	open := listen(t)
	t.Cleanup(func() { open.Close() })
	_, port, _ := net.SplitHostPort(open.Addr().String())
	targets = []string{open.Addr().String(), "127.0.0.1:1", "target.example:" + port, "no-target"}
	client := tcpshakerv1.NewShakerServiceClient(s.conn)
	if _, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targets}); err != nil {
		t.Fatal(err)
	}
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets}); err != nil {
		t.Fatal(err)
	}
	stream.CloseSend()
	for err == nil {
		_, err = stream.Recv()
	}
	// connect(2) to a multicast address is refused by this host's kernel with ENETUNREACH.
	r, err := s.engine.Check(t.Context(), netip.MustParseAddrPort("224.0.0.1:80"), time.Second)
	if err != nil || r.Outcome != shaker.LocalError {
		t.Fatalf("%s, %v", r.String(), err)
	}
	targets = append(targets, "224.0.0.1:80")
	deadline := time.Now().Add(10 * time.Second)
	for st := s.engine.Stats(); st.InFlight+st.Queued > 0 || st.Done[shaker.LocalError] == 0; st = s.engine.Stats() { // counters lag behind by a turn
		if time.Now().After(deadline) {
			t.Fatalf("not at rest: %+v", st)
		}
		runtime.Gosched()
	}
	return targets
}

// TestWholeService: series are there before anything is asked; after that they are what the engine's Stats are and what was asked
// over gRPC.
func TestWholeService(t *testing.T) {
	s := startService(t)
	before := gather(t, s.metrics.registry)
	for _, method := range []string{
		"{grpc_method=Check,grpc_service=grpc.health.v1.Health,grpc_type=unary}",
		"{grpc_method=Check,grpc_service=tcpshaker.v1.ShakerService,grpc_type=unary}",
		"{grpc_method=StreamCheck,grpc_service=tcpshaker.v1.ShakerService,grpc_type=bidi_stream}",
	} {
		if n, ok := before["grpc_server_started_total"+method]; !ok || n != 0 {
			t.Errorf("before the first call, %s: %v, %t", method, n, ok)
		}
	}
	s.use(t)
	got, stats := gather(t, s.metrics.registry), s.engine.Stats()
	for key, want := range ofEngine(t, stats) {
		if strings.HasPrefix(key, "tcpshaker_turns") || strings.HasPrefix(key, "tcpshaker_wakeups") ||
			strings.HasPrefix(key, "tcpshaker_longest") || strings.HasPrefix(key, "tcpshaker_pooled") {
			continue // they go on
		}
		if got[key] != want {
			t.Errorf("%s: %v, Stats say %v", key, got[key], want)
		}
	}
	for key, want := range map[string]float64{
		"tcpshaker_build_info{version=v1}":                1,
		"tcpshaker_max_handshakes_per_second{}":           12345,
		"tcpshaker_results_total{outcome=open}":           4,
		"tcpshaker_results_total{outcome=refused}":        2,
		"tcpshaker_results_total{outcome=timed_out}":      0,
		"tcpshaker_results_total{outcome=local_error}":    1,
		"tcpshaker_local_errors_total{errno=ENETUNREACH}": 1,
		"tcpshaker_rtt_seconds_count{}":                   4,
		"tcpshaker_queue_wait_seconds_count{}":            6,
		"grpc_server_handled_total{grpc_code=OK,grpc_method=Check,grpc_service=tcpshaker.v1.ShakerService,grpc_type=unary}":             1,
		"grpc_server_handled_total{grpc_code=OK,grpc_method=StreamCheck,grpc_service=tcpshaker.v1.ShakerService,grpc_type=bidi_stream}": 1,
		"grpc_server_handling_seconds_count{grpc_method=StreamCheck,grpc_service=tcpshaker.v1.ShakerService,grpc_type=bidi_stream}":     1,
		"grpc_server_msg_received_total{grpc_method=StreamCheck,grpc_service=tcpshaker.v1.ShakerService,grpc_type=bidi_stream}":         1,
	} {
		if got[key] != want {
			t.Errorf("%s: %v, want %v", key, got[key], want)
		}
	}
}

// TestLint holds all that is served to the conventions of Prometheus: units, endings, help texts.
func TestLint(t *testing.T) {
	s := startService(t)
	s.use(t)
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, family := range families {
		if name := family.GetName(); strings.HasPrefix(name, "tcpshaker_") && !strings.HasSuffix(family.GetHelp(), ".") {
			t.Errorf("%s: %q is no sentence", name, family.GetHelp())
		}
	}
}

// TestNoTargetInALabel: labels are of a fixed list, with values of fixed sets, whatever was asked about.
func TestNoTargetInALabel(t *testing.T) {
	allowed := map[string]string{
		"outcome": "open|refused|unreachable|timed_out|canceled|local_error",
		"silence": "proven|broken|unproven",
		"errno":   "none|E[A-Z0-9]+|errno [0-9]+",
		"kind":    "stale|idle|error",
		"event": "route_lost|address_lost|link_down|carrier_lost|no_source_address|resend_failed|" +
			"network_changes_unwatched|aborted|kernel_gave_up",
		"by":           "asked|descriptors|memory",
		"mode":         "reuse|fresh",
		"version":      "v1|" + regexp.QuoteMeta(runtime.Version()),
		"grpc_type":    "unary|bidi_stream|server_stream",
		"grpc_service": `tcpshaker\.v1\.ShakerService|grpc\.health\.v1\.Health|grpc\.reflection\.v1(alpha)?\.ServerReflection`,
		"grpc_method":  "Check|StreamCheck|GetVantage|List|Watch|ServerReflectionInfo",
		"grpc_code":    codeNames(),
	}
	s := startService(t)
	targets := s.use(t)
	families, err := s.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				values, ok := allowed[l.GetName()]
				if !ok || !regexp.MustCompile("^("+values+")$").MatchString(l.GetValue()) {
					t.Errorf("%s has %s=%q", family.GetName(), l.GetName(), l.GetValue())
				}
				for _, target := range targets {
					host, _, _ := strings.Cut(target, ":")
					if strings.Contains(l.GetValue(), host) {
						t.Errorf("%s tells of %s: %s=%q", family.GetName(), target, l.GetName(), l.GetValue())
					}
				}
			}
		}
	}
}

func codeNames() string {
	var all []string
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		all = append(all, c.String())
	}
	return strings.Join(all, "|")
}

// TestUnknownMethodsMakeNoSeries: who asks for methods that there are not cannot fill the memory of those who scrape.
func TestUnknownMethodsMakeNoSeries(t *testing.T) {
	s := startService(t)
	before := slices.Sorted(maps.Keys(gather(t, s.metrics.registry)))
	desc := &grpc.StreamDesc{StreamName: "x", ServerStreams: true, ClientStreams: true}
	for i := range 100 {
		for _, method := range []string{
			fmt.Sprintf("/random.v%d.Service/Method", i), fmt.Sprintf("/tcpshaker.v1.ShakerService/Method%d", i),
			fmt.Sprintf("/tcpshaker.v1.ShakerService/Check/%d", i), fmt.Sprintf("/%d", i), fmt.Sprintf("//%d", i),
			fmt.Sprintf("/grpc.health.v1.Health%d/Check", i), fmt.Sprintf("/%s/%d", strings.Repeat("x", 5000), i),
		} {
			err := s.conn.Invoke(t.Context(), method, &tcpshakerv1.CheckRequest{}, &tcpshakerv1.CheckResponse{})
			if status.Code(err) != codes.Unimplemented {
				t.Fatalf("%.50s: %v", method, err)
			}
			stream, err := s.conn.NewStream(t.Context(), desc, method)
			if err == nil {
				err = stream.RecvMsg(&tcpshakerv1.CheckResponse{})
			}
			if status.Code(err) != codes.Unimplemented {
				t.Fatalf("%.50s, as a stream: %v", method, err)
			}
		}
	}
	after := slices.Sorted(maps.Keys(gather(t, s.metrics.registry)))
	if !slices.Equal(before, after) {
		t.Errorf("%d series before, %d after", len(before), len(after))
	}
}
