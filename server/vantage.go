package server

import (
	"context"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// GetVantage implements ShakerService: who asks, from where, under which limits. It sends no packet.
func (s *Server) GetVantage(ctx context.Context, _ *tcpshakerv1.GetVantageRequest) (*tcpshakerv1.GetVantageResponse, error) {
	if s.isDraining() {
		return nil, errDraining()
	}
	admission, err := s.admission(ctx)
	if err != nil {
		return nil, err
	}
	view := admission.View()
	rate, outstanding, rpcs := view.CallerLimits()
	stats := s.prober.Stats()
	return &tcpshakerv1.GetVantageResponse{
		Name:             s.name,
		Labels:           s.labels,
		Version:          s.version,
		EngineMode:       modeProto(stats.Mode),
		EngineModeDetail: stats.ModeDetail,
		SourceAddresses:  sourceAddresses(ctx),
		KernelRelease:    kernelRelease(),
		Limits: &tcpshakerv1.Limits{
			TargetsPerMessage:    uint32(s.limits.TargetsPerMessage),
			OutstandingPerStream: uint32(s.limits.OutstandingPerStream),
			MinTimeout:           durationpb.New(MinTimeout),
			MaxTimeout:           durationpb.New(s.limits.MaxTimeout),
			HandshakesPerSecond:  stats.Rate,
			InFlight:             uint32(min(max(stats.MaxInFlight, 0), math.MaxInt32)),
			InFlightDetail:       stats.MaxInFlightDetail,

			CallerHandshakesPerSecond: rate.PerSecond,
			CallerBurst:               uint32(rate.Burst),
			CallerOutstanding:         uint32(outstanding),
			CallerRpcs:                uint32(rpcs),
		},
		Caller: admission.Caller(),
	}, nil
}

// sourceAddresses tells which of this host's addresses packets to other machines leave from, by family: a connected UDP
// socket has its source address chosen, and sends nothing (udp(7)). The addresses asked about are for documentation
// (RFC 5737, RFC 3849), so only a default route, or one that covers them all the same, leads there.
func sourceAddresses(ctx context.Context) []string {
	var found []string
	for _, to := range [...]struct{ network, address string }{
		{"udp4", "192.0.2.1:9"},
		{"udp6", "[2001:db8::1]:9"},
	} {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, to.network, to.address)
		if err != nil {
			continue // no route of this family
		}
		if from, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
			found = append(found, from.Addr().Unmap().String())
		}
		conn.Close()
	}
	return found
}

// kernelRelease is what uname(2) gives as release, as proc(5) tells it. Where there is no such file, as on all systems that
// have no engine, it is empty.
func kernelRelease() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(release))
}
