package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reply is what a fakeProber makes of a probe: the result, so long after Add. With hang, nothing comes before the end of the
// batch's context, and then Canceled, or the result if it has an outcome.
type reply struct {
	shaker.Result
	after time.Duration
	hang  bool
}

func open() reply {
	return reply{Result: shaker.Result{
		Outcome: shaker.Open, Silence: shaker.Proven, RTT: 250 * time.Microsecond, Elapsed: time.Millisecond,
	}}
}

func refused() reply {
	return reply{Result: shaker.Result{Outcome: shaker.Refused, Elapsed: time.Millisecond}}
}

// silent is answered with TimedOut when the probe's timeout is over.
func silent(p shaker.Probe) reply {
	return reply{Result: shaker.Result{Outcome: shaker.TimedOut, Elapsed: p.Timeout}, after: p.Timeout}
}

// noPorts is trouble of ours: nothing was sent.
func noPorts() reply {
	return reply{Result: shaker.Result{Outcome: shaker.LocalError, Cause: shaker.LocalResources}}
}

func hanging() reply { return reply{hang: true} }

// fakeProber answers probes as its script says, which is given how many probes of the same address came before.
type fakeProber struct {
	script func(p shaker.Probe, before int) reply
	stats  shaker.Stats

	mu      sync.Mutex
	probed  map[netip.AddrPort][]time.Time // when each probe was added
	adds    int
	opened  []context.Context
	callers []string
	refuses error // what Add returns, where set
	panics  bool  // Open panics
	changed chan struct{}
}

func newFake(script func(p shaker.Probe, before int) reply) *fakeProber {
	return &fakeProber{script: script, probed: make(map[netip.AddrPort][]time.Time), changed: make(chan struct{}, 1)}
}

// always is a fakeProber that makes the same of every probe.
func always(r reply) *fakeProber {
	return newFake(func(shaker.Probe, int) reply { return r })
}

// byAddress is a fakeProber with a script per address; it hangs on others.
func byAddress(script map[string]func(p shaker.Probe, before int) reply) *fakeProber {
	return newFake(func(p shaker.Probe, before int) reply {
		if f := script[p.Addr.String()]; f != nil {
			return f(p, before)
		}
		return hanging()
	})
}

func (f *fakeProber) Stats() shaker.Stats { return f.stats }

func (f *fakeProber) OpenFor(ctx context.Context, caller string) Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("the prober's secret")
	}
	f.opened = append(f.opened, ctx)
	f.callers = append(f.callers, caller)
	b := &fakeBatch{prober: f, ctx: ctx, ready: make(chan struct{}, 1), hanging: make(map[int]hung)}
	context.AfterFunc(ctx, b.cancel)
	return b
}

// times returns when addr was probed.
func (f *fakeProber) times(addr string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.probed[netip.MustParseAddrPort(addr)]
}

// total returns how many probes there were.
func (f *fakeProber) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, times := range f.probed {
		n += len(times)
	}
	return n
}

// awaitTotal waits until there were n probes.
func (f *fakeProber) awaitTotal(t *testing.T, n int) {
	t.Helper()
	for f.total() < n {
		select {
		case <-f.changed:
		case <-t.Context().Done():
			t.Fatalf("%d probes, want %d", f.total(), n)
		}
	}
}

type hung struct {
	probe shaker.Probe
	since time.Time
	atEnd shaker.Result // Canceled, where it has no outcome
}

type fakeBatch struct {
	prober *fakeProber
	ctx    context.Context
	ready  chan struct{}

	mu       sync.Mutex
	results  []shaker.Result
	spare    []shaker.Result
	hanging  map[int]hung
	next     int
	canceled bool
}

func (b *fakeBatch) Add(probes []shaker.Probe) error {
	f := b.prober
	f.mu.Lock()
	f.adds++
	if f.refuses != nil {
		f.mu.Unlock()
		return f.refuses
	}
	now := time.Now()
	replies := make([]reply, len(probes))
	for i, p := range probes {
		replies[i] = f.script(p, len(f.probed[p.Addr]))
		f.probed[p.Addr] = append(f.probed[p.Addr], now)
	}
	f.mu.Unlock()

	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range probes {
		r := replies[i]
		r.ID, r.Addr = p.ID, p.Addr
		if !r.hang && r.after == 0 && !b.canceled {
			b.deliver(r.Result)
			continue
		}
		place := b.next
		b.next++
		b.hanging[place] = hung{probe: p, since: now}
		if r.hang {
			b.hanging[place] = hung{p, now, r.Result}
		}
		if b.canceled {
			b.giveUp()
		} else if !r.hang {
			time.AfterFunc(r.after, func() { b.later(place, r.Result) })
		}
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
	return nil
}

// later delivers a result that was not due at once, unless the batch has ended.
func (b *fakeBatch) later(place int, r shaker.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.hanging[place]; ok {
		delete(b.hanging, place)
		b.deliver(r)
	}
}

// deliver is called with mu held.
func (b *fakeBatch) deliver(r shaker.Result) {
	b.results = append(b.results, r)
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *fakeBatch) cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.canceled = true
	b.giveUp()
}

// giveUp is called with mu held.
func (b *fakeBatch) giveUp() {
	for place, h := range b.hanging {
		delete(b.hanging, place)
		if h.atEnd.Outcome != shaker.Unspecified {
			b.deliver(h.atEnd)
			continue
		}
		b.deliver(shaker.Result{
			ID: h.probe.ID, Addr: h.probe.Addr, Outcome: shaker.Canceled,
			Elapsed: time.Since(h.since), Err: context.Cause(b.ctx),
		})
	}
}

func (b *fakeBatch) Finish() {}

func (b *fakeBatch) Ready() <-chan struct{} { return b.ready }

func (b *fakeBatch) Take() ([]shaker.Result, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.results
	b.results, b.spare = b.spare[:0], taken
	return taken, true
}

// everySource is the Source of a host that can send to every address.
func everySource(netip.Addr) (netip.Addr, bool) { return netip.Addr{}, true }

// fakeResolver knows the names that it is made of; a name with an error fails, others do not exist.
type fakeResolver struct {
	names  map[string][]string
	fail   map[string]error
	panics bool
	gate   chan struct{} // where set, lookups wait for it to be closed, or for their context

	mu    sync.Mutex
	asked []string // host and network of each lookup
}

func (r *fakeResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	r.asked = append(r.asked, network+" "+host)
	r.mu.Unlock()
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if r.panics {
		panic("resolver")
	}
	if err := r.fail[host]; err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, text := range r.names[host] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

func (r *fakeResolver) lookups() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// start serves c over bufconn and returns a client of it. Both end with the test.
func start(t testing.TB, c Config) (tcpshakerv1.ShakerServiceClient, *Server) {
	t.Helper()
	client, s, _ := startStoppable(t, c)
	return client, s
}

// startStoppable also returns what ends client and server, for tests that have to before they end themselves (synctest).
func startStoppable(t testing.TB, c Config) (tcpshakerv1.ShakerServiceClient, *Server, func()) {
	t.Helper()
	conn, s, stop := startConn(t, c)
	return tcpshakerv1.NewShakerServiceClient(conn), s, stop
}

func startConn(t testing.TB, c Config) (*grpc.ClientConn, *Server, func()) {
	t.Helper()
	if c.Logger == nil {
		c.Logger = quiet
	}
	if c.Source == nil {
		c.Source = everySource
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(s.Options()...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()

	conn, err := grpc.NewClient("passthrough:bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		conn.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return conn, s, stop
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// readToEnd gives each response of a stream to see. Its error is nil where the stream ends with OK.
func readToEnd(stream tcpshakerv1.ShakerService_StreamCheckClient, see func(*tcpshakerv1.StreamCheckResponse)) error {
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		see(response)
	}
}
