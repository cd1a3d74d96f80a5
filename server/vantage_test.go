package server

import (
	"maps"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestVantage: who asks, from where, and the limits in force, all as configured.
func TestVantage(t *testing.T) {
	fake := always(open())
	fake.stats = shaker.Stats{Mode: shaker.Fresh, ModeDetail: "because", MaxInFlight: 77, MaxInFlightDetail: "77: thus", Rate: 12.5}
	labels := map[string]string{"region": "eu-west"}
	client, _ := start(t, Config{
		Prober: fake, Name: "here", Labels: labels, Version: "v1.2.3",
		Limits: Limits{TargetsPerMessage: 5, OutstandingPerStream: 6, MaxTimeout: time.Second},
	})
	got, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "here" || got.Version != "v1.2.3" || !maps.Equal(got.Labels, labels) ||
		got.EngineMode != tcpshakerv1.EngineMode_ENGINE_MODE_FRESH || got.EngineModeDetail != "because" {
		t.Errorf("got %v", got)
	}
	if l := got.Limits; l.TargetsPerMessage != 5 || l.OutstandingPerStream != 6 || l.MinTimeout.AsDuration() != MinTimeout ||
		l.MaxTimeout.AsDuration() != time.Second || l.HandshakesPerSecond != 12.5 || l.InFlight != 77 ||
		l.InFlightDetail != "77: thus" {
		t.Errorf("limits %v", l)
	}
	if (got.KernelRelease != "") != (runtime.GOOS == "linux") {
		t.Errorf("kernel %q", got.KernelRelease)
	}
	if len(got.SourceAddresses) > 2 {
		t.Errorf("source addresses %q", got.SourceAddresses)
	}
	for _, text := range got.SourceAddresses {
		if addr, err := netip.ParseAddr(text); err != nil || addr.IsUnspecified() {
			t.Errorf("source address %q", text)
		}
	}
}

// TestVantageDefaults: without a name the host's is told.
func TestVantageDefaults(t *testing.T) {
	client, _ := start(t, Config{Prober: always(open())})
	got, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if host, _ := os.Hostname(); got.Name != host || got.Version == "" {
		t.Errorf("got %v", got)
	}
}
