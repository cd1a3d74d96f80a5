package server

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// What one connection may do. gRPC's own defaults are without bound in most of these.
const (
	// maxRequest bounds a request message, in bytes: 10,000 targets of the longest names take 2.6
	// MB. A compressed message is bounded by it twice, as it comes and unpacked. Beyond it gRPC
	// answers RESOURCE_EXHAUSTED by itself.
	maxRequest = 4 << 20

	// maxStreams bounds the RPCs of one connection at a time; a client lets more of them wait on its side.
	// 100 is the least that RFC 9113 section 6.5.2 recommends. Each can hold a request of maxRequest.
	maxStreams = 100

	// maxHeaders bounds the headers of one RPC, in bytes, uncompressed.
	maxHeaders = 16 << 10

	// handshakeTimeout is how long a new connection may take until HTTP/2 stands: who does not talk does not keep a place. A
	// shutdown may have to wait for it as well.
	handshakeTimeout = 5 * time.Second

	// maxIdle is how long a connection without an RPC may stay.
	maxIdle = 15 * time.Minute

	// maxAge is after how long a connection is asked to go (GOAWAY, give or take 10 %), without which a client that balances
	// by connection would never learn of a new replica. RPCs on it go on without a bound: streams end in order by an age of
	// their own, and a connection that cut them would lose their targets. From then on grpc-go's
	// server sends no keepalive ping on the connection: its keepalive goroutine waits for the
	// connection's end. A lost peer is then found by TCP keepalive, which Go's listeners turn on.
	// A frozen one, whose kernel still answers, keeps its streams until their age.
	maxAge = 30 * time.Minute

	// keepaliveAfter is after how long a silent peer is asked whether it is alive, and keepaliveTimeout how long it has to
	// answer before its RPCs are canceled. Both hold until maxAge.
	keepaliveAfter, keepaliveTimeout = time.Minute, 20 * time.Second

	// minPing is the least time between two keepalive pings of a client. gRPC closes the connection
	// at the third ping that comes sooner (ENHANCE_YOUR_CALM). Clients are promised 5 s: a ping
	// may be late, and the next one then comes early.
	minPing = 4 * time.Second
)

// Options returns what a *grpc.Server needs for the promise to hold: who is let in, the interceptors and the limits. Run uses
// them; they are for those who Register on a server of theirs. Where Config.Access asks callers who they are, its credentials
// are among them, for listeners that its Gate has wrapped. [grpc.WaitForHandlers] is among them, so that after the server's Stop no RPC
// uses the Prober any more.
//
// A service that is registered beside is read before the interceptors run, if the RPC is unary. Run
// refuses compressed requests for grpc.health.v1 by callers without an identity; a server of yours
// that has it reads up to 4 MiB out of each.
//
// gRPC itself ends an RPC whose message cannot be read, or whose method is not registered. Under Run,
// and for ShakerService everywhere, the line in the log has the code that the caller got. On a server
// of yours, another RPC that gRPC ends before the interceptors run has a line with UNKNOWN.
func (s *Server) Options() []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.InTapHandle(s.admit),
		grpc.ChainUnaryInterceptor(s.unary()...),
		grpc.ChainStreamInterceptor(s.stream()...),
		grpc.ForceServerCodecV2(newRequestCodec(s.limits.TargetsPerMessage)),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: maxIdle,
			MaxConnectionAge:  maxAge, // MaxConnectionAgeGrace is without a bound if it is 0
			Time:              keepaliveAfter,
			Timeout:           keepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
	if s.access.Closed() {
		options = append(options, grpc.StatsHandler(connTagger{}))
	}
	if gate := s.access.Gate(); gate != nil {
		options = append(options, grpc.Creds(greetedCreds{gate.Credentials(), s}))
	}
	return options
}
