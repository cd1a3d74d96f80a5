package metrics

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// TestAccessAndReloads compares all series with numbers of which no two are the same.
func TestAccessAndReloads(t *testing.T) {
	stats := access.Stats{Denied: 100, Limited: 101}
	want := map[string]float64{
		"tcpshaker_denied_targets_total{}": 100, "tcpshaker_rate_limited_targets_total{}": 101,
		"tcpshaker_config_reloads_total{result=ok}": 200, "tcpshaker_config_reloads_total{result=failed}": 201,
		"tcpshaker_config_stale{}": 1, "tcpshaker_config_loaded_timestamp_seconds{}": 1000.5,
		"tcpshaker_certificate_not_after_timestamp_seconds{}": 2000,
	}
	for i, kind := range access.Kinds() {
		stats.Refused[kind] = uint64(i + 1)
		want["tcpshaker_refused_calls_total{kind="+kind.String()+"}"] = float64(i + 1)
	}
	registry := prometheus.NewPedanticRegistry()
	m := &Metrics{registry: registry}
	m.Access(func() access.Stats { return stats })
	m.Reloads(func() Reloads {
		return Reloads{
			Succeeded: 200, Failed: 201, Stale: true, Loaded: time.UnixMilli(1000500), CertificateEnd: time.Unix(2000, 0),
		}
	})
	if got := gather(t, registry); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
