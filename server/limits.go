package server

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

// Defaults of [Limits].
const (
	DefaultTargetsPerMessage    = 10_000
	DefaultOutstandingPerStream = 65_536
	DefaultMaxTimeout           = 60 * time.Second
	DefaultLookupsPerRequest    = resolve.DefaultLookupsPerRequest
	DefaultLookups              = resolve.DefaultLookups
	DefaultConnections          = 1024
	DefaultConnectionsPerPeer   = 64
)

// DefaultStreamAge is that of Config.StreamAge.
const DefaultStreamAge = 30 * time.Minute

// MinTimeout is the shortest CheckOptions.timeout that is accepted. The engine keeps deadlines to about 1 ms, so less would
// mean nothing.
const MinTimeout = time.Millisecond

// Limits are the bounds that a Server enforces. A field that is 0 means its default. Negative ones make New fail.
type Limits struct {
	// TargetsPerMessage is how many targets one message may carry; one with more is RESOURCE_EXHAUSTED. Default 10,000. A
	// message is decoded in one go, so a greater number makes other targets of the same stream wait longer.
	TargetsPerMessage int

	// OutstandingPerStream is how many targets of one StreamCheck are worked on at a time; reading stops beyond it, so it
	// may be exceeded by one message. Default 65,536. One such target holds about 1 KB until it is answered.
	OutstandingPerStream int

	// MaxTimeout is the longest CheckOptions.timeout that is accepted, and one that is left unset is not
	// longer either. Default, and at most, 60 s; at least MinTimeout. The
	// kernel gives up after 127 s (tcp_syn_retries), so a much longer wait would not be answered anyway.
	MaxTimeout time.Duration

	// LookupsPerRequest is how many name lookups of one RPC run at a time; the others wait. Default 16.
	LookupsPerRequest int

	// Lookups is how many name lookups of all RPCs together run at a time; the others wait. Default 256.
	Lookups int

	// Connections is how many connections Run keeps open on all listeners together; one too many is closed at once. Where callers
	// have to say who they are, it takes the place of the oldest one on which nobody has, or that one caller has beyond a quarter of
	// them all. Default 1,024.
	Connections int

	// ConnectionsPerPeer is how many of them one IPv4 address, or the /64 of an IPv6 one, may have. Default 64. Connections by unix
	// sockets have no address and count in Connections alone.
	ConnectionsPerPeer int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		TargetsPerMessage:    orDefault(l.TargetsPerMessage, DefaultTargetsPerMessage),
		OutstandingPerStream: orDefault(l.OutstandingPerStream, DefaultOutstandingPerStream),
		MaxTimeout:           orDefault(l.MaxTimeout, DefaultMaxTimeout),
		LookupsPerRequest:    orDefault(l.LookupsPerRequest, DefaultLookupsPerRequest),
		Lookups:              orDefault(l.Lookups, DefaultLookups),
		Connections:          orDefault(l.Connections, DefaultConnections),
		ConnectionsPerPeer:   orDefault(l.ConnectionsPerPeer, DefaultConnectionsPerPeer),
	}
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// validate returns all that is wrong with l, whose defaults were put in.
func (l Limits) validate() error {
	var errs []error
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"targets per message", l.TargetsPerMessage},
		{"outstanding per stream", l.OutstandingPerStream},
		{"lookups per request", l.LookupsPerRequest},
		{"lookups", l.Lookups},
		{"connections", l.Connections},
		{"connections per peer", l.ConnectionsPerPeer},
	} {
		if limit.value < 1 || limit.value > math.MaxInt32 {
			errs = append(errs, fmt.Errorf("%s %d: must be 1 to %d", limit.name, limit.value, math.MaxInt32))
		}
	}
	if l.MaxTimeout < MinTimeout || l.MaxTimeout > DefaultMaxTimeout {
		errs = append(errs, fmt.Errorf("max timeout %v: must be %v to %v", l.MaxTimeout, MinTimeout, DefaultMaxTimeout))
	}
	return errors.Join(errs...)
}
