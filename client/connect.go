package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

const (
	// defaultConnectTimeout and maxConnectTimeout are for WithConnectTimeout.
	defaultConnectTimeout = 10 * time.Second
	maxConnectTimeout     = time.Hour
)

// noConnectionYet is the reason where no attempt has ended.
const noConnectionYet = "no connection yet"

// WithConnectTimeout bounds how long a call waits for a connection to the service: name lookup,
// TCP, TLS and the first HTTP/2 frame. The range is 1 ms to 1 h, and by default it is 10 s. 0 has
// no effect. Any other value is an error of [New].
//
// A call that finds no connection in that time fails with UNAVAILABLE and says what was missing.
// Check and Vantage are then tried again for up to a second, see the package comment. While no
// connection can be made, further calls fail at once with the error of the last attempt, and the
// package goes on connecting. The timeout never ends a call that has a connection.
//
// It is also how long a [Client.Stream] that has lost its stream goes on without a result. The
// service may ask for a wait (google.rpc.RetryInfo). A wait of up to 10 s that takes more than half
// of the timeout is added to it, so that time is left to connect. A service that drains asks for 1 s.
func WithConnectTimeout(timeout time.Duration) Option {
	return optionFunc(func(c *config) {
		if timeout != 0 {
			c.connectTimeout = timeout
		}
	})
}

// checkConnectTimeout returns an error unless d is in range.
func checkConnectTimeout(d time.Duration) error {
	if d < time.Millisecond || d > maxConnectTimeout {
		return fmt.Errorf("connect timeout %v: want 1ms to %v", d, maxConnectTimeout)
	}
	return nil
}

// connector waits for the connection that a call needs. If no connection can be made, it explains
// why. A Client has one connector.
type connector struct {
	target    string        // as New got it
	within    time.Duration // the connect timeout
	plaintext bool          // without TLS
	route     *route
}

func newConnector(target string, cfg *config, route *route) *connector {
	protocol := cfg.credentials.Info().SecurityProtocol
	return &connector{
		target: target, within: cfg.connectTimeout, plaintext: protocol == "insecure" || protocol == "local", route: route,
	}
}

// dialOptions makes gRPC work through c.
func (c *connector) dialOptions() []grpc.DialOption {
	// An attempt to connect fails after MinConnectTimeout, or the time to the next attempt if that
	// is longer, with an error that says where it was stuck. Only the first attempt keeps a call
	// waiting.
	pauses := backoff.DefaultConfig
	pauses.BaseDelay = min(pauses.BaseDelay, c.within)
	return []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: c.within}),
		grpc.WithStatsHandler(attemptWatcher{}),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
}

func (c *connector) unary(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	opts ...grpc.CallOption,
) error {
	if err := c.wait(ctx, conn); err != nil {
		return err
	}
	attempts := new(attempts)
	err := invoke(context.WithValue(ctx, attemptsKey{}, attempts), method, request, response, conn, opts...)
	return c.explain(attempts, err)
}

// stream explains the error of a stream that did not begin. Once it has begun it has a connection.
func (c *connector) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer,
	opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if err := c.wait(ctx, conn); err != nil {
		return nil, err
	}
	attempts := new(attempts)
	stream, err := open(context.WithValue(ctx, attemptsKey{}, attempts), desc, conn, method, opts...)
	return stream, c.explain(attempts, err)
}

// wait returns nil once there is a connection, or an attempt to make one has failed: then the call
// gets that error from gRPC at once. It returns an error itself if neither comes about in time, as
// when a name server does not answer.
func (c *connector) wait(ctx context.Context, conn *grpc.ClientConn) error {
	if !connecting(conn.GetState()) {
		return nil
	}
	// An attempt that fails is given the time to say so: it may have begun a little later than the
	// call.
	limited, cancel := context.WithTimeout(ctx, c.within+c.within/10+10*time.Millisecond)
	defer cancel()
	for state := conn.GetState(); connecting(state); state = conn.GetState() {
		if state == connectivity.Idle {
			conn.Connect()
		}
		if conn.WaitForStateChange(limited, state) {
			continue
		}
		if ended := ctx.Err(); ended != nil {
			err := status.FromContextError(ended).Err()
			text := fmt.Sprintf("%v while connecting to %s%s", ended, c.target, c.route.via())
			return &connectError{err: err, text: printable(text)}
		}
		return c.cannotConnect(status.Error(codes.Unavailable, noConnectionYet))
	}
	return nil
}

// connecting reports whether a call would wait in this state.
func connecting(state connectivity.State) bool {
	return state == connectivity.Idle || state == connectivity.Connecting
}

// explain returns the error of a call with an account of the connection that it did not get.
func (c *connector) explain(a *attempts, err error) error {
	if err == nil {
		return nil
	}
	reached, last := a.end()
	switch code := status.Code(err); {
	case code == codes.Unavailable && !reached:
		return c.cannotConnect(err)
	case (code == codes.DeadlineExceeded || code == codes.Canceled) && last != nil:
		return &connectError{err: err, text: fmt.Sprintf("%s; before that, %v", message(err), c.cannotConnect(last))}
	default:
		return err
	}
}

// attempts are those of one call, of which a retry makes several. It is safe for concurrent use.
type attempts struct {
	mu      sync.Mutex
	reached bool  // the last attempt got a connection
	failure error // why the last attempt that got none failed; nil: each got one
}

// end returns whether the last attempt got a connection, and the error of the last one that got
// none.
func (a *attempts) end() (reached bool, failure error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reached, a.failure
}

type attemptsKey struct{}

// attemptWatcher is a stats.Handler that notes in a call's attempts what becomes of them. The error
// of a retried attempt is nowhere else.
type attemptWatcher struct{}

func (attemptWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, ok := ctx.Value(attemptsKey{}).(*attempts)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch event := event.(type) {
	case *stats.Begin:
		a.reached = false
	case *stats.OutHeader:
		a.reached = true
	case *stats.End:
		if !a.reached && status.Code(event.Error) == codes.Unavailable {
			a.failure = event.Error
		}
	}
}

func (attemptWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (attemptWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (attemptWatcher) HandleConn(context.Context, stats.ConnStats) {}

// connectError says in words why there is no connection. Its status is gRPC's, with these words.
type connectError struct {
	text string
	kind error // ErrServiceSpeaksTLS, ErrServiceSpeaksPlaintext or nil
	err  error // gRPC's
}

func (e *connectError) Error() string { return e.text }

func (e *connectError) Unwrap() []error {
	return slices.DeleteFunc([]error{e.kind, e.err}, func(err error) bool { return err == nil })
}

// GRPCStatus is what status.FromError asks for.
func (e *connectError) GRPCStatus() *status.Status {
	s := status.Convert(e.err).Proto()
	s.Message = e.text
	return status.FromProto(s)
}

// message returns the text of the status in err, without what wraps it.
func message(err error) string {
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s.GRPCStatus().Message()
	}
	return err.Error()
}
