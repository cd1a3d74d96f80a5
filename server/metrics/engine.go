package metrics

import (
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/CarterTsai/tcp-shaker/server/internal/errno"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// number is a metric without labels, and where its value stands.
type number struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*shaker.Stats) float64
}

// describe makes the Desc of tcpshaker_name. These labels, and those of gRPC's methods and codes, are all that there are: a target, an
// address or a name of a caller's would be a series for each, and would tell who is probed.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tcpshaker_"+name, help, labels, nil)
}

func counter(name, help string, read func(*shaker.Stats) uint64) number {
	return number{describe(name, help), prometheus.CounterValue, func(s *shaker.Stats) float64 { return float64(read(s)) }}
}

func gauge(name, help string, read func(*shaker.Stats) float64) number {
	return number{describe(name, help), prometheus.GaugeValue, read}
}

var numbers = []number{
	counter("handshakes_started_total", "SYNs sent, those that the kernel sent again not among them.",
		func(s *shaker.Stats) uint64 { return s.Started }),
	counter("syn_retransmits_total", "SYNs that the kernel sent again.",
		func(s *shaker.Stats) uint64 { return s.Retransmits }),
	counter("self_connects_total", "Closed ports that answered because the kernel had connected the probe to itself.",
		func(s *shaker.Stats) uint64 { return s.SelfConnects }),
	counter("crossings_total", "Answers that a probe of this service may have given; each target was asked again.",
		func(s *shaker.Stats) uint64 { return s.Crossings }),
	counter("stale_resets_total", "RSTs that may have been meant for an earlier handshake between the same ends; each target was asked again.",
		func(s *shaker.Stats) uint64 { return s.StaleResets }),
	counter("ports_exhausted_total", "Handshakes for which no source port was free.",
		func(s *shaker.Stats) uint64 { return s.PortsExhausted }),
	counter("sockets_opened_total", "Sockets opened.",
		func(s *shaker.Stats) uint64 { return s.SocketsOpened }),
	counter("turns_total", "Turns of the engine's loops.",
		func(s *shaker.Stats) uint64 { return s.Turns }),
	counter("wakeups_total", "Turns of the engine's loops that came after sleeping.",
		func(s *shaker.Stats) uint64 { return s.Wakes }),

	gauge("longest_turn_seconds", "Longest time so far for which a loop did not look for answers.",
		func(s *shaker.Stats) float64 { return s.LongestTurn.Seconds() }),
	gauge("queued", "Probes that wait to be started.",
		func(s *shaker.Stats) float64 { return float64(s.Queued) }),
	gauge("in_flight", "Probes in flight, and sockets of silent ones that are kept for 10 ms.",
		func(s *shaker.Stats) float64 { return float64(s.InFlight) }),
	gauge("pooled_sockets", "Idle sockets kept for reuse.",
		func(s *shaker.Stats) float64 { return float64(s.Pooled) }),

	gauge("shards", "Loops of the engine.",
		func(s *shaker.Stats) float64 { return float64(s.Shards) }),
	gauge("max_in_flight", "Bound of the probes in flight.",
		func(s *shaker.Stats) float64 { return float64(s.MaxInFlight) }),
	gauge("max_in_flight_per_address", "Bound of the probes in flight to one IP address and port.",
		func(s *shaker.Stats) float64 { return float64(s.MaxInFlightPerTarget) }),
	gauge("max_handshakes_per_second", "Bound of the handshakes started a second; 0 means none.",
		func(s *shaker.Stats) float64 { return s.Rate }),
}

// Metrics with labels, and histograms.
var (
	results = describe("results_total", "Results of probes by outcome.", "outcome")
	silence = describe("open_results_total",
		"Open results by silence: whether it is proven that the application cannot have noticed.", "silence")
	localErrors = describe("local_errors_total",
		"Results with outcome local_error by error number; none stands for those without one.", "errno")
	ownEvents = describe("own_events_total",
		"Results with outcome local_error by the event on this host that caused them; those without an event are not counted.", "event")
	spurious = describe("spurious_events_total",
		"Events for a socket replaced since (stale) or without a probe (idle), and error events without an error (error).", "kind")
	inFlightBound = describe("in_flight_bound",
		"What max_in_flight is the least of: what was asked for, what descriptors allow, what memory allows.", "by")
	engineInfo = describe("engine_info", "Always 1; mode is how the engine uses its sockets.", "mode")
	queueWait  = describe("queue_wait_seconds", "Time from a probe's being accepted to its first SYN.")
	rtt        = describe("rtt_seconds", "Round-trip time of open results.")
)

// collector makes the engine's metrics of its Stats when they are asked for, and keeps nothing: all there is in between is what
// the engine counts anyway.
type collector struct{ stats func() shaker.Stats }

// Describe tells all that Collect may send.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range numbers {
		ch <- numbers[i].desc
	}
	for _, desc := range []*prometheus.Desc{results, silence, localErrors, ownEvents, spurious, inFlightBound, engineInfo, queueWait, rtt} {
		ch <- desc
	}
}

// Collect sends what one call of stats says. Every value that a label can have is there from the start, at 0, but for error numbers,
// of which there are many: all of them together are results_total with outcome local_error.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for i := range numbers {
		n := &numbers[i]
		ch <- prometheus.MustNewConstMetric(n.desc, n.kind, n.read(&s))
	}
	count := func(desc *prometheus.Desc, n uint64, label string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), label)
	}
	for o := shaker.Unspecified + 1; int(o) < len(s.Done); o++ {
		count(results, s.Done[o], strings.ReplaceAll(o.String(), " ", "_"))
	}
	count(silence, s.SilenceProven, shaker.Proven.String())
	count(silence, s.SilenceBroken, shaker.Broken.String())
	count(silence, s.SilenceUnproven, shaker.Unproven.String())
	for e, n := range s.LocalErrors.All() {
		count(localErrors, n, errnoLabel(e))
	}
	for e := shaker.NoEvent + 1; int(e) < len(s.Events); e++ {
		count(ownEvents, s.Events[e], strings.ReplaceAll(e.String(), " ", "_"))
	}
	count(spurious, s.StaleEvents, "stale")
	count(spurious, s.IdleEvents, "idle")
	count(spurious, s.SpuriousErrors, "error")
	bound := func(n int, by string) {
		ch <- prometheus.MustNewConstMetric(inFlightBound, prometheus.GaugeValue, float64(n), by)
	}
	bound(s.InFlightBound.Asked, "asked")
	bound(s.InFlightBound.Descriptors, "descriptors")
	bound(s.InFlightBound.Memory, "memory")
	ch <- prometheus.MustNewConstMetric(engineInfo, prometheus.GaugeValue, 1, s.Mode.String())
	ch <- histogram(queueWait, &s.QueueWait)
	ch <- histogram(rtt, &s.RTT)
}

func errnoLabel(e syscall.Errno) string {
	if e == 0 {
		return "none"
	}
	return errno.Name(e)
}

// histogram adds the buckets of h up, as Prometheus has them; its bucket without a bound is the count.
func histogram(desc *prometheus.Desc, h *shaker.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64)
	var below uint64
	for i, bound := range shaker.HistogramBounds() {
		below += h.Buckets[i]
		buckets[bound.Seconds()] = below
	}
	return prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum, buckets)
}
