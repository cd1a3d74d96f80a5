// Package metrics tells Prometheus what the service does: /metrics, for whoever runs it.
//
//	engine ── Stats ──▶ collector ─┐
//	gRPC ── interceptors ──────────┼─▶ registry ──▶ /metrics
//	Go runtime, process ───────────┘
//
// It is the only package that knows of Prometheus; package server takes its interceptors as it would take anybody's. Nothing that
// a caller chooses becomes a label: no target, address or name, and no method that there is not.
package metrics

import (
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// handlingBuckets are the upper bounds of grpc_server_handling_seconds: a Check takes what its targets take, from a round trip to
// many timeouts one after the other, and a stream may stay for hours.
var handlingBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

// Metrics is all that one service tells. Make one with New. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	grpc     *grpcprom.ServerMetrics
}

// New returns the metrics of a service of that version, whose engine is at what stats returns. stats is called once for each
// scrape, from any goroutine.
func New(version string, stats func() shaker.Stats) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		grpc: grpcprom.NewServerMetrics(
			grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(handlingBuckets))),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tcpshaker_build_info", Help: "Always 1; version is that of the service.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		collector{stats},
		m.grpc,
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Unary counts unary RPCs. It belongs outside of all that makes or changes their statuses. gRPC answers a method that it does
// not know by itself, without an interceptor, so that nobody can make series by asking for methods that there are not. (An
// unknown-service handler would undo that.)
func (m *Metrics) Unary() grpc.UnaryServerInterceptor { return m.grpc.UnaryServerInterceptor() }

// Stream counts streams and their messages, as Unary does unary RPCs.
func (m *Metrics) Stream() grpc.StreamServerInterceptor { return m.grpc.StreamServerInterceptor() }

// Registered makes the series of all methods of p at zero, so that the first RPC of each is seen as a rise.
func (m *Metrics) Registered(p reflection.ServiceInfoProvider) { m.grpc.InitializeMetrics(p) }
