package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

// Config says what a Server is made of. All but Prober may be left at its zero value.
type Config struct {
	// Prober makes the handshakes. It must outlive the Server's RPCs. Required.
	Prober Prober

	// Resolver looks names up. nil: resolve.Default().
	Resolver resolve.Resolver

	// NameCache is how long an answer about a name, addresses or that there are none, is used again
	// for all RPCs. 0: resolve.DefaultKeep, 5 s. Less than 0: not at all.
	NameCache time.Duration

	// NameCacheFailures is the same for a lookup that failed. 0: resolve.DefaultKeepFailures, 1 s.
	// Less than 0: not at all, and a family of a name that gave no answer is not remembered for 10 s.
	NameCacheFailures time.Duration

	// Source returns the address from which this host would send to an address; ok is false if there
	// is none. It orders the addresses of a name. nil: resolve.Source, which asks the kernel. It is
	// called from any goroutine.
	Source func(to netip.Addr) (from netip.Addr, ok bool)

	// Access says who may ask about what, and how often. nil: everyone, about everything but the never-list of
	// policy.New(policy.Config{}), which is meant for a service that only this machine's own users can reach.
	Access *access.Control

	// Caller names who makes an RPC that Access has no name for, given its context; the engine serves those with different names
	// in turn. nil: by where the connection comes from, the IPv4 address or the /64 of the IPv6 one, all unix sockets being one
	// caller. It is called once per RPC that probes, from any goroutine.
	Caller func(ctx context.Context) string

	// Name is what GetVantage calls this place. Empty: os.Hostname(), with U+FFFD for what is not
	// UTF-8 in it.
	Name string

	// Labels are what GetVantage says of this place. nil: none. They are copied.
	Labels map[string]string

	// Version is the version that GetVantage tells. Empty: "unknown".
	Version string

	// Limits are the bounds in force. Zero fields mean their defaults.
	Limits Limits

	// DrainDelay is how long Run goes on serving new RPCs once its context has ended and grpc.health.v1 says NOT_SERVING. It gives
	// load balancers time to send new RPCs elsewhere. 0: none. Less than 0 is an error.
	DrainDelay time.Duration

	// StreamAge is how old a StreamCheck becomes, give or take a tenth. Then it takes no more messages, answers every target that
	// it has taken, and ends with UNAVAILABLE and [ReasonStreamAge], so that callers find new replicas. If its caller takes no
	// results for a minute, it ends without the other answers. 0: DefaultStreamAge, 30 min. Less than 0: streams have no age,
	// and a caller that takes no results keeps its stream.
	StreamAge time.Duration

	// Logger gets one line per RPC that ends (see audit.go), where Options are used, and the stacks of panics. nil:
	// slog.Default().
	Logger *slog.Logger

	// UnaryInterceptors and StreamInterceptors run outside of all of the server's own, the first of them outermost, where the
	// interceptors of Options are used. So they see what the caller gets: an INTERNAL in the place of a panic, and the end
	// that a drain makes of a stream. Nobody recovers from a panic of theirs. nil: none.
	UnaryInterceptors  []grpc.UnaryServerInterceptor
	StreamInterceptors []grpc.StreamServerInterceptor

	// Registered is called by Run once all services are registered, before any is served: with its *grpc.Server, of which
	// it can see what methods there are. nil: nothing is called.
	Registered func(reflection.ServiceInfoProvider)
}

// Server implements ShakerService. Make one with New. Safe for concurrent use.
type Server struct {
	tcpshakerv1.UnimplementedShakerServiceServer

	prober  Prober
	caller  func(context.Context) string
	names   *resolve.Group
	access  *access.Control
	name    string
	labels  map[string]string
	version string
	limits  Limits
	age     time.Duration // of streams; 0: none
	gap     time.Duration // between two SYNs at the engine's pace; 0: it has none
	log     *slog.Logger

	drainDelay time.Duration

	outerUnary  []grpc.UnaryServerInterceptor
	outerStream []grpc.StreamServerInterceptor
	registered  func(reflection.ServiceInfoProvider) // never nil

	draining chan struct{} // closed by Drain
	drain    sync.Once
	stopped  atomic.Bool  // Run cancels all RPCs
	working  atomic.Int64 // RPCs of ShakerService under way, on servers made with Options

	told   quota.Bucket  // of lines about those whom nobody knows
	untold atomic.Uint64 // such lines left out since the last

	methods    atomic.Pointer[methods] // never nil; see abandoned
	unsureRPCs atomic.Int64            // RPCs whose line waits; see unsure
}

// New returns a Server for c. It fails if c has no Prober, if a limit or DrainDelay is out of range,
// if Name, Version or Labels are not UTF-8, and if c has no Name and the host's cannot be read.
func New(c Config) (*Server, error) {
	if c.Prober == nil {
		return nil, errors.New("server: no prober")
	}
	limits := c.Limits.withDefaults()
	if err := limits.validate(); err != nil {
		return nil, fmt.Errorf("server: limits: %w", err)
	}
	if c.DrainDelay < 0 {
		return nil, fmt.Errorf("server: drain delay %v: must not be below 0", c.DrainDelay)
	}
	name, err := placeName(c.Name, os.Hostname)
	if err != nil {
		return nil, err
	}
	c.Name = name
	if c.Version == "" {
		c.Version = "unknown"
	}
	if err := validateTexts(&c); err != nil {
		return nil, err
	}
	if c.Access == nil {
		open, err := access.New(access.Config{})
		if err != nil {
			return nil, err
		}
		c.Access = open
	}
	if c.Caller == nil {
		c.Caller = peerCaller
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registered == nil {
		c.Registered = func(reflection.ServiceInfoProvider) {}
	}
	names := resolve.NewGroup(resolve.Config{
		Resolver:          c.Resolver,
		Source:            c.Source,
		Keep:              c.NameCache,
		KeepFailures:      c.NameCacheFailures,
		Lookups:           limits.Lookups,
		LookupsPerRequest: limits.LookupsPerRequest,
	})
	server := &Server{
		prober:  c.Prober,
		caller:  c.Caller,
		names:   names,
		access:  c.Access,
		name:    c.Name,
		labels:  maps.Clone(c.Labels),
		version: c.Version,
		limits:  limits,
		age:     max(orDefault(c.StreamAge, DefaultStreamAge), 0),
		gap:     gapOf(c.Prober.Stats().Rate),
		log:     c.Logger,

		drainDelay: c.DrainDelay,

		outerUnary:  slices.Clone(c.UnaryInterceptors),
		outerStream: slices.Clone(c.StreamInterceptors),
		registered:  c.Registered,

		draining: make(chan struct{}),
	}
	server.methods.Store(ownMethods())
	return server, nil
}

// Register adds ShakerService, alone, to r, which may be any *grpc.Server; one made with Options has the limits, the request
// ids and the log that the promise speaks of.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	tcpshakerv1.RegisterShakerServiceServer(readRegistrar{r, s}, s)
}

// Drain makes new RPCs end with UNAVAILABLE. Running StreamChecks take no more, answer what they have taken for up to 4 s, and
// then end with UNAVAILABLE, too; what has no answer by then is left unanswered. Running Checks go on to their ends. Drain
// returns at once, has no way back, and may be called more than once, from any goroutine.
func (s *Server) Drain() { s.drain.Do(func() { close(s.draining) }) }

// isDraining reports whether Drain was called.
func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}
