package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

const (
	// localRate is the default of --rate, as of the daemon's: a burst of more overflows queues on the way,
	// and what is dropped there looks like a silent target.
	localRate = 20000

	// pingAfter is after how long a silent service is asked whether it is alive, and pingTimeout how long it has to answer.
	pingAfter, pingTimeout = 20 * time.Second, 10 * time.Second

	// pipeSize is the size of the in-process connection's buffers, in bytes: gRPC's window for a stream, so that it is never
	// the narrower of the two.
	pipeSize = 64 << 10
)

// service is whom to ask, whether another process or this one.
type service struct {
	client *client.Client
	name   string                         // for messages
	hint   func(error) string             // the flags that help against an error; empty: none
	open   func() (*client.Client, error) // makes another client of it
	stop   func()                         // what runs in this process besides
}

// close ends what dial has begun. It does not wait for probes under way.
func (s *service) close() {
	_ = s.client.Close() // nothing is asked any more, so nothing can be lost
	s.stop()
}

// reopen makes a new client in place of the old one. A new client looks the service's name up and
// connects at once. The old one may wait: gRPC's pauses between attempts grow to two minutes.
func (s *service) reopen() error {
	c, err := s.open()
	if err != nil {
		return err
	}
	_ = s.client.Close()
	s.client = c
	return nil
}

// dial returns the service that o names; without a name, one that runs in this process and logs its faults to stderr.
func dial(o *options, stderr io.Writer) (*service, error) {
	if o.server == "" {
		return serveHere(o, stderr)
	}
	// A service that stopped answering, but whose connection stands, is given up after a while; not more often asked than
	// shakerd suffers.
	alive := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout})
	opts, err := o.access.options()
	if err != nil {
		return nil, usageError{err}
	}
	opts = append(opts, client.WithConnectTimeout(o.connectTimeout), client.WithDialOptions(alive))
	if o.plaintext {
		opts = append(opts, client.WithInsecure())
	}
	s := &service{
		name: "the service " + o.server,
		hint: o.hint,
		open: func() (*client.Client, error) { return client.New(o.server, opts...) },
		stop: func() {},
	}
	s.client, err = s.open()
	if errors.Is(err, client.ErrInvalidToken) {
		return nil, usageError{fmt.Errorf("%s %s: %w", o.access.tokenFrom, o.access.token, err)}
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--server %q: %w", o.server, err)}
	}
	return s, nil
}

// serveHere runs the engine and the service in this process, with a pipe in memory for a network, so that what is told is
// the same code's word whoever probes.
func serveHere(o *options, stderr io.Writer) (*service, error) {
	engine, err := shaker.New(shaker.Config{Rate: o.rate})
	if err != nil {
		return nil, noEngine(err)
	}
	keep := time.Duration(0) // the default
	if o.wait > 0 {
		keep = -1 // each round looks a name up again
	}
	s, err := server.New(server.Config{
		Prober:    server.FromEngine(engine),
		Resolver:  resolve.Searching(),
		Name:      "shake",
		Version:   version(),
		NameCache: keep,
		StreamAge: -1, // there is no other replica to go to
		Logger:    slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	// A connection within a process need not be replaced after a while, as the service's options have it.
	g := grpc.NewServer(append(s.Options(), grpc.KeepaliveParams(keepalive.ServerParameters{}))...)
	s.Register(g)
	pipe := bufconn.Listen(pipeSize)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(pipe) // nil after Stop, and a pipe in memory does not fail
	}()
	stop := func() {
		g.Stop()
		<-served
		_ = engine.Close() // all probes were answered or dropped; there is nobody to tell
	}

	local := &service{
		name: "this machine",
		hint: o.hint,
		open: func() (*client.Client, error) {
			return client.New("passthrough:///this-machine", client.WithInsecure(), client.WithDialOptions(
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) })))
		},
		stop: stop,
	}
	if local.client, err = local.open(); err != nil {
		stop()
		return nil, err
	}
	return local, nil
}

// noEngine says why this machine cannot probe, and what to do.
func noEngine(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("to probe from this machine takes Linux (%w): name a service with --server or SHAKE_SERVER", err)
	}
	return fmt.Errorf("cannot probe from this machine: %w", err)
}
