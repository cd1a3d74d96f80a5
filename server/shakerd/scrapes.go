package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"google.golang.org/grpc"

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/metrics"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// metricsEndpoint returns where --metrics-listen wants /metrics; nil: nowhere. --insecure does not open it to other machines: that
// flag speaks of who may ask for handshakes, and nobody can be told apart who asks for metrics. The places of taken are the service's own.
func metricsEndpoint(ctx context.Context, a *listenAddr, resolver resolve.Resolver, taken []endpoint) (*endpoint, error) {
	if a == nil {
		return nil, nil
	}
	e, err := a.endpoint(ctx, resolver)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen %s: %w", a.text, err)
	}
	if !e.loopback {
		return nil, usageError{fmt.Errorf("--metrics-listen %s: open to other machines; until callers can be authenticated, "+
			"metrics are served on a loopback address or a unix socket only, with --insecure as well", a.text)}
	}
	for i := range taken {
		if e.clashes(&taken[i]) {
			return nil, usageError{fmt.Errorf("--metrics-listen %s: --listen %s is for gRPC; metrics need a place of their own",
				a.text, taken[i].text)}
		}
	}
	return &e, nil
}

// scrapes is /metrics beside the service. nil is a service without: the methods then do nothing of their own.
type scrapes struct {
	metrics  *metrics.Metrics
	listener net.Listener
}

// listenScrapes listens on e, for what run serves later. nil makes nil.
func listenScrapes(ctx context.Context, e *endpoint, stats func() shaker.Stats) (*scrapes, error) {
	if e == nil {
		return nil, nil
	}
	l, err := e.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen %s: %w", e.text, err)
	}
	return &scrapes{metrics.New(version(), stats), l}, nil
}

// close is for a service that never came to run.
func (s *scrapes) close() {
	if s != nil {
		s.listener.Close()
	}
}

// watch has the RPCs of c's server counted.
func (s *scrapes) watch(c *server.Config) {
	if s == nil {
		return
	}
	c.UnaryInterceptors = []grpc.UnaryServerInterceptor{s.metrics.Unary()}
	c.StreamInterceptors = []grpc.StreamServerInterceptor{s.metrics.Stream()}
	c.Registered = s.metrics.Registered
}

// tell adds what is decided of callers, what becomes of the configuration, and how many lines the log lacks.
func (s *scrapes) tell(decided func() access.Stats, reloads func() metrics.Reloads, dropped func() uint64) {
	if s == nil {
		return
	}
	s.metrics.Access(decided)
	s.metrics.Reloads(reloads)
	s.metrics.Log(dropped)
}

// address is what the log says of where /metrics is; nothing, where it is nowhere.
func (s *scrapes) address() slog.Attr {
	if s == nil {
		return slog.Attr{}
	}
	return slog.String("metrics", addressOf(s.listener))
}

// run runs the service, and serves /metrics for as long as that takes: while it drains as well. An error of one ends both.
func (s *scrapes) run(ctx context.Context, log *slog.Logger, service func(context.Context) error) error {
	if s == nil {
		return service(ctx)
	}
	scraped, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() {
		defer end()
		ended <- s.metrics.Serve(scraped, s.listener, log)
	}()
	err := service(ctx)
	stop()
	return errors.Join(err, <-ended)
}
