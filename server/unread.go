package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
)

// This file follows RPCs that gRPC itself ends: their message does not come or cannot be read, or
// there is no such method. Such an RPC has its line in the log, with the code that its caller got.
// gRPC's stats events would tell that code, but they cost every RPC more than twenty allocations.
// So the code comes from the function that reads a message: readRegistrar has that of unary
// methods, and readStream that of streams. An RPC that reaches neither is left to abandoned.

// passage is one RPC on its way from its headers to its handler. It is the context that gRPC
// derives the handler's from.
type passage struct {
	context.Context // the RPC's own, limited by its admission

	method    string
	admission *access.Admission
	began     time.Time
	rpc       context.Context // ends with the RPC
	server    *Server

	begun  atomic.Bool // the handler's goroutine sees to the line
	logged atomic.Bool

	// The handler's goroutine alone uses what follows.
	reached bool            // by the interceptors, which see to the line
	read    func(any) error // reads the message of a unary RPC
	unread  error           // why read failed
}

type passageKey struct{}

// Value implements context.Context.
func (p *passage) Value(key any) any {
	if key == (passageKey{}) {
		return p
	}
	return p.Context.Value(key)
}

// passageOf returns the passage of the RPC of ctx. Without Options there is none, and it returns
// nil.
func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// admissionOf returns the admission of the RPC of ctx. It is nil without Options.
func admissionOf(ctx context.Context) *access.Admission {
	if p := passageOf(ctx); p != nil {
		return p.admission
	}
	return nil
}

// receive reads the message of a unary RPC.
func (p *passage) receive(m any) error {
	err := p.read(m)
	p.unread = given(err)
	return err
}

// given returns the error that gRPC gives to the caller for err, which came from reading a message.
// gRPC returns the end of a connection within a second message as it is, and calls it INTERNAL.
func given(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return status.Error(codes.Internal, err.Error())
	}
	return err
}

// readRegistrar registers services whose unary RPCs have a line in the log if they end before the
// interceptors run. For streams the interceptors run first.
type readRegistrar struct {
	grpc.ServiceRegistrar
	server *Server
}

// RegisterService implements grpc.ServiceRegistrar.
func (r readRegistrar) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	r.ServiceRegistrar.RegisterService(wrapUnary(desc, r.noted), implementation)
}

// noted returns handle with a line in the log for an RPC that ends before the interceptors run.
func (r readRegistrar) noted(handle grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, read func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		p := passageOf(ctx)
		if p == nil {
			return handle(srv, ctx, read, interceptor)
		}
		p.begun.Store(true)
		p.read = read
		response, err := handle(srv, ctx, p.receive, interceptor)
		if err != nil && !p.reached {
			got := err
			if p.unread != nil {
				got = p.unread
			}
			r.server.auditUnreadRPC(p, status.Convert(got))
		}
		return response, err
	}
}

// methods holds the full names of methods that are registered on a server.
type methods struct {
	names    map[string]bool
	complete bool // there are no others
}

// ownMethods returns the methods of ShakerService.
func ownMethods() *methods {
	m := &methods{names: make(map[string]bool)}
	desc := &tcpshakerv1.ShakerService_ServiceDesc
	for i := range desc.Methods {
		m.names["/"+desc.ServiceName+"/"+desc.Methods[i].MethodName] = true
	}
	for i := range desc.Streams {
		m.names["/"+desc.ServiceName+"/"+desc.Streams[i].StreamName] = true
	}
	return m
}

// allMethods returns the methods of a server on which all services are registered.
func allMethods(services map[string]grpc.ServiceInfo) *methods {
	m := &methods{names: make(map[string]bool), complete: true}
	for service, info := range services {
		for _, method := range info.Methods {
			m.names["/"+service+"/"+method.Name] = true
		}
	}
	return m
}

// abandoned writes the line of an RPC that is over and has not reached its handler, unless the
// handler's goroutine does.
func (s *Server) abandoned(p *passage) {
	if p.begun.Load() {
		return
	}
	path, absolute := strings.CutPrefix(p.method, "/")
	known := s.methods.Load()
	switch {
	case errors.Is(p.rpc.Err(), context.DeadlineExceeded): // an answer of gRPC's cancels it
		s.auditUnreadRPC(p, status.FromContextError(p.rpc.Err()))
	case !absolute || !strings.Contains(path, "/"):
		s.auditUnreadRPC(p, status.New(codes.Unimplemented, "malformed method name"))
	case known.names[p.method]:
		s.unsure(p)
	case known.complete || isOurs(p.method):
		s.auditUnreadRPC(p, status.New(codes.Unimplemented, "there is no such method"))
	default:
		s.auditUnreadRPC(p, status.New(codes.Unknown, "its message did not come or could not be read, or there is no such method"))
	}
}

// For unsureFor, and for unsureAtMost RPCs at a time, the line waits until it is sure that no
// handler's goroutine begins.
const (
	unsureFor    = time.Second
	unsureAtMost = 1000
)

// unsure writes the line of an RPC of a known method that is over before its handler's goroutine
// has begun. If the caller has canceled the RPC, that goroutine is about to begin, and writes the
// line. If it does not begin, gRPC has refused the encoding of the messages, and the caller got
// UNIMPLEMENTED. gRPC reports this to the caller alone.
func (s *Server) unsure(p *passage) {
	write := func() {
		if !p.begun.Load() {
			s.auditUnreadRPC(p, status.New(codes.Unimplemented, "its grpc-encoding is not known, or it was canceled before it began"))
		}
	}
	if s.unsureRPCs.Add(1) > unsureAtMost {
		s.unsureRPCs.Add(-1)
		write()
		return
	}
	time.AfterFunc(unsureFor, func() {
		defer s.unsureRPCs.Add(-1)
		defer s.survive(p)
		write()
	})
}

// survive, deferred, recovers from a panic of the log's where nothing else does.
func (s *Server) survive(ctx context.Context) {
	if p := recover(); p != nil {
		_ = s.panickedInTap(ctx, p)
	}
}

// auditUnreadRPC writes the line of an RPC that was let in and came to no handler, once. It is the
// caller's doing, so its level is at most WARN.
func (s *Server) auditUnreadRPC(p *passage, got *status.Status) {
	if p.logged.Swap(true) {
		return
	}
	if got.Code() == codes.Canceled && s.stopped.Load() {
		got = status.Convert(errDraining())
	}
	level := min(levelOf(got.Code(), p.method), slog.LevelWarn)
	if !s.log.Enabled(p, level) {
		return
	}
	attrs, ok := s.tell(p.admission.Caller())
	if !ok {
		return
	}
	_, id := withRequestID(p)
	s.log.LogAttrs(p, level, "rpc", append(attrs,
		slog.String("request_id", id),
		slog.String("caller", p.admission.Caller()),
		slog.String("peer", peerText(p)),
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
		r.err = given(err)
	}
	return err
}

// outcome returns the status that the caller has: the one for a message that could not be read, if
// there was one, and else err, the handler's.
func (r *readStream) outcome(err error) (got error, unread bool) {
	p := passageOf(r.Context())
	if err == nil || p == nil || p.rpc.Err() == nil {
		return err, false
	}
	r.mu.Lock() // a read that is under way ends with the RPC's context
	defer r.mu.Unlock()
	if r.err == nil {
		return err, false
	}
	return r.err, true
}
