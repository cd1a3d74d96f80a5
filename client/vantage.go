package client

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Vantage describes a vantage point: the place in the network that a service asks from.
type Vantage struct {
	// Name is what the operator calls it, by default the host name.
	Name string
	// Labels are what the operator says of it. Nil where there are none.
	Labels map[string]string
	// Version is that of the service.
	Version string
	// EngineMode is how handshakes are made, and EngineModeDetail says in one sentence why.
	EngineMode       EngineMode
	EngineModeDetail string
	// SourceAddresses are what packets to other machines leave from, at most one per IP family.
	SourceAddresses []netip.Addr
	// KernelRelease is that of the kernel whose TCP asks, as uname(2) gives it.
	KernelRelease string
	// Limits are those in force for this caller.
	Limits Limits
	// Caller is what the operator calls this caller. Empty where the service does not ask its callers who they are.
	Caller string
}

// Limits are the bounds that a service enforces, until its operator changes them.
type Limits struct {
	// TargetsPerMessage bounds one message, and OutstandingPerStream what a stream may have unanswered.
	TargetsPerMessage, OutstandingPerStream uint32
	// MinTimeout and MaxTimeout are the range of WithTimeout.
	MinTimeout, MaxTimeout time.Duration
	// HandshakesPerSecond is the pace of the service, all callers together. 0 means no limit.
	HandshakesPerSecond float64
	// InFlight bounds the handshakes in flight, all callers together; beyond it they wait. InFlightDetail says in one sentence
	// what it follows from.
	InFlight       uint32
	InFlightDetail string
	// These are the caller's own, all its RPCs together; 0 means no limit. CallerHandshakesPerSecond hold on the average, and
	// CallerBurst at once after a pause; CallerOutstanding bounds targets under way, CallerRPCs the RPCs at a time.
	CallerHandshakesPerSecond                  float64
	CallerBurst, CallerOutstanding, CallerRPCs uint32
}

// EngineMode says whether a service's sockets live on from one handshake to the next. The zero value means that nothing was
// said.
type EngineMode int32

const (
	// EngineReuse uses the socket of an answered handshake again.
	EngineReuse = EngineMode(tcpshakerv1.EngineMode_ENGINE_MODE_REUSE)
	// EngineFresh opens a socket for each handshake.
	EngineFresh = EngineMode(tcpshakerv1.EngineMode_ENGINE_MODE_FRESH)
)

var engineModeNames = names[EngineMode]{"engine mode", map[EngineMode]string{EngineReuse: "reuse", EngineFresh: "fresh"}}

// String returns `reuse` or `fresh`.
func (m EngineMode) String() string { return engineModeNames.text(m) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (m EngineMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (m *EngineMode) UnmarshalText(text []byte) error { return engineModeNames.set(m, text) }

// Vantage asks the service who it is, where it asks from and what it allows this caller. No target is probed. Behind one
// name there may be several services; each call is answered by one of them. The error is always an *Error.
func (c *Client) Vantage(ctx context.Context) (Vantage, error) {
	var header metadata.MD
	response, err := c.rpc.GetVantage(ctx, &tcpshakerv1.GetVantageRequest{}, grpc.Header(&header))
	if err != nil {
		return Vantage{}, newError("GetVantage", header, err)
	}
	vantage, err := newVantage(response)
	if err != nil {
		return Vantage{}, newError("GetVantage", header, err)
	}
	return vantage, nil
}

func newVantage(m *tcpshakerv1.GetVantageResponse) (Vantage, error) {
	var r reader
	limits := m.GetLimits()
	v := Vantage{
		Name:             m.GetName(),
		Labels:           m.GetLabels(),
		Version:          m.GetVersion(),
		EngineMode:       EngineMode(m.GetEngineMode()),
		EngineModeDetail: m.GetEngineModeDetail(),
		KernelRelease:    m.GetKernelRelease(),
		Caller:           m.GetCaller(),
		Limits: Limits{
			TargetsPerMessage:    limits.GetTargetsPerMessage(),
			OutstandingPerStream: limits.GetOutstandingPerStream(),
			MinTimeout:           r.duration("min_timeout", limits.GetMinTimeout()),
			MaxTimeout:           r.duration("max_timeout", limits.GetMaxTimeout()),
			HandshakesPerSecond:  limits.GetHandshakesPerSecond(),
			InFlight:             limits.GetInFlight(),
			InFlightDetail:       limits.GetInFlightDetail(),

			CallerHandshakesPerSecond: limits.GetCallerHandshakesPerSecond(),
			CallerBurst:               limits.GetCallerBurst(),
			CallerOutstanding:         limits.GetCallerOutstanding(),
			CallerRPCs:                limits.GetCallerRpcs(),
		},
	}
	for _, s := range m.GetSourceAddresses() {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			r.wrong("source_addresses")
		}
		v.SourceAddresses = append(v.SourceAddresses, addr)
	}
	if r.bad != "" {
		return Vantage{}, broken("vantage: bad %s", r.bad)
	}
	return v, nil
}
