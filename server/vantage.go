package server

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

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
		EngineModeDetail: validText(stats.ModeDetail),
		SourceAddresses:  sourceAddresses(ctx),
		KernelRelease:    kernelRelease(),
		Limits: &tcpshakerv1.Limits{
			TargetsPerMessage:    uint32(s.limits.TargetsPerMessage),
			OutstandingPerStream: uint32(s.limits.OutstandingPerStream),
			MinTimeout:           durationpb.New(MinTimeout),
			MaxTimeout:           durationpb.New(s.limits.MaxTimeout),
			HandshakesPerSecond:  stats.Rate,
			InFlight:             uint32(min(max(stats.MaxInFlight, 0), math.MaxInt32)),
			InFlightDetail:       validText(stats.MaxInFlightDetail),

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
	return validText(strings.TrimSpace(string(release)))
}

// placeName returns name, or if it is empty what hostname returns. The kernel lets a host be called
// anything, and protobuf sends UTF-8 alone, so other bytes become U+FFFD.
func placeName(name string, hostname func() (string, error)) (string, error) {
	if name != "" {
		return name, nil
	}
	host, err := hostname()
	if err != nil {
		return "", fmt.Errorf("server: no name given: %w", err)
	}
	return strings.ToValidUTF8(host, "\uFFFD"), nil
}

// validateTexts returns an error for the first text of c that GetVantage could not send.
func validateTexts(c *Config) error {
	for _, text := range [...]struct{ field, value string }{{"Name", c.Name}, {"Version", c.Version}} {
		if !utf8.ValidString(text.value) {
			return fmt.Errorf("server: %s %q is not UTF-8", text.field, text.value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
		switch {
		case !utf8.ValidString(key):
			return fmt.Errorf("server: the key %q of Labels is not UTF-8", key)
		case !utf8.ValidString(c.Labels[key]):
			return fmt.Errorf("server: the value %q of label %q is not UTF-8", c.Labels[key], key)
		}
	}
	return nil
}

// validText returns s with a question mark for what is not UTF-8 in it, so that it gets no longer.
// The names of interfaces, which zones of addresses have, can be any bytes.
func validText(s string) string { return strings.ToValidUTF8(s, "?") }
