package shaker

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// InFlightBound tells where the bound of probes in flight comes from: it is the least of the three, but at least one per shard.
// Each is math.MaxInt32 at most.
type InFlightBound struct {
	// Asked is Config.MaxInFlight, or DefaultMaxInFlight where that is 0.
	Asked int
	// Descriptors is the soft limit of RLIMIT_NOFILE less Config.ReservedDescriptors.
	Descriptors int
	// Memory is half of tcp_mem's pressure threshold, in pages, of which a probe that meets silence holds one.
	Memory int
	// MemoryDerived says that tcp_mem could not be read, which in a network namespace that is not the machine's first is usual,
	// so that Memory follows from the size of the machine.
	MemoryDerived bool
}

// tcpMemory is the middle value of tcp_mem, in pages, and whether it is the kernel's own word.
type tcpMemory struct {
	pressure uint64
	derived  bool
}

// memoryShare is the part of tcp_mem's pressure threshold that probes may hold, if all of them meet silence. Beyond the threshold
// the kernel cuts down the buffers of every connection of the machine, in all namespaces (tcp_enter_memory_pressure,
// net/ipv4/tcp.c), so half of it is left to them.
const memoryShare = 2

// boundOf is the formula in the comment of Config.MaxInFlight. fds is how many descriptors this process may have open.
func boundOf(asked int, fds uint64, reserved int, m tcpMemory) InFlightBound {
	return InFlightBound{
		Asked:         asked,
		Descriptors:   max(0, clamp(fds)-reserved),
		Memory:        clamp(m.pressure / memoryShare),
		MemoryDerived: m.derived,
	}
}

func clamp(v uint64) int { return int(min(v, math.MaxInt32)) }

// inForce is the bound itself.
func (b InFlightBound) inForce(shards int) int {
	return max(min(b.Asked, b.Descriptors, b.Memory), shards)
}

// detail is the bound in force and its parts for a person.
func (b InFlightBound) detail(inForce int) string {
	from := ""
	if b.MemoryDerived {
		from = " (from the size of the memory: tcp_mem cannot be read here)"
	}
	return fmt.Sprintf("%d: asked for %d, descriptors allow %d, tcp_mem %d%s", inForce, b.Asked, b.Descriptors, b.Memory, from)
}

// parseTCPMem returns the middle of the three values of net.ipv4.tcp_mem: tcp(7).
func parseTCPMem(text string) (pressure uint64, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, false
	}
	pressure, err := strconv.ParseUint(fields[1], 10, 64)
	return pressure, err == nil
}

// derivedTCPMem returns what the kernel sets tcp_mem's middle value to at boot (tcp_init_mem, net/ipv4/tcp.c), of a machine with
// so many pages of memory that are not highmem. The kernel takes those that were free of use then above the zones' high
// watermarks, which are some less.
func derivedTCPMem(pages uint64) (pressure uint64) { return max(pages/16, 128) }
