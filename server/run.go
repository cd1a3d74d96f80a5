package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/internal/connlimit"
)

// lastGrace is how long RPCs may still take after Drain, before their connections are closed: time for streams to answer what
// they have read (drainTime) and to tell their callers, and for Checks that are nearly done.
const lastGrace = 5 * time.Second

// Run serves ShakerService, grpc.health.v1 (for "" and "tcpshaker.v1.ShakerService") and reflection (v1 and v1alpha) on all
// of listeners, which it closes, until ctx ends. Then it shuts down in this order, and returns nil:
//
//  1. grpc.health.v1 says NOT_SERVING, in running Watches too. For Config.DrainDelay new RPCs are
//     still served;
//  2. no new connection or RPC is taken (GracefulStop);
//  3. after grace, which may be 0, or when no RPC of ShakerService runs any more, running streams of all services end with
//     UNAVAILABLE, a StreamCheck when it has answered what it has read, or after 4 s (Drain);
//  4. after 5 s more, what still runs is canceled (Stop). Its line in the log has UNAVAILABLE.
//
// From step 2 on it goes on to the next step early where nothing runs any more. When Run returns no
// RPC uses the Prober, which may be closed then. An error is that of a listener that failed, or that
// there was none. It ends the service in the same order, without or within the delay of step 1. Call
// it once.
func (s *Server) Run(ctx context.Context, grace time.Duration, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("server: no listener")
	}
	g := grpc.NewServer(s.Options()...)
	status := health.NewServer()
	status.SetServingStatus(tcpshakerv1.ShakerService_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	s.Register(g)
	healthpb.RegisterHealthServer(packedGuard{readRegistrar{g, s}}, status)
	reflection.Register(g) // streams alone
	s.methods.Store(allMethods(g.GetServiceInfo()))
	s.registered(g)

	limit := connlimit.New(s.limits.Connections, s.limits.ConnectionsPerPeer)
	if s.access.Closed() {
		limit.Vouching() // see admit
	}
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			err := g.Serve(greetedListener{limit.Wrap(l), s})
			if errors.Is(err, grpc.ErrServerStopped) { // ctx had ended before this goroutine ran
				err = nil
			}
			if err != nil {
				err = fmt.Errorf("server: %v: %w", l.Addr(), err)
			}
			served <- err
		}()
	}

	var err error
	running := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-served: // before a stop that is always an error
		running--
	}
	s.log.Info("shutting down", slog.Duration("drain_delay", s.drainDelay), slog.Duration("grace", grace))
	status.Shutdown()
	if err == nil && s.drainDelay > 0 {
		select {
		case <-time.After(s.drainDelay):
			s.log.Info("draining")
		case err = <-served:
			running--
		}
	}
	s.stop(g, grace)
	for range running {
		err = errors.Join(err, <-served)
	}
	return err
}

// stop ends g in the order that Run promises, and returns when no handler runs any more.
func (s *Server) stop(g *grpc.Server, grace time.Duration) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		g.GracefulStop()
	}()
	s.awaitStreams(gone, grace)
	s.Drain()
	if within(gone, lastGrace) {
		return
	}
	s.log.Warn("closing connections with RPCs that did not end")
	s.stopped.Store(true)
	g.Stop()
	<-gone
}

// awaitStreams returns when g is gone, when grace has passed, or when no RPC of ShakerService runs any more: what
// else runs then are other services' streams, such as health watches, which would last for ever.
func (s *Server) awaitStreams(gone <-chan struct{}, grace time.Duration) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(grace); time.Now().Before(end); {
		select {
		case <-gone:
			return
		case <-look.C:
			if s.working.Load() == 0 {
				return
			}
		}
	}
}

// within reports whether done is closed before d has passed.
func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
