package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// Reloads is what became of the configuration since the service began.
type Reloads struct {
	// Succeeded and Failed are the reloads that were tried, the start not among them.
	Succeeded, Failed uint64
	// Stale says that the files are not what is in force: the last reload failed.
	Stale bool
	// Loaded is when what is in force was loaded.
	Loaded time.Time
	// CertificateEnd is when the first of the service's own certificates runs out. Zero where it has none.
	CertificateEnd time.Time
}

var (
	refusedCalls = describe("refused_calls_total", "Calls refused for who made them, or for a quota of the caller's.", "kind")
	deniedTotal  = describe("denied_targets_total", "Targets that the policy denied.")
	limitedTotal = describe("rate_limited_targets_total", "Targets whose destination had been asked about too often.")
	reloadsTotal = describe("config_reloads_total", "Reloads of the configuration.", "result")
	configStale  = describe("config_stale", "1 where the files could not be loaded, and what was loaded before is in force.")
	configLoaded = describe("config_loaded_timestamp_seconds", "When the configuration in force was loaded.")
	certificate  = describe("certificate_not_after_timestamp_seconds",
		"When the first of the service's own certificates runs out; not there without one.")
)

// Access adds what access has decided. stats is called once for each scrape, from any goroutine. Call it at most once.
func (m *Metrics) Access(stats func() access.Stats) { m.registry.MustRegister(accessCollector{stats}) }

// Reloads adds what became of the configuration. stats and calls are as Access has them.
func (m *Metrics) Reloads(stats func() Reloads) { m.registry.MustRegister(reloadCollector{stats}) }

type accessCollector struct{ stats func() access.Stats }

// Describe implements prometheus.Collector.
func (accessCollector) Describe(ch chan<- *prometheus.Desc) {
	tell(ch, refusedCalls, deniedTotal, limitedTotal)
}

// Collect implements prometheus.Collector.
func (c accessCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for _, kind := range access.Kinds() {
		ch <- prometheus.MustNewConstMetric(refusedCalls, prometheus.CounterValue, float64(s.Refused[kind]), kind.String())
	}
	ch <- prometheus.MustNewConstMetric(deniedTotal, prometheus.CounterValue, float64(s.Denied))
	ch <- prometheus.MustNewConstMetric(limitedTotal, prometheus.CounterValue, float64(s.Limited))
}

type reloadCollector struct{ stats func() Reloads }

// Describe implements prometheus.Collector.
func (reloadCollector) Describe(ch chan<- *prometheus.Desc) {
	tell(ch, reloadsTotal, configStale, configLoaded, certificate)
}

// Collect implements prometheus.Collector.
func (c reloadCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	ch <- prometheus.MustNewConstMetric(reloadsTotal, prometheus.CounterValue, float64(s.Succeeded), "ok")
	ch <- prometheus.MustNewConstMetric(reloadsTotal, prometheus.CounterValue, float64(s.Failed), "failed")
	stale := 0.0
	if s.Stale {
		stale = 1
	}
	ch <- prometheus.MustNewConstMetric(configStale, prometheus.GaugeValue, stale)
	ch <- prometheus.MustNewConstMetric(configLoaded, prometheus.GaugeValue, seconds(s.Loaded))
	if !s.CertificateEnd.IsZero() {
		ch <- prometheus.MustNewConstMetric(certificate, prometheus.GaugeValue, seconds(s.CertificateEnd))
	}
}

func tell(ch chan<- *prometheus.Desc, descs ...*prometheus.Desc) {
	for _, desc := range descs {
		ch <- desc
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
