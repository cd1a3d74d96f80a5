package config

import (
	"math"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// The bounds of a rate.
const (
	leastPerSecond = 0.001 // one in a quarter of an hour
	maxBurst       = 1_000_000_000

	// leastDefaultBurst is what a name with all its addresses costs. With less, slow rates would have Checks that never fit.
	leastDefaultBurst = 16
)

// defaultCallerLimits are those of a caller without limits.
var defaultCallerLimits = CallerLimits{Outstanding: 200_000, Streams: 64}

// rateDraft is a Rate whose keys were read.
type rateDraft struct {
	perSecond *float64
	burst     *int
	named     bool // probes_per_second is
	burstAt   value
}

func (d *rateDraft) readPerSecond(r *reader, v value) {
	d.named = true
	d.perSecond = pointer(r.number(v, leastPerSecond, shaker.MaxRate, "no limit"))
}

func (d *rateDraft) readBurst(r *reader, v value) {
	d.burstAt = v
	d.burst = pointer(r.integer(v, 1, maxBurst))
}

// finish returns the Rate. Where no burst is named, it is a second's worth, and at least leastDefaultBurst.
func (d *rateDraft) finish(r *reader) Rate {
	if !d.named && d.burst != nil {
		r.wrong(d.burstAt, "burst limits nothing without probes_per_second")
	}
	if d.perSecond == nil || *d.perSecond == 0 {
		return Rate{}
	}
	if d.burst != nil {
		return Rate{*d.perSecond, *d.burst}
	}
	return Rate{*d.perSecond, max(leastDefaultBurst, int(math.Ceil(*d.perSecond)))}
}

type callerLimitsDraft struct {
	CallerLimits
	rate rateDraft
}

var callerLimitsFields = []field[callerLimitsDraft]{
	{name: "probes_per_second", read: func(r *reader, d *callerLimitsDraft, v value) { d.rate.readPerSecond(r, v) }},
	{name: "burst", read: func(r *reader, d *callerLimitsDraft, v value) { d.rate.readBurst(r, v) }},
	{name: "outstanding", read: func(r *reader, d *callerLimitsDraft, v value) { d.Outstanding, _ = r.integer(v, 1, 10_000_000) }},
	{name: "streams", read: func(r *reader, d *callerLimitsDraft, v value) { d.Streams, _ = r.integer(v, 1, 10_000) }},
	{name: "watched", ahead: "this version has no Watch", read: func(r *reader, _ *callerLimitsDraft, v value) { r.integer(v, 1, 10_000_000) }},
}

func (r *reader) readCallerLimits(c *Caller, v value) {
	d := callerLimitsDraft{CallerLimits: c.Limits}
	readMapping(r, &d, v, callerLimitsFields)
	d.Rate = d.rate.finish(r)
	c.Limits = d.CallerLimits
}

// limitsDraft is the Limits of the service.
type limitsDraft struct {
	Limits
	rate rateDraft
}

var limitsFields = []field[limitsDraft]{
	{name: "probes_per_second", read: func(r *reader, d *limitsDraft, v value) { d.rate.readPerSecond(r, v) }},
	{name: "burst", read: func(r *reader, d *limitsDraft, v value) { d.rate.readBurst(r, v) }},
	{name: "per_address", read: func(r *reader, d *limitsDraft, v value) {
		rate := rateDraft{named: true} // it is told of where it is not
		readMapping(r, &rate, v, perAddressFields)
		d.Destinations.PerAddress = rate.finish(r)
	}},
	{name: "per_prefix", read: func(r *reader, d *limitsDraft, v value) {
		prefix := prefixDraft{v4: 24, v6: 64, rate: rateDraft{named: true}}
		readMapping(r, &prefix, v, perPrefixFields)
		d.Destinations.PerPrefix = prefix.rate.finish(r)
		d.Destinations.IPv4Bits, d.Destinations.IPv6Bits = prefix.v4, prefix.v6
	}},
	{name: "ports_per_address", read: func(r *reader, d *limitsDraft, v value) {
		d.Destinations.Window = time.Minute
		readMapping(r, &d.Destinations, v, portsFields)
	}},
}

var perAddressFields = []field[rateDraft]{
	{name: "probes_per_second", required: true, read: func(r *reader, d *rateDraft, v value) { d.readPerSecond(r, v) }},
	{name: "burst", read: func(r *reader, d *rateDraft, v value) { d.readBurst(r, v) }},
}

type prefixDraft struct {
	v4, v6 int
	rate   rateDraft
}

var perPrefixFields = []field[prefixDraft]{
	{name: "ipv4", read: func(r *reader, d *prefixDraft, v value) { d.v4, _ = r.integer(v, 8, 32) }},
	{name: "ipv6", read: func(r *reader, d *prefixDraft, v value) { d.v6, _ = r.integer(v, 16, 128) }},
	{name: "probes_per_second", required: true, read: func(r *reader, d *prefixDraft, v value) { d.rate.readPerSecond(r, v) }},
	{name: "burst", read: func(r *reader, d *prefixDraft, v value) { d.rate.readBurst(r, v) }},
}

var portsFields = []field[DestinationLimits]{
	{name: "ports", required: true, read: func(r *reader, d *DestinationLimits, v value) { d.Ports, _ = r.integer(v, 1, 128) }},
	{name: "window", read: func(r *reader, d *DestinationLimits, v value) {
		d.Window, _ = r.duration(v, time.Second, 24*time.Hour)
	}},
}

func (r *reader) readLimits(c *Config, v value) {
	d := limitsDraft{}
	readMapping(r, &d, v, limitsFields)
	d.Rate = d.rate.finish(r)
	c.Limits = d.Limits
}
