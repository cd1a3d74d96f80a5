package client

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"google.golang.org/grpc"

	"github.com/CarterTsai/tcp-shaker/client/internal/machine"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Client asks one service, or several alike behind one name. It is made by [New]; the zero value does not work. All methods
// are safe for concurrent use, and one Client for a whole program is the cheapest: RPCs share its connections.
type Client struct {
	conn     *grpc.ClientConn
	rpc      tcpshakerv1.ShakerServiceClient
	patience time.Duration // how long a Stream goes on while no stream brings a result: the connect timeout
}

// serviceConfig is in force unless the name resolver or a dial option brings another (gRFC A2, A6). A retry is for RPCs
// whose request is small and whose answer comes in one piece: grpc-go does not try again what exceeds 256 KiB, and
// a Check of this package has one target.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [
			{"service": "tcpshaker.v1.ShakerService", "method": "Check"},
			{"service": "tcpshaker.v1.ShakerService", "method": "GetVantage"}
		],
		"retryPolicy": {
			"maxAttempts": 4,
			"initialBackoff": "0.1s",
			"maxBackoff": "1s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// maxReceive bounds a message from the service, in bytes. The service keeps a message of a stream near 256 KiB and the
// answer of a Check below 3 MiB; what is larger comes from something else.
const maxReceive = 4 << 20

// New returns a Client of the service at target: `host:port`, `[ipv6]:port`, `unix:PATH`, or a gRPC
// name such as `dns:///name:port`. `dns:///name` without a port means port 443, as everywhere in
// gRPC. A name of any other scheme needs a resolver that the program has registered, or has given
// by [WithDialOptions].
//
// New returns an error for a target or an option that cannot be used. It asks nobody: the first
// call connects, and an unreachable service fails that call.
//
// Unless an option says otherwise, the connection is plaintext where target names this machine, and TLS with the system's
// roots everywhere else. This machine is `localhost`, an address in 127.0.0.0/8, `[::1]` or a unix socket, by itself or
// after `dns:///` or `passthrough:///`; a connection that then leads elsewhere is refused. The caller closes the Client.
func New(target string, opts ...Option) (*Client, error) {
	cfg := config{credentials: defaultCredentials(target), connectTimeout: defaultConnectTimeout}
	for _, opt := range opts {
		opt.apply(&cfg)
	}
	if err := errors.Join(cfg.tokenErr, checkConnectTimeout(cfg.connectTimeout)); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	local, route := machine.IsThis(target), new(route)

	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(cfg.credentials),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)),
	}
	dial = append(dial, newConnector(target, &cfg, route).dialOptions()...)
	if local {
		dial = append(dial, grpc.WithNoProxy())
	}
	if cfg.token != nil {
		dial = append(dial, grpc.WithPerRPCCredentials(newBearer(&cfg)))
	}
	dial = append(dial, cfg.dial...)
	conn, err := grpc.NewClient(target, append(dial, route.dialOptions()...)...)
	if _, bad := errors.AsType[*url.Error](err); bad {
		return nil, fmt.Errorf("client: service %q: %w: want %s", target, err, targetForms)
	}
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if err := checkTarget(target, conn.CanonicalTarget()); err != nil {
		_ = conn.Close() // it has begun nothing
		return nil, fmt.Errorf("client: %w", err)
	}
	route.lead(conn.CanonicalTarget(), local)
	return &Client{conn: conn, rpc: tcpshakerv1.NewShakerServiceClient(conn), patience: cfg.connectTimeout}, nil
}

// Close closes the connections. RPCs under way end with CANCELED, and so do all later ones. Of a second Close the error is
// grpc.ErrClientConnClosing.
func (c *Client) Close() error { return c.conn.Close() }
