package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// usageError is an error of whoever wrote the command line.
type usageError struct{ error }

// command is shakerd without its process. Make one with newCommand, and run it once.
type command struct {
	stdout, stderr io.Writer
	log            *logQueue // before stderr
}

func newCommand(stdout, stderr io.Writer) *command {
	return &command{stdout: stdout, stderr: stderr, log: newLogQueue(stderr)}
}

// run serves until ctx ends, and returns the exit code.
func (c *command) run(ctx context.Context, args []string) int {
	s, err := loadSettings(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		err = c.print(ctx, usage)
	case err != nil:
	case s.version:
		err = c.print(ctx, versionLine()+"\n")
	case s.checkConfig:
		var text strings.Builder
		for _, w := range s.warnings {
			fmt.Fprintf(&text, "warning: %s\n", w)
		}
		fmt.Fprintf(&text, "%s: OK\n", s.config)
		err = c.print(ctx, text.String())
	default:
		c.log.logJSON.Store(s.logJSON)
		level := new(slog.LevelVar)
		level.Set(s.logLevel)
		err = serve(ctx, args, s, newLogger(s.options, level, c.log), level, c.log.Dropped)
	}
	if s != nil && s.checkConfig {
		c.end(ctx, err)
	} else {
		c.end(ended, err)
	}
	switch {
	case err == nil:
		return exitOK
	case isUsage(err):
		return exitUsage
	default:
		return exitFailure
	}
}

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// end writes the rest of the log, and then err. It takes at most flushTime from the end of ctx on.
func (c *command) end(ctx context.Context, err error) {
	flush, cancel := flushContext(ctx)
	defer cancel()
	if c.log.Close(flush) && err != nil {
		writtenBy(flush, func() { c.tell(err) })
	}
}

// errNotPrinted is the error of print if nobody reads.
var errNotPrinted = errors.New("nobody reads standard output")

// print writes text to standard output. It takes at most flushTime from the end of ctx on.
func (c *command) print(ctx context.Context, text string) error {
	flush, cancel := flushContext(ctx)
	defer cancel()
	if !writtenBy(flush, func() { fmt.Fprint(c.stdout, text) }) {
		return errNotPrinted
	}
	return nil
}

// flushContext returns a context that ends flushTime after ctx. cancel must be called.
func flushContext(ctx context.Context) (flush context.Context, cancel context.CancelFunc) {
	flush, end := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(flushTime):
			end()
		case <-flush.Done():
		}
	})
	return flush, func() {
		stop()
		end()
	}
}

// writtenBy reports whether write returned before ctx ended. If not, its goroutine is left behind.
func writtenBy(ctx context.Context, write func()) bool {
	written := make(chan struct{})
	go func() {
		defer close(written)
		write()
	}()
	select {
	case <-written:
		return true
	case <-ctx.Done():
		return false
	}
}

// tell writes err to standard error.
func (c *command) tell(err error) {
	for _, text := range allTexts(err) {
		fmt.Fprintf(c.stderr, "shakerd: %s\n", text)
	}
	if isUsage(err) {
		fmt.Fprintln(c.stderr, "shakerd -h tells the flags")
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

// serve puts the rooms together, and takes them apart in the opposite order. dropped counts the lines that log lacks.
func serve(
	ctx context.Context, args []string, o *settings, log *slog.Logger, level *slog.LevelVar, dropped func() uint64,
) (err error) {
	endpoints, err := endpointsOf(ctx, o.listen, resolve.Default())
	if err != nil {
		return err
	}
	shared := anyShared(endpoints)
	if e := refused(endpoints, o.callers); e != nil && !o.insecure {
		return usageError{e.refusal()}
	}
	metricsAt, err := metricsEndpoint(ctx, o.metricsListen, resolve.Default(), endpoints)
	if err != nil {
		return err
	}
	probed := policy.New(policy.Config{Shared: shared != nil})
	if err := probed.OwnAddrsError(); err != nil && (shared != nil || o.callers) {
		return fmt.Errorf("this host's own addresses, which must not be probed for others, are unknown: %w", err)
	}

	fds := budgetOf(raiseOpenFiles(), metricsAt != nil)
	engine, err := shaker.New(shaker.Config{
		Shards: o.shards, MaxInFlight: cmp.Or(o.maxInFlight, maxProbes), MaxInFlightPerAddress: o.maxPerAddress,
		ReservedDescriptors: fds.reserved, Rate: o.rate,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()

	rules := o.access
	rules.Policy = probed
	control, err := access.New(rules)
	if err != nil {
		return err
	}
	config := server.Config{
		Prober:  server.FromEngine(engine),
		Access:  control,
		Name:    o.name,
		Labels:  o.labels,
		Version: version(),
		Limits:  server.Limits{Lookups: fds.lookups, Connections: fds.connections},
		Logger:  log,

		DrainDelay: o.drainDelay,

		NameCache:         orOff(o.nameCache),
		NameCacheFailures: orOff(o.nameFailures),
		StreamAge:         orOff(o.streamAge),
	}
	scrapes, err := listenScrapes(ctx, metricsAt, engine.Stats)
	if err != nil {
		return err
	}
	defer scrapes.close()
	scrapes.watch(&config)
	s, err := server.New(config)
	if err != nil {
		return err
	}
	listeners, err := listenAll(ctx, endpoints, control.Gate())
	if err != nil {
		return err
	}
	logStart(ctx, log, o, shared, listeners, scrapes, engine.Stats())
	o.warn(ctx, log)
	stopWarnings := warnHourly(ctx, log, o, refused(endpoints, o.callers))
	defer stopWarnings()
	reloads := startReloads(ctx, args, o, control, level, log)
	defer reloads.stop()
	scrapes.tell(control.Stats, reloads.Stats, dropped)
	notify(ctx, log, daemon.SdNotifyReady)
	err = scrapes.run(ctx, log, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { notify(ctx, log, daemon.SdNotifyStopping) })
		return s.Run(ctx, o.grace, listeners...)
	})
	log.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return err
}

// orOff returns a duration for a field of server.Config that means its default if it is 0.
func orOff(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// logStart says where and how the service runs, and what an operator should know about that.
func logStart(
	ctx context.Context, log *slog.Logger, o *settings, shared *endpoint, listeners []net.Listener, scrapes *scrapes,
	stats shaker.Stats,
) {
	addresses := make([]string, len(listeners))
	for i, l := range listeners {
		addresses[i] = addressOf(l)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "serving",
		slog.Any("listen", addresses),
		scrapes.address(),
		slog.String("engine", stats.Mode.String()),
		slog.String("why", stats.ModeDetail),
		slog.Int("shards", stats.Shards),
		slog.Int("max_in_flight", stats.MaxInFlight),
		slog.Int("max_in_flight_per_address", stats.MaxInFlightPerTarget),
		slog.String("in_flight_detail", stats.MaxInFlightDetail),
		slog.Float64("rate", stats.Rate),
		slog.String("version", version()))
	if o.config != "" {
		log.LogAttrs(ctx, slog.LevelInfo, "configuration loaded", slog.String("why", "start"), o.summary())
	}
	if stats.Mode == shaker.Fresh {
		log.LogAttrs(ctx, slog.LevelWarn, "the engine uses a new socket for each handshake, at one and a half times the cost",
			slog.String("why", stats.ModeDetail))
	}
	warnOfAddressBound(ctx, log, o, &stats)
	warnOfInFlightBound(ctx, log, o, &stats, scrapes != nil)
}

// warnOfInFlightBound warns if fewer handshakes may be in flight than were asked for, or if descriptors leave few.
func warnOfInFlightBound(ctx context.Context, log *slog.Logger, o *settings, stats *shaker.Stats, scraped bool) {
	bound := stats.InFlightBound
	byDescriptors := bound.Descriptors <= bound.Memory
	var text string
	var attrs []slog.Attr
	wanted := o.maxInFlight
	switch {
	case stats.MaxInFlight < wanted && byDescriptors:
		text = "--max-in-flight is more than RLIMIT_NOFILE leaves"
	case stats.MaxInFlight < wanted:
		text = "--max-in-flight is more than half of tcp_mem's pressure threshold"
	case wanted == 0 && byDescriptors && stats.MaxInFlight < fewProbes:
		text = "RLIMIT_NOFILE leaves few handshakes in flight"
	default:
		return
	}
	if wanted > 0 {
		attrs = append(attrs, slog.Int("asked", wanted))
	}
	attrs = append(attrs, slog.Int("in_force", stats.MaxInFlight), slog.String("why", stats.MaxInFlightDetail))
	if byDescriptors {
		files := enoughFDs(cmp.Or(wanted, maxProbes), scraped)
		attrs = append(attrs, slog.String("do",
			fmt.Sprintf("raise RLIMIT_NOFILE to %d (ulimit -n %[1]d, or LimitNOFILE=%[1]d in the systemd unit)", files)))
	}
	log.LogAttrs(ctx, slog.LevelWarn, text, attrs...)
}

// warnOfAddressBound warns if fewer handshakes may be in flight to one ip:port than were asked for.
func warnOfAddressBound(ctx context.Context, log *slog.Logger, o *settings, stats *shaker.Stats) {
	if o.maxPerAddress == 0 || stats.MaxInFlightPerTarget == o.maxPerAddress {
		return
	}
	why := "--max-in-flight-per-address is more than half the range of local ports"
	if stats.MaxInFlightPerTarget > o.maxPerAddress {
		why = "--max-in-flight-per-address is less than one for each shard"
	}
	log.LogAttrs(ctx, slog.LevelWarn, why, slog.Int("asked", o.maxPerAddress), slog.Int("in_force", stats.MaxInFlightPerTarget))
}
