package shaker

import "time"

// histogramBounds are the upper bounds of all buckets but the last, which has none: from what a loopback interface takes to the
// longest timeout that makes sense.
var histogramBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 25 * time.Second, 60 * time.Second,
}

// Histogram counts times by how long they were. The zero value is empty.
type Histogram struct {
	// Buckets[i] counts the times that are at most HistogramBounds()[i] and more than the bound before it; the last one those
	// that are more than all bounds.
	Buckets [len(histogramBounds) + 1]uint64
	// Sum is all times together, in seconds: as a time.Duration, what a million waiting probes wait would overflow within hours.
	Sum float64
}

// HistogramBounds returns the upper bounds of the buckets of every Histogram, all but the last, in ascending order. The slice
// is the caller's.
func HistogramBounds() []time.Duration {
	bounds := histogramBounds
	return bounds[:]
}

// Count returns how many times were counted.
func (h *Histogram) Count() (n uint64) {
	for _, in := range h.Buckets {
		n += in
	}
	return n
}

// observe counts one time. Most of them are short, so the search begins there.
func (h *Histogram) observe(d time.Duration) {
	i := 0
	for i < len(histogramBounds) && d > histogramBounds[i] {
		i++
	}
	h.Buckets[i]++
	h.Sum += d.Seconds()
}

func (h *Histogram) add(o *Histogram) {
	for i := range h.Buckets {
		h.Buckets[i] += o.Buckets[i]
	}
	h.Sum += o.Sum
}
