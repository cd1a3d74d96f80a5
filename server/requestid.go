package server

import (
	"context"
	"crypto/rand"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// RequestIDHeader is the header that carries a request's id, in both directions.
const RequestIDHeader = "x-request-id"

// maxRequestID is the longest id in bytes that is taken from a caller.
const maxRequestID = 128

type requestIDKey struct{}

// requestID returns the id of the RPC of ctx; empty where it has none, because the Server runs without its interceptors.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID returns ctx with the caller's id, or with a new one of 130 random bits where the caller gave none that may be
// used.
func withRequestID(ctx context.Context) (context.Context, string) {
	id := ""
	if given := metadata.ValueFromIncomingContext(ctx, RequestIDHeader); len(given) == 1 && validRequestID(given[0]) {
		id = given[0]
	} else {
		id = rand.Text()
	}
	return context.WithValue(ctx, requestIDKey{}, id), id
}

// validRequestID reports whether id is 1 to 128 visible ASCII characters: what a log can hold without harm.
func validRequestID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}

// unaryRequestID gives each RPC its id, and the caller the response header. Setting the header fails only where the RPC is
// over already, and then nobody misses it.
func unaryRequestID(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, id := withRequestID(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs(RequestIDHeader, id))
	return handler(ctx, req)
}

// streamRequestID is unaryRequestID for streams.
func streamRequestID(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, id := withRequestID(stream.Context())
	_ = stream.SetHeader(metadata.Pairs(RequestIDHeader, id))
	return handler(srv, &middleware.WrappedServerStream{ServerStream: stream, WrappedContext: ctx})
}
