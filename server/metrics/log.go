package metrics

import "github.com/prometheus/client_golang/prometheus"

// Log adds how many lines of the log were dropped. dropped is called once for each scrape, from any
// goroutine. Call it at most once.
func (m *Metrics) Log(dropped func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tcpshaker_log_lines_dropped_total",
		Help: "Log lines dropped because the log was read too slowly or could not be written.",
	}, func() float64 { return float64(dropped()) }))
}
