package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers gzip, for requests and their answers

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// This file is about compressed messages. gRPC reads at most maxRequest bytes out of one, however
// much it holds. A few KB can hold that much, so a caller without an identity would have the
// service unpack a thousand times what its connection may bring. Its compressed messages are
// refused before they are read.

// refusePacked returns the status of an RPC by a caller without an identity whose headers announce
// compressed messages. It returns nil for all other RPCs.
func refusePacked(ctx context.Context) error {
	a := admissionOf(ctx)
	if a == nil || !a.Stranger() {
		return nil
	}
	// A transport that does not tell the encoding is not believed to have none.
	transport, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if ok && (transport.RecvCompress() == "" || transport.RecvCompress() == encoding.Identity) {
		return nil
	}
	return errRefused(a.Refuse(access.Unauthenticated))
}

// packedGuard registers services for which refusePacked runs before the request of a unary RPC is
// read: interceptors run after that. For streams strangersStream does the same.
type packedGuard struct{ grpc.ServiceRegistrar }

// RegisterService implements grpc.ServiceRegistrar.
func (g packedGuard) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	g.ServiceRegistrar.RegisterService(wrapUnary(desc, func(handle grpc.MethodHandler) grpc.MethodHandler {
		return func(srv any, ctx context.Context, read func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			if err := refusePacked(ctx); err != nil {
				return nil, err
			}
			return handle(srv, ctx, read, interceptor)
		}
	}), implementation)
}

// wrapUnary returns a copy of desc in which wrap has wrapped the handler of each unary method. gRPC
// calls such a handler before it reads the request, and interceptors after that.
func wrapUnary(desc *grpc.ServiceDesc, wrap func(grpc.MethodHandler) grpc.MethodHandler) *grpc.ServiceDesc {
	wrapped := *desc
	wrapped.Methods = slices.Clone(desc.Methods)
	for i := range wrapped.Methods {
		wrapped.Methods[i].Handler = wrap(wrapped.Methods[i].Handler)
	}
	return &wrapped
}
