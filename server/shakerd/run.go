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

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// usageError is an error of whoever wrote the command line.
type usageError struct{ error }

// run is the command without its process: it serves until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case err == nil && o.version:
		fmt.Fprintln(stdout, versionLine())
		return exitOK
	case err == nil:
		err = serve(ctx, o, newLogger(o, stderr))
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "shakerd: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintln(stderr, "shakerd -h tells the flags")
		return exitUsage
	}
	return exitFailure
}

// serve puts the rooms together, and takes them apart in the opposite order.
func serve(ctx context.Context, o *options, log *slog.Logger) (err error) {
	endpoints, err := endpointsOf(ctx, o.listen, resolve.Default())
	if err != nil {
		return err
	}
	shared := anyShared(endpoints)
	if shared != nil && !o.insecure {
		return usageError{shared.refusal()}
	}
	metricsAt, err := metricsEndpoint(ctx, o.metricsListen, resolve.Default(), endpoints)
	if err != nil {
		return err
	}
	probed := policy.New(policy.Config{Shared: shared != nil})
	if err := probed.OwnAddrsError(); err != nil && shared != nil {
		return fmt.Errorf("this host's own addresses, which must not be probed for others, are unknown: %w", err)
	}

	fds := budgetOf(raiseOpenFiles(), metricsAt != nil)
	engine, err := shaker.New(shaker.Config{
		Shards: o.shards, MaxInFlight: cmp.Or(o.maxInFlight, maxProbes), ReservedDescriptors: fds.reserved, Rate: o.rate,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()

	config := server.Config{
		Prober:  server.FromEngine(engine),
		Policy:  probed,
		Name:    o.name,
		Labels:  o.labels,
		Version: version(),
		Limits:  server.Limits{Lookups: fds.lookups, Connections: fds.connections},
		Logger:  log,
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
	listeners, err := listenAll(ctx, endpoints)
	if err != nil {
		return err
	}
	logStart(ctx, log, o, shared, listeners, scrapes, engine.Stats())
	err = scrapes.run(ctx, log, func(ctx context.Context) error { return s.Run(ctx, o.grace, listeners...) })
	log.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return err
}

// logStart says where and how the service runs, and what an operator should know about that.
func logStart(
	ctx context.Context, log *slog.Logger, o *options, shared *endpoint, listeners []net.Listener, scrapes *scrapes,
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
		slog.String("in_flight_detail", stats.MaxInFlightDetail),
		slog.Float64("rate", stats.Rate),
		slog.String("version", version()))
	if shared != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "open to other machines: callers are neither authenticated nor encrypted, and "+
			"whoever reaches this service can probe what this host can reach", slog.String("listen", shared.text))
	}
	if stats.Mode == shaker.Fresh {
		log.LogAttrs(ctx, slog.LevelWarn, "the engine uses a new socket for each handshake, at one and a half times the cost",
			slog.String("why", stats.ModeDetail))
	}
	if b := stats.InFlightBound; stats.MaxInFlight < o.maxInFlight {
		leaver := "RLIMIT_NOFILE leaves"
		if b.Memory < b.Descriptors {
			leaver = "half of tcp_mem's pressure threshold"
		}
		log.LogAttrs(ctx, slog.LevelWarn, "--max-in-flight is more than "+leaver,
			slog.Int("asked", o.maxInFlight), slog.Int("in_force", stats.MaxInFlight), slog.String("why", stats.MaxInFlightDetail))
	}
}

func newLogger(o *options, w io.Writer) *slog.Logger {
	handler := &slog.HandlerOptions{Level: o.logLevel}
	if o.logJSON {
		return slog.New(slog.NewJSONHandler(w, handler))
	}
	return slog.New(slog.NewTextHandler(w, handler))
}
