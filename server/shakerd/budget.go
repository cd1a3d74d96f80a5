package main

import (
	"math"

	"github.com/CarterTsai/tcp-shaker/server"
)

// What descriptors are needed for besides probes.
const (
	// maxProbes bounds the probes in flight where --max-in-flight does not say otherwise. Black holes hold that many for
	// their timeouts, each with some 10 KB of kernel memory; the default rate and timeout need 40,000.
	maxProbes = 65536

	// lookupFDs is how many descriptors one lookup may hold: a socket for A and one for AAAA.
	lookupFDs = 2

	// otherFDs are standard streams, listeners, the loops' epoll and eventfd, Go's poller, files read in passing.
	otherFDs = 128
)

// budget shares out the file descriptors of the process. Whatever their number, callers can connect and names be looked up
// while all probes are in flight.
type budget struct {
	connections int // at most a quarter
	lookups     int // at most a sixteenth, each with lookupFDs
	rest        int // for probes: what is left then; at least 1
}

func budgetOf(fds int) budget {
	b := budget{
		connections: max(1, min(server.DefaultConnections, fds/4)),
		lookups:     max(1, min(server.DefaultLookups, fds/16)),
	}
	b.rest = max(1, fds-b.connections-b.lookups*lookupFDs-otherFDs)
	return b
}

// probes returns the bound of probes in flight where asked was asked for; 0 asks for nothing particular.
func (b budget) probes(asked int) int {
	if asked == 0 {
		asked = maxProbes
	}
	return min(asked, b.rest)
}

// clampFDs makes an int of a limit that may be RLIM_INFINITY.
func clampFDs(limit uint64) int { return int(min(limit, math.MaxInt32)) }
