package server

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/quota"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// This file writes what was asked of the service, by whom, and what came of it: one line, `rpc`, for each RPC, when it has ended,
// was refused by its headers, or came to no handler, but for a flood of those that nobody known has made (tell); and where
// access.Config.AuditProbes says so one line, `probe`, for each handshake, and one, `denied`, for each target that was denied. slog's
// handlers quote what they are given, so no line can be forged; of what callers send only their request id (visible ASCII), valid
// targets (ASCII too) and, of calls that were refused, the method stand in lines, the last as shown has it.

// record is what became of the targets of one RPC. Its RPC's handler alone writes it.
type record struct {
	targets    uint64 // that were asked about
	handshakes uint64 // that were begun
	// Of the targets, those that were answered, by verdict.
	reachable, unreachable, inconclusive uint64
	denied, limited                      uint64 // of the inconclusive

	unread bool // a message could not be read, which is its caller's doing
	old    bool // a stream that ended by its age
}

// count takes the reason of one result.
func (r *record) count(reason tcpshakerv1.Reason) {
	switch verdictOf(reason) {
	case reachable:
		r.reachable++
	case unreachable:
		r.unreachable++
	default:
		r.inconclusive++
	}
	switch reason {
	case tcpshakerv1.Reason_REASON_POLICY_DENIED:
		r.denied++
	case tcpshakerv1.Reason_REASON_RATE_LIMITED:
		r.limited++
	}
}

type recordKey struct{}

// recordOf returns the record of the RPC of ctx, or one that nobody reads.
func recordOf(ctx context.Context) *record {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		return r
	}
	return new(record)
}

func (s *Server) auditUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	began := time.Now()
	r := new(record)
	resp, err := handler(context.WithValue(ctx, recordKey{}, r), req)
	s.auditRPC(ctx, info.FullMethod, began, r, err)
	return resp, err
}

func (s *Server) auditStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	began := time.Now()
	r := new(record)
	ctx := context.WithValue(stream.Context(), recordKey{}, r)
	err := handler(srv, &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: ctx})
	s.auditRPC(stream.Context(), info.FullMethod, began, r, err)
	return err
}

// auditRPC writes the line of an RPC that has ended.
func (s *Server) auditRPC(ctx context.Context, method string, began time.Time, r *record, err error) {
	code := status.Code(err)
	level := levelOf(code, method)
	if r.unread {
		level = min(level, slog.LevelWarn)
	}
	if r.old && code == codes.Unavailable { // in order
		level = slog.LevelInfo
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	admission := admissionOf(ctx)
	attrs, ok := s.tell(admission.Caller())
	if !ok {
		return
	}
	attrs = append(attrs,
		slog.String("request_id", requestID(ctx)),
		slog.String("caller", admission.Caller()),
		slog.String("peer", peerText(ctx)),
		slog.String("method", method),
		slog.String("code", code.String()),
		slog.Duration("duration", time.Since(began)))
	if isOurs(method) {
		attrs = append(attrs,
			slog.Uint64("targets", r.targets),
			slog.Uint64("handshakes", r.handshakes),
			slog.Uint64("reachable", r.reachable),
			slog.Uint64("unreachable", r.unreachable),
			slog.Uint64("inconclusive", r.inconclusive),
			slog.Uint64("denied", r.denied),
			slog.Uint64("limited", r.limited))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", shown(status.Convert(err).Message())))
	}
	s.log.LogAttrs(ctx, level, "rpc", attrs...)
}

// toldOfStrangers is how many lines there are about calls without a known caller, if callers are
// known, and about connections that failed. Without it any peer could push the lines about callers
// out of the log, which is bounded as all logs are.
var toldOfStrangers = quota.Rate{PerSecond: 100, Burst: 1000}

// tell reports whether there is to be a line about an RPC, and returns what it begins with: how many were left out before it.
func (s *Server) tell(caller string) (attrs []slog.Attr, ok bool) {
	if caller != "" || !s.access.Closed() {
		return make([]slog.Attr, 0, 15), true
	}
	return s.tellOfStranger()
}

// tellOfStranger is tell for a peer that nobody knows.
func (s *Server) tellOfStranger() (attrs []slog.Attr, ok bool) {
	attrs = make([]slog.Attr, 0, 15)
	if _, ok := s.told.Take(toldOfStrangers, time.Now(), 1, 0); !ok {
		s.untold.Add(1)
		return nil, false
	}
	if n := s.untold.Swap(0); n > 0 {
		attrs = append(attrs, slog.Uint64("untold", n))
	}
	return attrs, true
}

// auditRefused writes the line of an RPC that was refused by its headers. It may be of a method that there is not.
func (s *Server) auditRefused(ctx context.Context, method, id string, refused *access.Refusal, err error) {
	attrs, ok := s.tell(refused.Caller)
	if !ok {
		return
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "rpc", append(attrs,
		slog.String("request_id", id),
		slog.String("caller", refused.Caller),
		slog.String("peer", peerText(ctx)),
		slog.String("method", shown(method)),
		slog.String("code", status.Code(err).String()),
		slog.Duration("duration", 0),
		slog.String("error", shown(refused.Error())))...)
}

// auditProbe writes the line of one handshake, where that is asked for.
func (s *session) auditProbe(t *task, r *shaker.Result) {
	if !t.view.AuditProbes() {
		return
	}
	s.server.log.LogAttrs(s.ctx, slog.LevelInfo, "probe",
		slog.String("request_id", requestID(s.ctx)),
		slog.String("caller", s.admission.Caller()),
		slog.String("target", t.text),
		slog.String("address", r.Addr.String()),
		slog.String("source", sourceText(r)),
		slog.String("outcome", r.Outcome.String()))
}

// auditUnread writes the lines of handshakes of t that were begun, and whose results nobody waits for any more.
func (s *session) auditUnread(t *task) {
	if t.inFlight == 0 || !t.view.AuditProbes() {
		return
	}
	for i := range t.addresses {
		a := &t.addresses[i]
		for range a.begun - a.ended {
			s.auditProbe(t, &shaker.Result{Addr: a.addr, Outcome: shaker.Canceled})
		}
	}
}

// auditDenied writes the line of a denied target, with why, where probes are to be written.
func (s *session) auditDenied(t *task, why error) {
	if !t.view.AuditProbes() {
		return
	}
	s.server.log.LogAttrs(s.ctx, slog.LevelInfo, "denied",
		slog.String("request_id", requestID(s.ctx)),
		slog.String("caller", s.admission.Caller()),
		slog.String("target", t.text),
		slog.String("why", why.Error()))
}

// levelOf is how much an operator wants to hear of an RPC: DEBUG for what load balancers,
// orchestrators and tools ask all the time, if it is OK; INFO for other OK and for what callers do
// wrong; WARN for what may have to be looked into; ERROR for what is our own fault.
func levelOf(code codes.Code, method string) slog.Level {
	switch code {
	case codes.OK:
		if strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.") {
			return slog.LevelDebug
		}
		return slog.LevelInfo
	case codes.Internal, codes.Unknown, codes.DataLoss, codes.Unimplemented:
		return slog.LevelError
	case codes.DeadlineExceeded, codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted, codes.Unavailable:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// shown returns s cut to maxDetail bytes, and fit for a terminal: slog's JSON leaves C1 controls (U+009B begins an escape sequence,
// U+0085 ends a line) and marks that turn the direction of text as they are. Where s has one, or is not UTF-8, it is escaped as Go
// source is.
func shown(s string) string {
	s = clip(s)
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return clip(quoted[1 : len(quoted)-1])
}

func peerText(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	return p.Addr.String()
}

func sourceText(r *shaker.Result) string {
	if !r.Source.IsValid() {
		return ""
	}
	return r.Source.String()
}
