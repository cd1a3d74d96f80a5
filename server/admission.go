package server

import (
	"context"
	"errors"
	"strings"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/internal/connlimit"
)

// admit decides about each RPC by its headers, before a byte of its messages is read: those who may not ask cannot make the
// service keep what they send. gRPC calls it in the goroutine that reads the connection, where a panic would end the process.
func (s *Server) admit(ctx context.Context, info *tap.Info) (admitted context.Context, err error) {
	conn := connContextOf(ctx)
	var admission *access.Admission
	defer func() {
		if p := recover(); p != nil {
			admitted, err = nil, s.panickedInTap(ctx, p)
			if admission != nil {
				admission.Leave()
			}
		}
		if err != nil {
			conn.endNewest()
		}
	}()
	admission, err = s.access.Admit(ctx, info.FullMethodName, peerCaller(ctx), info.Header.Get("authorization"))
	if err != nil {
		refused := refusalOf(err)
		if refused.Caller != "" { // known, but one call too many
			vouch(ctx, refused.Caller)
		}
		return nil, s.refuseHeaders(ctx, info, refused)
	}
	if caller := admission.Caller(); caller != "" {
		vouch(ctx, caller)
	}
	limited, cancel := admission.Limit(ctx)
	if refused, ok := context.Cause(limited).(*access.Refusal); ok { // its time is over already
		cancel()
		admission.Leave()
		return nil, s.refuseHeaders(ctx, info, refused)
	}
	conn.letIn()
	p := &passage{Context: limited, method: info.FullMethodName, admission: admission, began: time.Now(), rpc: ctx, server: s}
	context.AfterFunc(ctx, func() {
		defer s.survive(ctx)
		cancel()
		if admission.Abandon() {
			s.abandoned(p)
		}
	})
	return p, nil
}

// vouch says that the other end of the RPC's connection is known.
func vouch(ctx context.Context, caller string) {
	if conn, ok := identity.ConnOf(ctx); ok {
		connlimit.Vouch(conn.NetConn(), caller)
	}
}

// refuseHeaders returns the status of an RPC that Admit has refused, once it is logged.
func (s *Server) refuseHeaders(ctx context.Context, info *tap.Info, refused *access.Refusal) error {
	_, id := withRequestID(metadata.NewIncomingContext(ctx, info.Header))
	err := errRefusedAs(refused, id)
	s.auditRefused(ctx, info.FullMethodName, id, refused, err)
	return err
}

// refusalOf is err, which package access gives.
func refusalOf(err error) *access.Refusal {
	if refused, ok := errors.AsType[*access.Refusal](err); ok {
		return refused
	}
	return &access.Refusal{Detail: err.Error()}
}

// admission returns that of the RPC of ctx. Where a Server is used without its Options there is none: then the RPC is admitted
// here, if nobody is asked who they are, and else refused.
func (s *Server) admission(ctx context.Context) (*access.Admission, error) {
	if a := admissionOf(ctx); a != nil {
		return a, nil
	}
	if s.access.Closed() {
		return nil, errRefused(&access.Refusal{Kind: access.Unauthenticated})
	}
	return s.access.Admit(ctx, "", peerCaller(ctx), nil)
}

// reachUnary and reachStream count an RPC as under way until its handler has returned, with all that stands around it, however
// early its caller has gone away.
func (s *Server) reachUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if p := passageOf(ctx); p != nil {
		p.begun.Store(true)
		if !p.admission.Reach() {
			err := errEnded(ctx)
			s.auditUnreadRPC(p, status.Convert(err))
			return nil, err
		}
		defer p.admission.Leave()
		p.reached = true
	}
	return handler(ctx, req)
}

func (s *Server) reachStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if p := passageOf(stream.Context()); p != nil {
		p.begun.Store(true)
		if !p.admission.Reach() {
			err := errEnded(stream.Context())
			s.auditUnreadRPC(p, status.Convert(err))
			return err
		}
		defer p.admission.Leave()
		p.reached = true
	}
	return handler(srv, stream)
}

// admittedUnary keeps a unary RPC to what its caller was let in for, as long as it is.
func (s *Server) admittedUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	a, err := s.admission(ctx)
	if err != nil {
		return nil, err
	}
	if refused := a.Refusal(); refused != nil {
		return nil, errRefused(refused)
	}
	held, release := a.Hold(ctx)
	defer release()
	if a.Stranger() && !forStrangers(req) {
		return nil, errRefused(a.Refuse(access.Unauthenticated))
	}
	resp, err := handler(held, req)
	if err != nil && held.Err() != nil {
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
// let in or of a drain, and may be inside Recv: they run beside, and end with their stream when this returns. They end by
// themselves only when their callers do, which would hold up every shutdown. A StreamCheck retires by itself.
func (s *Server) admittedStream(
	srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) (err error) {
	a, err := s.admission(stream.Context())
	if err != nil {
		return err
	}
	if refused := a.Refusal(); refused != nil {
		return errRefused(refused)
	}
	held, release := a.Hold(stream.Context())
	defer release()
	read := &readStream{ServerStream: stream}
	defer func() { err, recordOf(stream.Context()).unread = read.outcome(err) }()
	wrapped := &middleware.WrappedServerStream{ServerStream: read, WrappedContext: held}
	if isOurs(info.FullMethod) {
		return handler(srv, wrapped)
	}
	var inner grpc.ServerStream = wrapped
	if a.Stranger() {
		var end context.CancelCauseFunc
		held, end = context.WithCancelCause(held)
		defer end(nil)
		inner = strangersStream{wrapped, a, end}
	}
	return s.untilEnd(held, func() error { return handler(srv, inner) })
}

// untilEnd runs handler until it returns, ctx ends or the service drains.
func (s *Server) untilEnd(ctx context.Context, handler func() error) error {
	done := make(chan error, 1)
	go func() {
		defer s.recovered(ctx, func(err error) { done <- err })
		done <- handler()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errEnded(ctx)
	case <-s.draining:
		return errDraining()
	}
}

// strangersStream reads what callers without an identity send to a health watch, or to reflection.
type strangersStream struct {
	grpc.ServerStream
	admission *access.Admission
	end       context.CancelCauseFunc // ends the stream
}

// RecvMsg refuses compressed messages and what strangers may not ask for, and ends the stream where
// it does not come in time.
func (s strangersStream) RecvMsg(m any) error {
	if err := refusePacked(s.Context()); err != nil {
		return err
	}
	defer s.admission.Expect(s.end)()
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if !forStrangers(m) {
		return errRefused(s.admission.Refuse(access.Unauthenticated))
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
	cost := 0
	for _, text := range targets {
		cost += price(text, o)
	}
	if err := s.view.Fits(len(targets), cost); err != nil {
		return s.refusal(err)
	}
	if !s.view.TakeAll(len(targets)) {
		_, limit, _ := s.view.CallerLimits()
		return errRefused(s.view.Refuse(access.TooManyTargets, limit, time.Second))
	}
	s.counted = len(targets)
	for {
		paid := s.view
		err := s.payOnce(cost)
		switch changed := s.look(); {
		case errors.Is(err, errReplaced), errors.Is(err, errOverdue):
		case err != nil || !changed:
			return err
		default:
			s.view.ReturnAll(paid, cost, cost)
		}
		if err := s.view.Fits(0, cost); err != nil { // a reload may have lowered the rates
			return s.refusal(err)
		}
	}
}

// Why what a Check has paid for is to be paid for again.
var (
	errReplaced = errors.New("another view is in force than the one that was waited under")
	errOverdue  = errors.New("what was paid for is overdue")
)

// errLate is returned by await if the time of the RPC is over, and its caller can still be
// answered.
var errLate = errors.New("the time of the RPC is over before its turn")

// payOnce charges cost under the view that there is, and waits until it may be used. With an error nothing stays charged, but for what
// is overdue.
func (s *session) payOnce(cost int) error {
	wait, err := s.view.ChargeCaller(cost, s.timeLeft())
	if err != nil {
		return s.refusal(err)
	}
	if err = s.pause(wait); err == nil {
		err = s.payInTurn(cost)
	}
	if err != nil && !errors.Is(err, errOverdue) {
		s.view.ReturnCaller(cost)
	}
	if errors.Is(err, errLate) {
		return errRefused(s.view.Late(cost))
	}
	return err
}

// payInTurn charges cost to the service, when it is this RPC's turn, and waits until it may be used.
func (s *session) payInTurn(cost int) error {
	due := time.Now()
	turn, over := s.view.Turn()
	for over != nil {
		if err := await(s, over); err != nil {
			return err
		}
		turn, over = s.view.Turn()
	}
	defer turn.End()
	if time.Since(due) > overdue {
		return errOverdue
	}
	wait, err := s.view.ChargeService(cost, s.timeLeft())
	if err != nil {
		return s.refusal(err)
	}
	if err := s.pause(wait); err != nil {
		s.view.ReturnAll(s.view, 0, cost)
		return err
	}
	return nil
}

// timeLeft is for how long the session may still work.
func (s *session) timeLeft() time.Duration {
	if deadline, ok := s.work.Deadline(); ok {
		return time.Until(deadline)
	}
	return forever
}

// pause waits for d, as await does.
func (s *session) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	return await(s, timer.C)
}

// await waits for something to come, or to be closed, unless before that the RPC ends, or its time, or the service, or another view is
// in force.
func await[T any](s *session, something <-chan T) error {
	select {
	case <-something:
		return nil
	case <-s.view.Replaced():
		return errReplaced
	case <-s.work.Done():
		if s.ctx.Err() == nil { // and this is the time to say so
			return errLate
		}
		return errEnded(s.ctx)
	case <-s.server.draining:
		return errDraining()
	}
}

// price is how many handshakes a target can come to.
func price(text string, o *options) int { return o.attempts * addressesAtMost(text, o) }
