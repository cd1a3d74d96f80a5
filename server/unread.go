package server

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// This file follows RPCs that gRPC itself ends: their message does not come or cannot be read, or
// there is no such method. Such an RPC has its line in the log, with the code that its caller got.

// passage is one RPC on its way from its headers to its handler.
type passage struct {
	method    string
	admission *access.Admission
	began     time.Time
	ctx       context.Context // ends with the RPC

	known   atomic.Bool // gRPC has looked for its method
	begun   atomic.Bool // there is such a method; an end will be reported
	reached atomic.Bool // by its handler, which sees to the line
	logged  atomic.Bool
}

type passageKey struct{}

// passageOf returns the passage of the RPC of ctx. Without Options there is none, and it returns
// nil.
func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// over returns the status of a passage whose RPC is over before gRPC has begun it.
func (p *passage) over() *status.Status {
	path, absolute := strings.CutPrefix(p.method, "/")
	switch {
	case !absolute || !strings.Contains(path, "/"):
		return status.New(codes.Unimplemented, "malformed method name")
	case p.known.Load():
		return status.New(codes.Unimplemented, "there is no such method")
	default:
		return status.FromContextError(p.ctx.Err())
	}
}

// rpcFollower is the stats.Handler that follows RPCs, and gives each connection its connContext if
// RPCs can be refused by their headers.
type rpcFollower struct{ server *Server }

// TagConn implements stats.Handler.
func (f rpcFollower) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	if !f.server.access.Closed() {
		return ctx
	}
	return &connContext{Context: ctx, done: make(chan struct{})}
}

// TagRPC implements stats.Handler.
func (rpcFollower) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (rpcFollower) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC implements stats.Handler. gRPC calls it for one RPC in one goroutine: when it has read
// the headers, when it has found the method, and when the RPC has its status.
func (f rpcFollower) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event := event.(type) {
	case *stats.InHeader:
		if p := passageOf(ctx); p != nil {
			p.known.Store(true)
		}
	case *stats.Begin:
		if p := passageOf(ctx); p != nil {
			p.begun.Store(true)
		}
	case *stats.End:
		if p := passageOf(ctx); p != nil && !p.reached.Load() {
			f.server.auditUnreadRPC(ctx, p, status.Convert(event.Error))
		}
	}
}

// auditUnreadRPC writes the line of an RPC that was let in and came to no handler, once. It is the
// caller's doing, so its level is at most WARN.
func (s *Server) auditUnreadRPC(ctx context.Context, p *passage, got *status.Status) {
	if p.logged.Swap(true) {
		return
	}
	level := min(levelOf(got.Code(), p.method), slog.LevelWarn)
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs, ok := s.tell(p.admission.Caller())
	if !ok {
		return
	}
	_, id := withRequestID(ctx)
	s.log.LogAttrs(ctx, level, "rpc", append(attrs,
		slog.String("request_id", id),
		slog.String("caller", p.admission.Caller()),
		slog.String("peer", peerText(ctx)),
		slog.String("method", shown(p.method)),
		slog.String("code", got.Code().String()),
		slog.Duration("duration", time.Since(p.began)),
		slog.String("error", shown(got.Message())))...)
}

// readStream notes why a message of a stream could not be read. gRPC has given that status to the
// caller by then, and has ended the RPC's context; a handler that sees the context first takes its
// caller to be gone.
type readStream struct {
	grpc.ServerStream

	mu  sync.Mutex // held while a message is read; protects err
	err error
}

// RecvMsg implements grpc.ServerStream.
func (r *readStream) RecvMsg(m any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.ServerStream.RecvMsg(m)
	if err != nil && err != io.EOF && !ended(err) && r.err == nil {
		r.err = err
	}
	return err
}

// outcome returns the status that the caller has: the one for a message that could not be read, if
// there was one, and else err, the handler's.
func (r *readStream) outcome(err error) (got error, unread bool) {
	p := passageOf(r.Context())
	if err == nil || p == nil || p.ctx.Err() == nil {
		return err, false
	}
	r.mu.Lock() // a read that is under way ends with the RPC's context
	defer r.mu.Unlock()
	if r.err == nil {
		return err, false
	}
	return r.err, true
}
