package shaker

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// job is a Probe on its way: checked, with its address in the form the kernel wants.
type job struct {
	id      uint64
	addr    netip.AddrPort // unmapped
	scope   uint32         // of addr: the index of its zone's interface, 0 without a zone
	repeats uint8          // handshakes that were made for it in vain, see doors and halfOpen,
	stale   uint8          // those of them that halfOpen is about,
	lost    uint8          // and those that met silence after an answer was doubted
	timeout time.Duration
	queued  int64 // clock of its acceptance
}

var (
	errNoAddress       = errors.New("no address")
	errNoPort          = errors.New("no port")
	errNegativeTimeout = errors.New("negative timeout")
)

// newJobs checks all probes and returns them as jobs, or a *ProbeError.
func newJobs(probes []Probe, now int64) ([]job, error) {
	jobs := make([]job, len(probes))
	var zones zones
	for i := range probes {
		var err error
		if jobs[i], err = newJob(&probes[i], now, &zones); err != nil {
			return nil, &ProbeError{Index: i, Err: err}
		}
	}
	return jobs, nil
}

func newJob(p *Probe, now int64, zones *zones) (job, error) {
	addr := p.Addr.Addr().Unmap()
	switch addr.WithZone("") { // connect(2) does the same
	case netip.IPv4Unspecified():
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		addr = netip.IPv6Loopback()
	}
	switch {
	case !addr.IsValid():
		return job{}, errNoAddress
	case p.Addr.Port() == 0:
		return job{}, errNoPort
	case p.Timeout < 0:
		return job{}, errNegativeTimeout
	}
	j := job{id: p.ID, timeout: p.Timeout, queued: now}
	if j.timeout == 0 {
		j.timeout = DefaultTimeout
	}
	if zone := addr.Zone(); zone != "" {
		var err error
		if j.scope, err = zones.index(zone); err != nil {
			return job{}, fmt.Errorf("zone %q: %w", zone, err)
		}
	}
	j.addr = netip.AddrPortFrom(addr, p.Addr.Port())
	return j, nil
}
