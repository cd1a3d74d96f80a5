package shaker

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
)

// Mode says whether the engine's sockets live on from one handshake to the next.
type Mode uint8

const (
	// Auto, the zero value, is Reuse where this kernel passes the self-check that New makes, and Fresh elsewhere. Stats never
	// reports it.
	Auto Mode = iota
	// Reuse disconnects a socket whose handshake the target answered, and uses it again: two connect(2) calls a probe, two
	// thirds of the cost of Fresh. An address that answers without TCP timestamps gets a fresh socket for every probe after its
	// first answer, at the cost of Fresh: a server in TIME-WAIT may not answer a reused one. The self-check is not made.
	Reuse
	// Fresh opens a new socket for every probe and closes it after. The self-check is not made.
	Fresh
)

var modeNames = [...]string{"auto", "reuse", "fresh"}

// String returns the mode in lower case.
func (m Mode) String() string { return nameOf(modeNames[:], m) }

// Bounds of Config.
const (
	// DefaultMaxInFlight is the bound of probes in flight where Config.MaxInFlight is 0, and descriptors and memory allow it.
	DefaultMaxInFlight = 8192
	// DefaultMaxInFlightPerAddress is what Config.MaxInFlightPerAddress means where it is 0.
	DefaultMaxInFlightPerAddress = 128
	// MaxMaxInFlightPerAddress is the upper end of Config.MaxInFlightPerAddress, the number of ports.
	MaxMaxInFlightPerAddress = math.MaxUint16
	// MaxShards is the upper end of Config.Shards.
	MaxShards = 256
	// MaxRate is the upper end of Config.Rate: no kernel comes near.
	MaxRate = 1e8

	// DefaultReservedDescriptors is what Config.ReservedDescriptors means where it is 0.
	DefaultReservedDescriptors = 64
)

// Config says how an Engine works. The zero value works.
type Config struct {
	// Shards is how many loops run, each a goroutine with an epoll of its own that can keep one core busy. 0 means
	// max(1, GOMAXPROCS−1), which leaves a processor to the rest of the program; at most MaxShards. More shards than processors
	// make every loop late.
	Shards int

	// MaxInFlight bounds the probes in flight, for all shards together; beyond it probes wait, under their contexts, and their
	// timeouts with them. 0 means DefaultMaxInFlight. What a probe holds cuts it down: a file descriptor and, while it meets
	// silence, 5.4 KB of kernel memory and a page of tcp_mem. So the bound in force is
	//
	//	min(MaxInFlight, RLIMIT_NOFILE − ReservedDescriptors, tcp_mem[1] / 2), but at least one per shard
	//
	// where RLIMIT_NOFILE is the soft limit, and tcp_mem[1] the number of pages at which the kernel begins to cut down the
	// buffers of every TCP connection of the machine (net.ipv4.tcp_mem, tcp(7)): if all probes meet silence, half of it is left
	// to everybody else. It is the machine's, and each engine on it counts for itself. Where tcp_mem cannot be read, as in a
	// network namespace that is not the machine's first, it is taken for what the kernel sets it to at boot, a sixteenth of the
	// memory (tcp_init_mem, net/ipv4/tcp.c). All are read once, by New; Stats tells the bound in force and its parts.
	MaxInFlight int

	// MaxInFlightPerAddress bounds the probes in flight to one ip:port, for all shards together.
	// Beyond it probes wait as for MaxInFlight. 0 means DefaultMaxInFlightPerAddress; at most
	// MaxMaxInFlightPerAddress. In force is
	//
	//	min(MaxInFlightPerAddress, half the range of local ports), but at least one per shard
	//
	// Each shard has an equal part of it. A listener without SYN cookies keeps as many unfinished
	// handshakes as its backlog says, and drops further SYNs: too many probes at once look like a
	// silent target. A backlog of 128 holds the default, if the listener's net.ipv4.tcp_max_syn_backlog
	// is at least 170. Above half the range of local ports connect(2) gets slow.
	MaxInFlightPerAddress int

	// ReservedDescriptors is how many of the descriptors that RLIMIT_NOFILE allows are left to the rest of the process. 0 means
	// DefaultReservedDescriptors. Too few, and a probe finds none: LocalError.
	ReservedDescriptors int

	// Rate is the pace: how many probes a second are started at most, by all shards together, smoothly: no burst is longer
	// than 2 ms' worth, or one probe. 0 means no limit; at most MaxRate. Bursts of SYNs overflow the queues of the sending
	// host, and what is dropped there looks like a silent target.
	Rate float64

	// Mode is how sockets are used; zero is Auto.
	Mode Mode

	hooks hooks
}

// hooks let a test put its own in the place of what an engine meets by itself. The zero value changes nothing.
type hooks struct {
	selfCheck     func() error           // of mode Auto
	opened        func(fd int)           // is given each socket that was opened
	ports         func() (low, high int) // the range of local ports
	tcpMem        func() tcpMemory       // net.ipv4.tcp_mem
	witness       func() (*witness, error)
	idle          time.Duration // how long a loop with nothing to do keeps its idle sockets
	stall         func()        // runs between the reading of the counters and the leaving
	beforeReading func()        // runs before it
	afterLeaving  func()        // runs after it
	asking        func()        // runs between the reading of a socket's error and of its state
	noHopCount    bool          // no least hop count can be set
}

// validate returns all that is wrong with c.
func (c *Config) validate() error {
	var errs []error
	if c.Shards < 0 || c.Shards > MaxShards {
		errs = append(errs, fmt.Errorf("shards %d: must be 0 to %d", c.Shards, MaxShards))
	}
	if c.MaxInFlight < 0 || c.MaxInFlight > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("max in flight %d: must be 0 to %d", c.MaxInFlight, math.MaxInt32))
	}
	if c.MaxInFlightPerAddress < 0 || c.MaxInFlightPerAddress > MaxMaxInFlightPerAddress {
		errs = append(errs, fmt.Errorf("max in flight per address %d: must be 0 to %d",
			c.MaxInFlightPerAddress, MaxMaxInFlightPerAddress))
	}
	if c.ReservedDescriptors < 0 {
		errs = append(errs, fmt.Errorf("reserved descriptors %d: must not be negative", c.ReservedDescriptors))
	}
	if !(c.Rate >= 0 && c.Rate <= MaxRate) { // so that NaN is refused as well
		errs = append(errs, fmt.Errorf("rate %v: must be 0 to %g", c.Rate, float64(MaxRate)))
	}
	if c.Mode > Fresh {
		errs = append(errs, fmt.Errorf("mode %d: unknown", c.Mode))
	}
	return errors.Join(errs...)
}

// withDefaults returns c with every zero replaced. MaxInFlight is not cut down yet.
func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.MaxInFlightPerAddress == 0 {
		c.MaxInFlightPerAddress = DefaultMaxInFlightPerAddress
	}
	if c.ReservedDescriptors == 0 {
		c.ReservedDescriptors = DefaultReservedDescriptors
	}
	return c
}
