package metrics

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gather returns the series of g with their values, by name and labels: name{a=b}, and of a histogram name_sum, name_count and a
// name_bucket for each bound.
func gather(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := func(suffix string, more ...string) string {
				return family.GetName() + suffix + "{" + strings.Join(append(labels, more...), ",") + "}"
			}
			if h := m.GetHistogram(); h != nil {
				series[key("_sum")] = h.GetSampleSum()
				series[key("_count")] = float64(h.GetSampleCount())
				for _, b := range h.GetBucket() {
					series[key("_bucket", fmt.Sprintf("le=%g", b.GetUpperBound()))] = float64(b.GetCumulativeCount())
				}
				continue
			}
			series[key("")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return series
}

// ofEngine returns the series that the collector makes of stats.
func ofEngine(t *testing.T, stats shaker.Stats) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{func() shaker.Stats { return stats }})
	return gather(t, registry)
}

// TestCollectorTellsStats compares all that the collector says with Stats in which no two numbers are the same.
func TestCollectorTellsStats(t *testing.T) {
	stats := shaker.Stats{
		Mode: shaker.Fresh, Shards: 1, MaxInFlight: 2, Rate: 3.5, MaxInFlightPerTarget: 4, Queued: 5, InFlight: 6, Pooled: 7,
		InFlightBound: shaker.InFlightBound{Asked: 33, Descriptors: 34, Memory: 35},
		Counters: shaker.Counters{
			Started: 8, Done: [...]uint64{9, 10, 11, 12, 13, 14, 15}, Retransmits: 16, SilenceProven: 17, SilenceBroken: 18,
			SilenceUnproven: 19, SocketsOpened: 20, StaleEvents: 21, IdleEvents: 22, SpuriousErrors: 23, SelfConnects: 24,
			Crossings: 25, StaleResets: 26, PortsExhausted: 27, Turns: 28, Wakes: 29, LongestTurn: 30 * time.Millisecond,
			QueueWait: shaker.Histogram{Buckets: [20]uint64{0: 1, 1: 2, 18: 3, 19: 4}, Sum: 31},
			RTT:       shaker.Histogram{Buckets: [20]uint64{4: 5, 19: 1}, Sum: 0.032},
		},
	}
	want := map[string]float64{
		"tcpshaker_engine_info{mode=fresh}": 1, "tcpshaker_shards{}": 1, "tcpshaker_max_in_flight{}": 2,
		"tcpshaker_max_handshakes_per_second{}": 3.5, "tcpshaker_max_in_flight_per_address{}": 4,
		"tcpshaker_queued{}": 5, "tcpshaker_in_flight{}": 6, "tcpshaker_pooled_sockets{}": 7,
		"tcpshaker_handshakes_started_total{}":           8,
		"tcpshaker_results_total{outcome=open}":          10,
		"tcpshaker_results_total{outcome=refused}":       11,
		"tcpshaker_results_total{outcome=unreachable}":   12,
		"tcpshaker_results_total{outcome=timed_out}":     13,
		"tcpshaker_results_total{outcome=canceled}":      14,
		"tcpshaker_results_total{outcome=local_error}":   15,
		"tcpshaker_syn_retransmits_total{}":              16,
		"tcpshaker_open_results_total{silence=proven}":   17,
		"tcpshaker_open_results_total{silence=broken}":   18,
		"tcpshaker_open_results_total{silence=unproven}": 19,
		"tcpshaker_sockets_opened_total{}":               20,
		"tcpshaker_spurious_events_total{kind=stale}":    21,
		"tcpshaker_spurious_events_total{kind=idle}":     22,
		"tcpshaker_spurious_events_total{kind=error}":    23,
		"tcpshaker_self_connects_total{}":                24,
		"tcpshaker_crossings_total{}":                    25,
		"tcpshaker_stale_resets_total{}":                 26,
		"tcpshaker_ports_exhausted_total{}":              27,
		"tcpshaker_turns_total{}":                        28,
		"tcpshaker_wakeups_total{}":                      29,
		"tcpshaker_longest_turn_seconds{}":               0.030,
		"tcpshaker_in_flight_bound{by=asked}":            33,
		"tcpshaker_in_flight_bound{by=descriptors}":      34,
		"tcpshaker_in_flight_bound{by=memory}":           35,
		"tcpshaker_queue_wait_seconds_sum{}":             31,
		"tcpshaker_queue_wait_seconds_count{}":           10,
		"tcpshaker_rtt_seconds_sum{}":                    0.032,
		"tcpshaker_rtt_seconds_count{}":                  6,
	}
	for i := range stats.Events[1:] {
		stats.Events[1+i] = uint64(36 + i)
		event := shaker.Event(1 + i)
		want["tcpshaker_own_events_total{event="+strings.ReplaceAll(event.String(), " ", "_")+"}"] = float64(36 + i)
	}
	for i, bound := range shaker.HistogramBounds() {
		le := fmt.Sprintf("{le=%g}", bound.Seconds())
		queued, rtts := 3.0, 0.0
		if i == 0 {
			queued = 1
		}
		if i == 18 {
			queued = 6
		}
		if i >= 4 {
			rtts = 5
		}
		want["tcpshaker_queue_wait_seconds_bucket"+le], want["tcpshaker_rtt_seconds_bucket"+le] = queued, rtts
	}
	got := ofEngine(t, stats)
	for key := range maps.Keys(want) {
		if value, ok := got[key]; !ok || value != want[key] {
			t.Errorf("%s: %v, want %v", key, value, want[key])
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("unexpected: %v", got)
	}
}

// TestNothingIsForgotten: each number of Stats changes what the collector says.
func TestNothingIsForgotten(t *testing.T) {
	zero := ofEngine(t, shaker.Stats{})
	var stats shaker.Stats
	var visit func(name string, v reflect.Value)
	visit = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					visit(name+"."+f.Name, v.Field(i))
				}
			}
			return
		case reflect.Array:
			for i := range v.Len() {
				visit(fmt.Sprintf("%s[%d]", name, i), v.Index(i))
			}
			return
		case reflect.Int, reflect.Int64:
			v.SetInt(1)
		case reflect.Uint8, reflect.Uint64:
			v.SetUint(1)
		case reflect.Float64:
			v.SetFloat(1)
		case reflect.String, reflect.Bool: // sentences, for people, and how memory was found out
			return
		default:
			t.Fatalf("%s is a %v: is it told?", name, v.Kind())
		}
		if maps.Equal(ofEngine(t, stats), zero) && name != ".Counters.Done[0]" && name != ".Counters.Events[0]" { // no result is Unspecified, no event NoEvent
			t.Errorf("%s is not told", name)
		}
		v.SetZero()
	}
	visit("", reflect.ValueOf(&stats).Elem())
}

// TestErrnoLabel: LocalErrors has no fields to set here; TestWholeService counts a real one.
func TestErrnoLabel(t *testing.T) {
	for e, want := range map[syscall.Errno]string{0: "none", syscall.ENETUNREACH: "ENETUNREACH"} {
		if got := errnoLabel(e); got != want {
			t.Errorf("%d: %q, want %q", e, got, want)
		}
	}
}
