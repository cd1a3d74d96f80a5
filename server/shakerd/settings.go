package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/config"
	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// settings are all that the service runs by: the command line, the file, and the files that it names. They do not change; a reload
// makes others.
type settings struct {
	*options
	callers bool          // are known, and nobody else is served
	rules   int           // of all of them
	access  access.Config // without Policy

	warnings config.Errors // of the file

	files          []string // what a reload looks at
	stamps         stamps   // of files, before they were read
	certificateEnd time.Time
}

// loadSettings reads the file that the command line names, if any, and all that it names. Errors are usageErrors, and joined where
// there are several. Where the file is wrong the settings hold the command line; where that is wrong they are nil.
func loadSettings(args []string) (*settings, error) {
	o, err := parseFlags(args)
	if err != nil {
		return nil, err
	}
	s := &settings{options: o}
	if o.config == "" || o.version {
		return s, nil
	}
	before := stampsOf([]string{o.config})
	file, err := o.givenToFile().Load(o.config)
	if err != nil {
		if faulty, ok := errors.AsType[*config.Faulty](err); ok && !o.given["listen"] {
			_, errs := loadTLS(o.config, faulty.Listen)
			err = errors.Join(append([]error{err}, errs...)...)
		}
		return s, usageError{err}
	}
	s.warnings = file.Warnings
	s.files = file.Files()
	s.stamps = stampsOf(s.files)
	maps.Copy(s.stamps, before)
	o.fill(file)
	if err := s.read(file); err != nil {
		return s, usageError{err}
	}
	return s, nil
}

// givenToFile tells the file what of it does not count.
func (o *options) givenToFile() config.Given {
	var g config.Given
	if o.given["listen"] {
		for _, l := range o.listen {
			g.Listen = append(g.Listen, l.text)
		}
	}
	if o.given["insecure"] {
		g.Insecure = &o.insecure
	}
	return g
}

// fill takes from the file what no flag has said. Labels of both count; where both have one, it is the flag's.
func (o *options) fill(c *config.Config) {
	if !o.given["listen"] && c.Listen != nil {
		o.listen = nil
		for _, l := range c.Listen {
			a := listenAddrOf(l.Address)
			a.mode = l.Mode
			a.tls = filesOf(&l)
			o.listen = append(o.listen, a)
		}
	}
	if m := c.MetricsListen; m != nil && !o.given["metrics-listen"] {
		a := listenAddrOf(*m)
		o.metricsListen = &a
	}
	labels := maps.Clone(c.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	maps.Copy(labels, o.labels)
	o.labels = labels
	fill(o, "insecure", &o.insecure, c.Insecure)
	fill(o, "name", &o.name, c.Name)
	fill(o, "rate", &o.rate, c.Rate)
	fill(o, "max-in-flight", &o.maxInFlight, c.MaxInFlight)
	fill(o, "max-in-flight-per-address", &o.maxPerAddress, c.MaxInFlightPerAddress)
	fill(o, "shards", &o.shards, c.Shards)
	fill(o, "name-cache", &o.nameCache, c.NameCache)
	fill(o, "name-cache-failures", &o.nameFailures, c.NameCacheFailures)
	fill(o, "stream-age", &o.streamAge, c.StreamAge)
	fill(o, "drain-delay", &o.drainDelay, c.DrainDelay)
	fill(o, "grace", &o.grace, c.Grace)
	fill(o, "log-level", &o.logLevel, c.LogLevel)
	if c.LogFormat != nil && !o.given["log-format"] {
		o.logJSON = *c.LogFormat == "json"
	}
}

// fill sets what the file says and the flag of that name does not.
func fill[T any](o *options, flag string, value, said *T) {
	if said != nil && !o.given[flag] {
		*value = *said
	}
}

// read loads the certificates, and puts together who may ask about what.
func (s *settings) read(c *config.Config) error {
	var tls map[string]*identity.TLS
	var errs []error
	if !s.given["listen"] {
		tls, errs = loadTLS(c.Path, c.Listen)
	}
	for _, loaded := range tls {
		if end := loaded.NotAfter(); s.certificateEnd.IsZero() || end.Before(s.certificateEnd) {
			s.certificateEnd = end
		}
	}
	known := make([]identity.Caller, len(c.Callers))
	for i := range c.Callers {
		known[i] = identity.Caller(c.Callers[i].Identity)
	}
	state, err := identity.NewState(known, tls)
	if err != nil {
		errs = append(errs, within(c.Path, err)...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.callers = c.Callers != nil
	s.access = access.Config{
		Anyone:       !s.callers,
		Rate:         quota.Rate(c.Limits.Rate),
		Destinations: destinations(&c.Limits.Destinations),
		Reflection:   reflectionOf(c.Reflection),
		AuditProbes:  c.Audit == config.AuditProbes,
	}
	if s.callers || len(tls) > 0 {
		s.access.Identity = state
	}
	for i := range c.Callers {
		caller, err := callerOf(&c.Callers[i])
		if err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
		s.access.Callers = append(s.access.Callers, caller)
		s.rules += len(c.Callers[i].Allow) + len(c.Callers[i].Deny)
	}
	return nil
}

// loadTLS loads what the listeners of a file name, by their texts, and returns all that is wrong with it.
func loadTLS(path string, listen []config.Listener) (map[string]*identity.TLS, []error) {
	loaded := make(map[string]*identity.TLS)
	var errs []error
	for i := range listen {
		l := &listen[i]
		files := filesOf(l)
		if files == nil || files.Cert == "" || files.Key == "" { // which the file was told of
			continue
		}
		one, err := identity.LoadTLS(*files)
		if err != nil {
			errs = append(errs, within(fmt.Sprintf("%s:%d:%d", path, l.TLSAt.Line, l.TLSAt.Column), err)...)
			continue
		}
		loaded[l.Text] = one
	}
	return loaded, errs
}

// filesOf are the files that a listener's TLS is made of; nil: it has none.
func filesOf(l *config.Listener) *identity.TLSFiles {
	if l.TLS == nil {
		return nil
	}
	return &identity.TLSFiles{
		Cert: l.TLS.Cert, Key: l.TLS.Key, ClientCA: l.TLS.ClientCA, ClientCRL: l.TLS.ClientCRL, MinVersion: l.TLS.MinVersion,
	}
}

// within puts the place of what is wrong before each of the errors that err joins.
func within(place string, err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{fmt.Errorf("%s: %w", place, err)}
	}
	var placed []error
	for _, one := range joined.Unwrap() {
		placed = append(placed, within(place, one)...)
	}
	return placed
}

// callerOf compiles the rules of a caller, whose texts were read once already.
func callerOf(c *config.Caller) (access.Caller, error) {
	allow, err := parseRules(c.Allow)
	if err != nil {
		return access.Caller{}, err
	}
	deny, err := parseRules(c.Deny)
	if err != nil {
		return access.Caller{}, err
	}
	return access.Caller{
		Name:        c.Name,
		Rules:       policy.Compile(allow, deny),
		Rate:        quota.Rate(c.Limits.Rate),
		Outstanding: c.Limits.Outstanding,
		RPCs:        c.Limits.Streams,
	}, nil
}

func parseRules(texts []config.Rule) ([]policy.AccessRule, error) {
	rules := make([]policy.AccessRule, len(texts))
	for i, text := range texts {
		rule, err := policy.ParseRule(text.Text)
		if err != nil {
			return nil, err
		}
		rules[i] = rule
	}
	return rules, nil
}

func destinations(d *config.DestinationLimits) quota.DestinationLimits {
	return quota.DestinationLimits{
		PerAddress: quota.Rate(d.PerAddress), PerPrefix: quota.Rate(d.PerPrefix),
		IPv4Bits: d.IPv4Bits, IPv6Bits: d.IPv6Bits, Ports: d.Ports, Window: d.Window,
	}
}

func reflectionOf(r config.Reflection) access.Reflection {
	switch r {
	case config.ReflectionAnyone:
		return access.ByAnyone
	case config.ReflectionNone:
		return access.ByNobody
	default:
		return access.ByCallers
	}
}

// needsRestart returns what differs between s and next that a running service cannot change, in the words of the file.
func (s *settings) needsRestart(next *settings) []string {
	var keys []string
	differs := func(key string, is bool) {
		if is {
			keys = append(keys, key)
		}
	}
	sameListener := func(a, b listenAddr) bool {
		return a.text == b.text && a.mode == b.mode && (a.tls == nil) == (b.tls == nil)
	}
	differs("listen (but for the files of tls)", !slices.EqualFunc(s.listen, next.listen, sameListener))
	differs("insecure", s.insecure != next.insecure)
	differs("metrics_listen", metricsText(s) != metricsText(next))
	differs("name", s.name != next.name)
	differs("labels", !maps.Equal(s.labels, next.labels))
	differs("rate", s.rate != next.rate)
	differs("max_in_flight", s.maxInFlight != next.maxInFlight)
	differs("max_in_flight_per_address", s.maxPerAddress != next.maxPerAddress)
	differs("shards", s.shards != next.shards)
	differs("name_cache", s.nameCache != next.nameCache)
	differs("name_cache_failures", s.nameFailures != next.nameFailures)
	differs("stream_age", s.streamAge != next.streamAge)
	differs("drain_delay", s.drainDelay != next.drainDelay)
	differs("grace", s.grace != next.grace)
	differs("log_format", s.logJSON != next.logJSON)
	differs("callers, from some to none or from none to some", s.callers != next.callers)
	return keys
}

func metricsText(s *settings) string {
	if s.metricsListen == nil {
		return ""
	}
	return s.metricsListen.text
}

// warn tells what the file has that does nothing.
func (s *settings) warn(ctx context.Context, log *slog.Logger) {
	if len(s.warnings) == 0 {
		return
	}
	for _, text := range errorTexts(s.warnings) {
		log.LogAttrs(ctx, slog.LevelWarn, "configuration warning", slog.String("warning", text))
	}
}

// summary is what the log says of what was loaded.
func (s *settings) summary() slog.Attr {
	attrs := []any{slog.String("file", s.config), slog.Int("callers", len(s.access.Callers)), slog.Int("rules", s.rules)}
	if !s.certificateEnd.IsZero() {
		attrs = append(attrs, slog.Time("certificate_not_after", s.certificateEnd))
	}
	return slog.Group("config", attrs...)
}

// allTexts returns each of the errors that err holds.
func allTexts(err error) []string {
	var texts []string
	switch e := err.(type) {
	case usageError:
		return allTexts(e.error)
	case *config.Faulty:
		for _, one := range e.Errors {
			texts = append(texts, one.Error())
		}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			texts = append(texts, allTexts(one)...)
		}
	default:
		return strings.Split(err.Error(), "\n")
	}
	return texts
}

// errorTexts returns the errors that err holds, as many as a log should have lines for.
func errorTexts(err error) []string {
	const most = 100
	all := allTexts(err)
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return all
}
