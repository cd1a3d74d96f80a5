package client

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Option configures a [Client]. Options are applied in order, so the last of several that contradict each other holds.
type Option interface{ apply(*config) }

// config is what Options write to.
type config struct {
	credentials credentials.TransportCredentials
	insecure    bool // credentials are those of WithInsecure
	dial        []grpc.DialOption

	connectTimeout time.Duration

	token    func(context.Context) (string, error) // nil: none
	tokenErr error                                 // why the token cannot be used
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithTransportCredentials secures the connection as creds say, for instance credentials.NewTLS with a CA of one's own and a
// client certificate, as the example shows. By default it is as [New] tells. Nil has no effect.
func WithTransportCredentials(creds credentials.TransportCredentials) Option {
	return optionFunc(func(c *config) {
		if creds != nil {
			c.credentials, c.insecure = creds, false
		}
	})
}

// WithInsecure talks plaintext to any service, also one on another machine: everyone on the way can read the targets and
// the token of [WithToken], and forge the results. By default only a service on this machine is spoken to in plaintext, and
// to such it has no effect.
func WithInsecure() Option {
	return optionFunc(func(c *config) { c.credentials, c.insecure = insecure.NewCredentials(), true })
}

// WithDialOptions passes opts to grpc.NewClient after the package's own, so where they differ opts hold: a dialer,
// interceptors, keepalive, other per-RPC credentials, another default service config. By default there are none. No opts
// have no effect.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return optionFunc(func(c *config) { c.dial = append(c.dial, opts...) })
}
