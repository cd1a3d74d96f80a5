package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// A connection of which one side alone speaks TLS is called that, in every call.
func TestTLSOnOneSide(t *testing.T) {
	ca := testcert.NewCA("ours")
	secured := grpc.Creds(credentials.NewServerTLSFromCert(new(ca.Certificate("127.0.0.1"))))
	inTLS := WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()}))
	socket := filepath.Join(t.TempDir(), "socket")
	listen(t, "unix", socket, secured)
	v4, v6 := listen(t, "tcp", "127.0.0.1:0", secured), listen(t, "tcp", "[::1]:0", secured)
	for name, tt := range map[string]struct {
		target string
		opts   []Option
		is     error
	}{
		"plaintext by default":      {v4, nil, ErrServiceSpeaksTLS},
		"plaintext by IPv6":         {v6, nil, ErrServiceSpeaksTLS},
		"plaintext on unix":         {"unix:" + socket, nil, ErrServiceSpeaksTLS},
		"plaintext by WithInsecure": {v4, []Option{WithInsecure()}, ErrServiceSpeaksTLS},
		"plaintext to an alert":     {alerting(t), nil, ErrServiceSpeaksTLS},
		"closed at once":            {accepting(t, "tcp", "127.0.0.1:0", func(net.Conn) {}).Addr().String(), nil, ErrServiceSpeaksTLS},
		"TLS":                       {listen(t, "tcp", "127.0.0.1:0"), []Option{inTLS}, ErrServiceSpeaksPlaintext},
		"TLS by IPv6":               {listen(t, "tcp", "[::1]:0"), []Option{inTLS}, ErrServiceSpeaksPlaintext},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tt.target, tt.opts...)
			callAll(t, c, func(method string, err error) {
				if status.Code(err) != codes.Unavailable || !errors.Is(err, tt.is) {
					t.Errorf("%s: %v", method, err)
				}
				checkText(t, err, tt.target, tt.is.Error()+": ")
				if strings.Contains(err.Error(), "without an answer") { // there may have been one
					t.Errorf("%s: %v", method, err)
				}
				if errors.Is(err, ErrServiceSpeaksTLS) && errors.Is(err, ErrServiceSpeaksPlaintext) {
					t.Errorf("%s: both of %v", method, err)
				}
			})
		})
	}
}

// checkText looks for each of want in err, and for what gRPC's errors have and a reader has no use
// for.
func checkText(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, text := range append(want, "client: ") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "desc = ") || strings.Contains(err.Error(), `\"`) {
		t.Errorf("%q is wrapped too often", err)
	}
	if message := status.Convert(errors.Unwrap(err)).Message(); !strings.HasSuffix(err.Error(), ": "+message) {
		t.Errorf("the status of %q says %q", err, message)
	}
}

// A service that speaks TLS, but is no gRPC server, may answer plaintext with an alert.
func alerting(t *testing.T) string {
	listener := accepting(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 24))
		_, _ = conn.Write([]byte{21, 3, 1, 0, 2, 2, 70}) // a fatal alert, protocol_version: RFC 8446 section 6
		_, _ = conn.Read(make([]byte, 1024))
	})
	return listener.Addr().String()
}

// accepting serves each connection by serve until the test ends.
func accepting(t *testing.T, network, address string, serve func(net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() }) // runs before the listener's, and ends serve
			go func() {
				serve(conn)
				conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener
}

// A service that is not one, or cannot be reached, is not said to speak anything.
func TestNoConnectionIsNoTLSOnOneSide(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	http := accepting(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 24))
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
		_, _ = conn.Read(make([]byte, 1024))
	}).Addr().String()
	says := func(bytes string) string {
		return accepting(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			_, _ = conn.Write([]byte(bytes))
			_, _ = io.Copy(io.Discard, conn)
		}).Addr().String()
	}
	const notHTTP2 = "the service answered with something that is not HTTP/2"
	gone := filepath.Join(t.TempDir(), "socket")
	ca := testcert.NewCA("others")
	other := listen(t, "tcp", "127.0.0.1:0", grpc.Creds(credentials.NewServerTLSFromCert(new(ca.Certificate("127.0.0.1")))))
	for name, tt := range map[string]struct {
		target string
		opts   []Option
		want   string
	}{
		"refused":    {closed.Addr().String(), nil, "connection refused"},
		"no socket":  {"unix:" + gone, nil, "no such file"},
		"HTTP/1.1":   {http, nil, "HTTP/1.1"},
		"not HTTP/2": {http, nil, notHTTP2},
		"SSH":        {says("SSH-2.0-OpenSSH_9.6\r\n"), nil, notHTTP2},
		"SMTP":       {says("220 mail.example ESMTP\r\n"), nil, notHTTP2},
		"bad frame":  {says(strings.Repeat("\x00\x00\x00\x01", 8)), nil, notHTTP2},
		"unknown CA": {other, []Option{WithTransportCredentials(credentials.NewTLS(nil))}, "unknown authority"},
		"no name":    {"dns://" + nameServer(t, 3, 0) + "/shaker.example:1", nil, "not known"},
		"SERVFAIL":   {"dns://" + nameServer(t, 2, 0) + "/shaker.example:1", nil, "lookup shaker.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tt.target, tt.opts...)
			callAll(t, c, func(method string, err error) {
				if errors.Is(err, ErrServiceSpeaksTLS) || errors.Is(err, ErrServiceSpeaksPlaintext) {
					t.Errorf("%s: %v", method, err)
				}
				if status.Code(err) != codes.Unavailable {
					t.Errorf("%s: %v", method, err)
				}
				checkText(t, err, "cannot connect to "+tt.target+": ", tt.want)
			})
		})
	}
}

// mute takes what comes and says nothing.
func mute(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// A service that does not answer while the connection is made fails the call after the connect
// timeout, and the error says how far it came.
func TestConnectTimeout(t *testing.T) {
	ca := testcert.NewCA("ours")
	inTLS := WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()}))
	tcp, tcp6 := accepting(t, "tcp", "127.0.0.1:0", mute), accepting(t, "tcp", "[::1]:0", mute)
	unix := accepting(t, "unix", filepath.Join(t.TempDir(), "socket"), mute)
	// A resolver that finds nothing, and does not say so.
	lost := WithDialOptions(grpc.WithResolvers(manual.NewBuilderWithScheme("lost")))
	for name, tt := range map[string]struct {
		target string
		opt    Option
		want   string
	}{
		"mute":            {tcp.Addr().String(), WithInsecure(), "nothing came on it"},
		"mute by default": {tcp6.Addr().String(), WithToken(token), "nothing came on it"},
		"mute on unix":    {"unix:" + unix.Addr().String(), WithInsecure(), "nothing came on it"},
		"mute in TLS":     {tcp.Addr().String(), inTLS, "handshake"},
		"no address":      {"lost:///shaker", lost, "no connection yet"},
		"slow lookup":     {"dns://" + nameServer(t, 3, 3*time.Second) + "/shaker.example:1", WithInsecure(), "name lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testConnectTimeout(t, tt.target, tt.opt, tt.want)
		})
	}
}

// testConnectTimeout calls a service that cannot be connected to, at first, and when an attempt has
// failed.
func testConnectTimeout(t *testing.T, target string, opt Option, want string) {
	t.Helper()
	const timeout = 300 * time.Millisecond
	c := newClient(t, target, opt, WithConnectTimeout(timeout))
	for _, least := range []time.Duration{timeout, 0} {
		start := time.Now()
		callAll(t, c, func(method string, err error) {
			took := time.Since(start)
			if status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", method, err)
			}
			checkText(t, err, "cannot connect to "+target+" within 300ms: ", want)
			// The retries take up to a second. The bound is half of what gRPC takes by itself.
			if took < least || took > 10*time.Second {
				t.Errorf("%s took %v", method, took)
			}
		})
	}
}

// An option out of range is an error of New, and 0 leaves what was.
func TestConnectTimeoutRange(t *testing.T) {
	for d, good := range map[time.Duration]bool{
		0: true, time.Millisecond: true, time.Hour: true,
		-1: false, -time.Hour: false, time.Millisecond - 1: false, time.Hour + 1: false,
	} {
		c, err := New("127.0.0.1:1", WithConnectTimeout(d))
		if err == nil {
			c.Close()
		}
		if (err == nil) != good {
			t.Errorf("%v: %v", d, err)
		}
		if err != nil && !strings.Contains(err.Error(), "want 1ms to 1h") {
			t.Errorf("%v: %v", d, err)
		}
	}
	cfg := config{connectTimeout: defaultConnectTimeout}
	WithConnectTimeout(0).apply(&cfg)
	if cfg.connectTimeout != 10*time.Second {
		t.Errorf("0 makes it %v", cfg.connectTimeout)
	}
}

// The connect timeout ends no call that has a connection, however long the call or its stream
// takes, nor one for which the token, or the service, takes its time.
func TestConnectTimeoutEndsNoCall(t *testing.T) {
	t.Parallel()
	const timeout, long = 2 * time.Second, 3 * time.Second
	slow := dial(t, &fake{
		check: func(ctx context.Context, r *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
			time.Sleep(long)
			return answerOne(ctx, r)
		},
		stream: func(s serverStream) error { time.Sleep(long); return echo(s) },
		vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) {
			time.Sleep(long)
			return &tcpshakerv1.GetVantageResponse{}, nil
		},
	}, WithConnectTimeout(timeout))
	slowToken := newClient(t, listen(t, "tcp", "127.0.0.1:0"), WithConnectTimeout(timeout),
		WithTokenSource(func(context.Context) (string, error) { time.Sleep(long); return token, nil }))
	var all sync.WaitGroup
	for method, call := range calls {
		for name, c := range map[string]*Client{"service": slow, "token": slowToken} {
			all.Go(func() {
				if err := call(c); err != nil {
					t.Errorf("%s with a slow %s: %v", method, name, err)
				}
			})
		}
	}
	all.Wait()
}

// A deadline that passes while no connection stands keeps its code. Its error says why the connection
// could not be made.
func TestDeadlineWithoutAConnection(t *testing.T) {
	silent := accepting(t, "tcp", "127.0.0.1:0", mute).Addr().String()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, tt := range map[string]struct {
		target string
		call   func(context.Context, *Client) error
		want   string
	}{
		"refused, Check": {closed.Addr().String(), func(ctx context.Context, c *Client) error {
			_, err := c.Check(ctx, "a:1")
			return err
		}, "connection refused"},
		"refused, Vantage": {closed.Addr().String(), func(ctx context.Context, c *Client) error {
			_, err := c.Vantage(ctx)
			return err
		}, "connection refused"},
		"mute, Check": {silent, func(ctx context.Context, c *Client) error {
			_, err := c.Check(ctx, "a:1")
			return err
		}, "while connecting"},
		"mute, CheckAll": {silent, func(ctx context.Context, c *Client) error {
			_, err := c.CheckAll(ctx, []string{"a:1"})
			return err
		}, "while connecting"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, tt.target)
			// The retries take 0.1 + 0.2 + 0.4 s less a fifth, or more.
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			err := tt.call(ctx, c)
			if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			checkText(t, err, "context deadline exceeded", tt.target, tt.want)
		})
	}
}

// A Client that is closed meanwhile does not wait any more.
func TestCloseWhileConnecting(t *testing.T) {
	c := newClient(t, accepting(t, "tcp", "127.0.0.1:0", mute).Addr().String())
	ended := make(chan error)
	go func() { ended <- checkOne(c) }()
	if !c.conn.WaitForStateChange(t.Context(), connectivity.Idle) {
		t.Fatal("it does not connect")
	}
	c.Close()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}
