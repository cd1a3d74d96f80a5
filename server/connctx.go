package server

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// connContext is what gRPC derives the contexts of a connection's RPCs from, where some are refused by their headers. gRPC 1.85
// forgets to cancel the context of an RPC that its tap has refused (operateHeaders, internal/transport/http2_server.go): its timer
// would stand until the deadline that the caller gave, which may be years, connection or no connection. Package context hands
// the cancel function of a child to a parent that has a method AfterFunc (see context.AfterFunc); so the tap, which
// runs right after the child was made, in the same goroutine, can do what gRPC does not.
type connContext struct {
	context.Context
	done chan struct{} // never closed; but a parent without one is asked for nothing

	mu     sync.Mutex // protects what follows
	newest func()     // cancels the child that was made last; nil once its RPC was let in
	ending bool       // a child is being ended, and asks why
}

type connContextKey struct{}

// Done implements context.Context.
func (c *connContext) Done() <-chan struct{} { return c.done }

// Err implements context.Context: a connection's context never ends, but for the child that is being ended.
func (c *connContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (c *connContext) Value(key any) any {
	if key == (connContextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// AfterFunc is what package context calls for each child.
func (c *connContext) AfterFunc(cancel func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = cancel
	return func() bool { return true }
}

// letIn says that the RPC of the newest child goes on: gRPC cancels it when it is over.
func (c *connContext) letIn() { c.takeNewest(false) }

// endNewest cancels the newest child.
func (c *connContext) endNewest() {
	if cancel := c.takeNewest(true); cancel != nil {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ending = false
	}
}

func (c *connContext) takeNewest(ending bool) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	cancel := c.newest
	c.newest = nil
	c.ending = ending && cancel != nil
	return cancel
}

// connContextOf returns the connContext that ctx, of an RPC, comes from; one of no use where there is none.
func connContextOf(ctx context.Context) *connContext {
	if c, ok := ctx.Value(connContextKey{}).(*connContext); ok {
		return c
	}
	return new(connContext)
}

// connTagger gives each connection its connContext. The rest of a stats.Handler it has no use for.
type connTagger struct{}

// TagConn implements stats.Handler.
func (connTagger) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return &connContext{Context: ctx, done: make(chan struct{})}
}

// TagRPC implements stats.Handler.
func (connTagger) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (connTagger) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC implements stats.Handler.
func (connTagger) HandleRPC(context.Context, stats.RPCStats) {}
