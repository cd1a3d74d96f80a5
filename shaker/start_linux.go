package shaker

import (
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The range of local ports where it cannot be read: the kernel's own default (inet_sk_local_port_range, net/ipv4/af_inet.c).
const (
	defaultLowPort  = 32768
	defaultHighPort = 60999
)

// start is New with a valid config.
func start(config Config) (*Engine, error) {
	config = config.withDefaults()
	if config.hooks.tcpMem == nil {
		config.hooks.tcpMem = readTCPMemory
	}
	if config.hooks.ports == nil {
		config.hooks.ports = localPorts
	}
	if config.hooks.idle == 0 {
		config.hooks.idle = idleSockets
	}
	bound := boundOf(config.MaxInFlight, descriptorLimit(), config.ReservedDescriptors, config.hooks.tcpMem())
	config.MaxInFlight = bound.inForce(config.Shards)
	low, high := config.hooks.ports()
	e := &Engine{
		config: config,
		bound:  bound, boundDetail: bound.detail(config.MaxInFlight),
		limit: max(config.Shards, min(config.MaxInFlightPerAddress, (high-low+1)/2)),
		doors: newDoors(), halfOpen: newHalfOpen(), freshOnly: newFreshOnly(), manners: newManners(),
	}
	portRange := uint32(low) | uint32(high)<<16
	e.chooseMode(portRange)
	e.usualDrops = usualDrops()
	e.openWitness()
	e.pace.set(config.Rate)
	for k := range config.Shards {
		s, err := newShard(e, partOf(config.MaxInFlight, k, config.Shards), partOf(e.limit, k, config.Shards), portRange)
		if err != nil {
			for _, s := range e.shards {
				s.free()
			}
			e.closeWitness()
			return nil, err
		}
		s.number = int32(k)
		e.shards = append(e.shards, s)
	}
	for _, s := range e.shards {
		e.loops.Go(s.run)
	}
	return e, nil
}

// partOf returns the part of a bound that shard k of n has. The parts add up to the whole. Each is
// at least one if the whole is at least n.
func partOf(whole, k, n int) int {
	upTo := func(k int) int { return int(int64(whole) * int64(k) / int64(n)) }
	return upTo(k+1) - upTo(k)
}

// chooseMode settles what Auto means on this kernel.
func (e *Engine) chooseMode(portRange uint32) {
	switch e.config.Mode {
	case Reuse, Fresh:
		e.detail = "as configured"
		return
	case Auto:
	}
	check := e.config.hooks.selfCheck
	if check == nil {
		check = func() error {
			return selfCheck(func(v6 bool) (int, syscall.Errno) { return openSocket(v6, Reuse, portRange) })
		}
	}
	err := check()
	for tries := 1; err != nil && tries < selfCheckTries; tries++ { // a busy machine can stop us for too long once
		err = check()
	}
	if err != nil {
		e.config.Mode, e.detail = Fresh, fmt.Sprintf("sockets cannot be used again: self-check: %v", err)
		return
	}
	e.config.Mode, e.detail = Reuse, "self-check passed: a socket made two handshakes and neither was noticed"
}

// openWitness has silence witnessed. Without netlink the engine works all the same, and says so.
func (e *Engine) openWitness() {
	open := e.config.hooks.witness
	if open == nil {
		open = newWitness
	}
	w, err := open()
	if err != nil {
		e.detail += fmt.Sprintf("; events of this host's own network are not seen (%v)", err)
		return
	}
	e.witness = w
}

func (e *Engine) closeWitness() {
	if e.witness != nil {
		e.witness.close()
	}
}

// descriptorLimit is the soft limit of RLIMIT_NOFILE, getrlimit(2).
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64
	}
	return limit.Cur
}

// localPorts reads the range that the kernel picks source ports from: net.ipv4.ip_local_port_range, of both families.
func localPorts() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return defaultLowPort, defaultHighPort
	}
	return parsePorts(string(text))
}

func parsePorts(text string) (low, high int) {
	if n, err := fmt.Sscan(strings.TrimSpace(text), &low, &high); n != 2 || err != nil ||
		low < 1 || high > math.MaxUint16 || low > high {
		return defaultLowPort, defaultHighPort
	}
	return low, high
}
