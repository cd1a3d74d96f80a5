package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/CarterTsai/tcp-shaker/client"
)

// printVantage prints what the service, or this machine, says of itself.
func printVantage(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	service, err := dial(o, stderr)
	if err != nil {
		return err
	}
	defer service.close()

	ctx, cancel := o.bounded(ctx)
	defer cancel()
	v, err := service.client.Vantage(ctx)
	if err != nil {
		return brokenOff(o, service, 0, err)
	}
	text := []byte(vantageTable(v))
	if o.output == "json" {
		if text, err = appendJSON(nil, v.Proto()); err != nil {
			return err
		}
	}
	if _, err := stdout.Write(text); err != nil {
		return fmt.Errorf("vantage: %w", err)
	}
	return nil
}

// vantageTable returns v as a line for each thing that it says.
func vantageTable(v client.Vantage) string {
	caller := v.Caller
	if caller == "" {
		caller = "not asked for"
	}
	l := v.Limits
	inFlight := l.InFlightDetail // it begins with the number
	if inFlight == "" {
		inFlight = limit(float64(l.InFlight))
	}
	rows := [][2]string{
		{"name", v.Name},
		{"labels", orDash(labels(v.Labels))},
		{"version", orDash(v.Version)},
		{"engine", withDetail(v.EngineMode.String(), v.EngineModeDetail)},
		{"kernel", orDash(v.KernelRelease)},
		{"IPv4 from", sentFrom(v.SourceAddresses, netip.Addr.Is4)},
		{"IPv6 from", sentFrom(v.SourceAddresses, netip.Addr.Is6)},
		{"caller", caller},
		{"timeout of a handshake", short(l.MinTimeout) + " to " + short(l.MaxTimeout)},
		{"targets in a message", strconv.FormatUint(uint64(l.TargetsPerMessage), 10)},
		{"targets outstanding in a stream", strconv.FormatUint(uint64(l.OutstandingPerStream), 10)},
		{"all callers: handshakes a second", limit(l.HandshakesPerSecond)},
		{"all callers: handshakes in flight", inFlight},
		{"this caller: handshakes a second", limit(l.CallerHandshakesPerSecond)},
		{"this caller: handshakes at once", limit(float64(l.CallerBurst))},
		{"this caller: targets outstanding", limit(float64(l.CallerOutstanding))},
		{"this caller: calls at a time", limit(float64(l.CallerRPCs))},
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%-33s  %s\n", row[0], printable(row[1]))
	}
	return b.String()
}

// labels returns the labels in the order of their keys.
func labels(of map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		pairs = append(pairs, key+"="+of[key])
	}
	return strings.Join(pairs, ", ")
}

// sentFrom returns the address of a family that packets leave from.
func sentFrom(addresses []netip.Addr, family func(netip.Addr) bool) string {
	if at := slices.IndexFunc(addresses, family); at >= 0 {
		return addresses[at].String()
	}
	return "no address with a route to other machines"
}

// limit returns a limit, of which 0 means that there is none.
func limit(n float64) string {
	if n == 0 {
		return "no limit"
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func withDetail(s, detail string) string {
	if detail == "" {
		return s
	}
	return s + ": " + detail
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
