package server

import (
	"context"
	"errors"
	"strings"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/internal/connlimit"
)

type admissionKey struct{}

// admit decides about each RPC by its headers, before a byte of its messages is read: those who may not ask cannot make the
// service keep what they send. gRPC calls it in the goroutine that reads the connection.
func (s *Server) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	admission, err := s.access.Admit(ctx, info.FullMethodName, peerCaller(ctx), info.Header.Get("authorization"))
	if err != nil {
		refused, ok := errors.AsType[*access.Refusal](err)
		if !ok {
			refused = &access.Refusal{Detail: err.Error()}
		}
		status := errRefused(refused)
		s.auditRefused(ctx, info, refused, status)
		return nil, status
	}
	if conn := admission.Conn(); conn != nil {
		connlimit.Vouch(conn)
	}
	ctx = context.WithValue(ctx, admissionKey{}, admission)
	context.AfterFunc(ctx, admission.Leave) // where the handler is never reached
	return ctx, nil
}

// admission returns that of the RPC of ctx. Where a Server is used without its Options there is none: then the RPC is admitted
// here, if nobody is asked who they are, and else refused.
func (s *Server) admission(ctx context.Context) (*access.Admission, error) {
	if a, ok := ctx.Value(admissionKey{}).(*access.Admission); ok {
		return a, nil
	}
	if s.access.Closed() {
		return nil, errRefused(&access.Refusal{Kind: access.Unauthenticated})
	}
	return s.access.Admit(ctx, "", peerCaller(ctx), nil)
}

// admittedUnary keeps a unary RPC to what its caller was let in for, as long as it is.
func (s *Server) admittedUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	a, err := s.admission(ctx)
	if err != nil {
		return nil, err
	}
	defer a.Leave()
	held, release := a.Hold(ctx)
	defer release()
	if a.Stranger() && !forStrangers(req) {
		return nil, errRefused(&access.Refusal{Kind: access.Unauthenticated})
	}
	resp, err := handler(held, req)
	if err != nil && held.Err() != nil && ctx.Err() == nil {
		return nil, errEnded(held)
	}
	if list, ok := resp.(*healthpb.HealthListResponse); ok && a.Stranger() {
		for name := range list.GetStatuses() {
			if !ownService(name) {
				delete(list.Statuses, name)
			}
		}
	}
	return resp, err
}

// admittedStream is admittedUnary for streams. The handlers of other services, such as health watches, know nothing of being
// let in, and may be inside Recv: they run beside, and end with their stream when this returns.
func (s *Server) admittedStream(
	srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	a, err := s.admission(stream.Context())
	if err != nil {
		return err
	}
	defer a.Leave()
	held, release := a.Hold(stream.Context())
	defer release()
	wrapped := &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: held}
	if isOurs(info.FullMethod) {
		return handler(srv, wrapped)
	}
	var inner grpc.ServerStream = wrapped
	if a.Stranger() {
		inner = strangersStream{wrapped}
	}
	return untilEnd(held, nil, func() error { return handler(srv, inner) })
}

// untilEnd runs handler until it returns, ctx ends or drained is closed.
func untilEnd(ctx context.Context, drained <-chan struct{}, handler func() error) error {
	done := make(chan error, 1)
	go func() { done <- handler() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errEnded(ctx)
	case <-drained:
		return errDraining()
	}
}

// strangersStream reads what callers without an identity send to a health watch.
type strangersStream struct{ grpc.ServerStream }

// RecvMsg refuses what strangers may not ask for.
func (s strangersStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if !forStrangers(m) {
		return errRefused(&access.Refusal{Kind: access.Unauthenticated})
	}
	return nil
}

// forStrangers reports whether a caller without an identity may send m: of grpc.health.v1 it may ask about the service itself.
func forStrangers(m any) bool {
	asked, ok := m.(*healthpb.HealthCheckRequest)
	return !ok || ownService(asked.GetService())
}

// ownService reports whether a name of grpc.health.v1 is the service itself.
func ownService(name string) bool {
	return name == "" || name == tcpshakerv1.ShakerService_ServiceDesc.ServiceName
}

func isOurs(method string) bool {
	return strings.HasPrefix(method, "/"+tcpshakerv1.ShakerService_ServiceDesc.ServiceName+"/")
}

// forever is longer than any RPC.
const forever = 10 * 365 * 24 * time.Hour

// pay charges a Check for all that it can come to, before its first SYN, and waits until it may begin. The session's close gives
// back what is not used.
func (s *session) pay(targets []string, o *options) error {
	if got := s.view.Take(len(targets)); got < len(targets) {
		s.view.Add(-got)
		_, limit, _ := s.view.CallerLimits()
		return errRefused(s.view.Refuse(access.TooManyTargets, limit, time.Second))
	}
	s.counted = len(targets)
	if !s.view.Rated() {
		return nil
	}
	cost := 0
	for _, text := range targets {
		cost += price(text, o)
	}
	most := time.Duration(forever)
	if deadline, ok := s.work.Deadline(); ok {
		most = time.Until(deadline)
	}
	wait, err := s.view.Charge(cost, most)
	if err != nil {
		refused, _ := errors.AsType[*access.Refusal](err)
		return errRefused(refused)
	}
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		err = errEnded(s.ctx)
	case <-s.server.draining:
		err = errDraining()
	}
	s.view.Return(cost)
	return err
}

// price is how many handshakes a target can come to.
func price(text string, o *options) int { return o.attempts * addressesAtMost(text, o) }
