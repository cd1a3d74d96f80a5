package main

import (
	"math"

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/metrics"
)

// What descriptors are needed for besides probes.
const (
	// maxProbes bounds the probes in flight where --max-in-flight does not say otherwise, and descriptors and tcp_mem allow as many
	// (shaker.Config.MaxInFlight). Black holes hold that many for their timeouts, each with some 10 KB of kernel memory; the
	// default rate and timeout need 40,000.
	maxProbes = 65536

	// fewProbes is how many handshakes in flight an operator should have. If RLIMIT_NOFILE leaves fewer, and fewer than were asked
	// for, shakerd warns at the start.
	fewProbes = 1000

	// lookupFDs is how many descriptors one lookup may hold: a socket for A and one for AAAA.
	lookupFDs = 2

	// scrapeFDs are the connections of those who scrape, where --metrics-listen is given.
	scrapeFDs = metrics.MaxConnections

	// otherFDs are standard streams, listeners, the loops' epoll and eventfd, Go's poller, files read in passing.
	otherFDs = 128
)

// budget shares out the file descriptors of the process. Whatever their number, callers can connect and names be looked up
// while all probes are in flight.
type budget struct {
	connections int // at most a quarter
	lookups     int // at most a sixteenth, each with lookupFDs
	reserved    int // what these and the others need; the rest is for probes
}

func budgetOf(fds int, scraped bool) budget {
	b := budget{
		connections: max(1, min(server.DefaultConnections, fds/4)),
		lookups:     max(1, min(server.DefaultLookups, fds/16)),
	}
	b.reserved = b.connections + b.lookups*lookupFDs + otherFDs
	if scraped {
		b.reserved += scrapeFDs
	}
	return b
}

// enoughFDs returns a limit of descriptors that leaves places for so many probes.
func enoughFDs(probes int, scraped bool) int {
	return probes + budgetOf(math.MaxInt32, scraped).reserved
}

// clampFDs makes an int of a limit that may be RLIM_INFINITY.
func clampFDs(limit uint64) int { return int(min(limit, math.MaxInt32)) }
