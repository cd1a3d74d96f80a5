package bench

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// size is how much of everything a run does.
type size struct {
	rounds  int
	probes  int // handshakes to a line of an engine or a prober
	targets int // of a stream to a line
	checks  int // unary RPCs to a line
	beside  int // targets of the stream beside which questions are asked
	quiet   time.Duration
	flying  int // handshakes that nobody answers, for their memory
	engines int // idle ones, for theirs
	streams int // idle ones
	flat    int // targets of the stream whose service is watched for growth
	idle    time.Duration
}

var sizes = map[string]size{
	"": {
		rounds: 5, probes: 30_000, targets: 60_000, checks: 4_000, beside: 150_000, quiet: time.Second,
		flying: 16_000, engines: 50, streams: 500, flat: 1_000_000, idle: 5 * time.Second,
	},
	"long": {
		rounds: 7, probes: 100_000, targets: 200_000, checks: 20_000, beside: 1_000_000, quiet: 5 * time.Second,
		flying: 16_000, engines: 50, streams: 500, flat: 4_000_000, idle: time.Minute,
	},
	"smoke": {
		rounds: 1, probes: 400, targets: 600, checks: 128, beside: 10_000, quiet: 250 * time.Millisecond,
		flying: 200, engines: 2, streams: 20, flat: 5_000, idle: 50 * time.Millisecond,
	},
}

// sizeOf returns what the environment asks for.
func sizeOf(tb testing.TB) size {
	tb.Helper()
	s, ok := sizes[os.Getenv("BENCH")]
	if !ok {
		tb.Fatalf("BENCH=%s: must be long, smoke or empty", os.Getenv("BENCH"))
	}
	for name, to := range map[string]*int{"BENCH_ROUNDS": &s.rounds, "BENCH_PROBES": &s.probes} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			tb.Fatalf("%s=%s: must be a positive number", name, text)
		}
		*to = n
	}
	return s
}
