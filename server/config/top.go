package config

import (
	"log/slog"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// The upper ends of keys that flags have too.
const (
	maxMaxInFlight = 1 << 20
	maxGrace       = 24 * time.Hour

	// MinStreamAge and MaxStreamAge are the shortest and the longest age at which streams may end.
	MinStreamAge, MaxStreamAge = time.Second, 24 * time.Hour

	// MaxDrainDelay is the longest time for which calls are still served after SIGTERM.
	MaxDrainDelay = 5 * time.Minute

	// MaxNameCache is the longest time for which answers about names may be used again.
	MaxNameCache = time.Hour
)

// configFields is the top of the file.
var configFields = []field[Config]{
	{name: "listen", read: (*reader).readListen},
	{name: "insecure", read: func(r *reader, c *Config, v value) { c.Insecure = pointer(r.yes(v)) }},
	{name: "metrics_listen", read: (*reader).readMetricsListen},
	{name: "name", read: func(r *reader, c *Config, v value) { c.Name = pointer(r.text(v)) }},
	{name: "labels", read: (*reader).readLabels},
	{name: "rate", read: func(r *reader, c *Config, v value) {
		c.Rate = pointer(r.number(v, leastPerSecond, shaker.MaxRate, "no limit"))
	}},
	{name: "max_in_flight", read: func(r *reader, c *Config, v value) { c.MaxInFlight = pointer(r.integer(v, 0, maxMaxInFlight)) }},
	{name: "max_in_flight_per_address", read: func(r *reader, c *Config, v value) {
		c.MaxInFlightPerAddress = pointer(r.integer(v, 0, shaker.MaxMaxInFlightPerAddress))
	}},
	{name: "shards", read: func(r *reader, c *Config, v value) { c.Shards = pointer(r.integer(v, 0, shaker.MaxShards)) }},
	{name: "name_cache", read: func(r *reader, c *Config, v value) { c.NameCache = pointer(r.duration(v, 0, MaxNameCache)) }},
	{name: "name_cache_failures", read: func(r *reader, c *Config, v value) {
		c.NameCacheFailures = pointer(r.duration(v, 0, MaxNameCache))
	}},
	{name: "stream_age", read: (*reader).readStreamAge},
	{name: "drain_delay", read: func(r *reader, c *Config, v value) {
		c.DrainDelay = pointer(r.duration(v, 0, MaxDrainDelay))
	}},
	{name: "grace", read: func(r *reader, c *Config, v value) { c.Grace = pointer(r.duration(v, 0, maxGrace)) }},
	{name: "log_format", read: func(r *reader, c *Config, v value) { c.LogFormat = pointer(r.oneOf(v, "text", "json")) }},
	{name: "log_level", read: (*reader).readLogLevel},
	{name: "reflection", read: func(r *reader, c *Config, v value) {
		s, _ := r.oneOf(v, string(ReflectionCallers), string(ReflectionAnyone), string(ReflectionNone))
		c.Reflection = Reflection(s)
	}},
	{name: "audit", read: func(r *reader, c *Config, v value) {
		s, _ := r.oneOf(v, string(AuditRPCs), string(AuditProbes))
		c.Audit = Audit(s)
	}},
	{name: "callers", read: (*reader).readCallers},
	{name: "limits", read: (*reader).readLimits},
}

// Keys returns the keys that the top of a file may have.
func Keys() []string { return namesOf(configFields) }

func (r *reader) readConfig(c *Config, root *yaml.Node) {
	if v, ok := r.follow("the file", root); ok {
		readMapping(r, c, v, configFields)
	}
}

// readLabels takes keys and values as --label does.
func (r *reader) readLabels(c *Config, v value) {
	c.Labels = make(map[string]string)
	r.eachKey(v, func(key, child value) {
		switch {
		case key.key == "":
			r.wrong(key, "a label needs a key")
		case r.missing(key, child):
		default:
			child.key = "the label " + quoted(key.key)
			c.Labels[key.key], _ = r.anyText(child)
		}
	})
}

func (r *reader) readStreamAge(c *Config, v value) {
	age, ok := r.duration(v, 0, MaxStreamAge)
	switch {
	case !ok:
	case age > 0 && age < MinStreamAge:
		r.wrong(v, "%s must be at least %v, or 0s for streams without an age, and is %v", v.key, MinStreamAge, age)
	default:
		c.StreamAge = &age
	}
}

func (r *reader) readLogLevel(c *Config, v value) {
	s, ok := r.oneOf(v, "debug", "info", "warn", "error")
	if !ok {
		return
	}
	c.LogLevel = new(slog.Level)
	if err := c.LogLevel.UnmarshalText([]byte(s)); err != nil {
		r.wrong(v, "%s: %v", v.key, err)
	}
}

// integer is whole for what fits an int on every machine.
func (r *reader) integer(v value, least, most int32) (int, bool) {
	n, ok := r.whole(v, int64(least), int64(most))
	return int(n), ok
}

// pointer returns one to x, or nil if it could not be read.
func pointer[T any](x T, ok bool) *T {
	if !ok {
		return nil
	}
	return &x
}
