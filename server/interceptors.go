package server

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// unary and stream are the interceptors in pairs, the outermost first:
//
//	reach ─▶ Config's ─▶ counted ─▶ request id ─▶ audit ─▶ admitted ─▶ recovery ─▶ handler
//
// Reach is what the caller's count of RPCs needs to know.
//
// Config's, such as metrics, are told of all that a caller gets but a refusal by its headers (Server.admit), which no
// interceptor sees. Counted is what a drain needs to know.
//
// Admitted ends the streams of other services in a drain. It stands inside of audit, so that the log has the status that the
// caller gets.
//
// Audit stands outside of recovery, so that it sees the INTERNAL that recovery makes of a panic, and inside of the request
// id, so that it can tell it.
func (s *Server) unary() []grpc.UnaryServerInterceptor {
	return slices.Concat([]grpc.UnaryServerInterceptor{s.reachUnary}, s.outerUnary, []grpc.UnaryServerInterceptor{
		s.counted,
		unaryRequestID,
		s.auditUnary,
		s.admittedUnary,
		recovery.UnaryServerInterceptor(recovery.WithRecoveryHandlerContext(s.panicked)),
	})
}

func (s *Server) stream() []grpc.StreamServerInterceptor {
	return slices.Concat([]grpc.StreamServerInterceptor{s.reachStream}, s.outerStream, []grpc.StreamServerInterceptor{
		s.countedStream,
		streamRequestID,
		s.auditStream,
		s.admittedStream,
		recovery.StreamServerInterceptor(recovery.WithRecoveryHandlerContext(s.panicked)),
	})
}

// counted counts unary RPCs as under way; those of other services too, which are over at once.
func (s *Server) counted(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	s.working.Add(1)
	defer s.working.Add(-1)
	return handler(ctx, req)
}

// countedStream counts StreamChecks as under way. A drain ends the streams of other services; see admittedStream.
func (s *Server) countedStream(
	srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	if isOurs(info.FullMethod) {
		s.working.Add(1)
		defer s.working.Add(-1)
	}
	return handler(srv, stream)
}

// panicked logs a panic with its stack and returns what the caller is told of it: that there was a fault, and nothing else.
func (s *Server) panicked(ctx context.Context, p any) error {
	s.log.LogAttrs(ctx, slog.LevelError, "panic",
		slog.String("request_id", requestID(ctx)),
		slog.Any("panic", p),
		slog.String("stack", string(debug.Stack())))
	return errInternal()
}

// panickedInTap is panicked where nothing stands around that would recover from a panic of the log's own.
func (s *Server) panickedInTap(ctx context.Context, p any) (err error) {
	defer func() {
		if recover() != nil {
			err = errInternal()
		}
	}()
	return s.panicked(ctx, p)
}

// recovered, deferred, does for a goroutine of our own what recovery does for the handler's: report gets the status.
func (s *Server) recovered(ctx context.Context, report func(error)) {
	if p := recover(); p != nil {
		report(s.panicked(ctx, p))
	}
}

// refused returns the status of an RPC whose probes the engine did not accept. A closed engine is part of shutting down;
// anything else means that we asked for what cannot be probed, a fault of ours.
func (s *Server) refused(ctx context.Context, err error) error {
	if errors.Is(err, shaker.ErrClosed) {
		return errDraining()
	}
	s.log.LogAttrs(ctx, slog.LevelError, "probes refused",
		slog.String("request_id", requestID(ctx)), slog.Any("error", err))
	return errInternal()
}
