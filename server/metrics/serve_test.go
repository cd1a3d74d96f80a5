package metrics

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/CarterTsai/tcp-shaker/shaker"
)

// pipes is a listener of connections that live in this process, so that a test of timeouts can have its own clock.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()
}

func newPipes() *pipes {
	p := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// dial returns a connection once it is accepted; nil where that does not happen within a second.
func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	select {
	case p.accepted <- there:
		return here
	case <-time.After(time.Second):
		return nil
	}
}

// serving runs Serve on l with stats. stop ends it, and returns what it logged.
func serving(t *testing.T, l net.Listener, stats func() shaker.Stats) (stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log lockedBuffer
	done := make(chan error, 1)
	go func() { done <- New("v1", stats).Serve(ctx, l, slog.New(slog.NewTextHandler(&log, nil))) }()
	stop = sync.OnceValue(func() string {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		return log.String()
	})
	t.Cleanup(func() { stop() })
	return stop
}

// lockedBuffer keeps what is logged; a scrape that was cut off may log when Serve has returned.
type lockedBuffer struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func none() shaker.Stats { return shaker.Stats{} }

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask sends a request on a connection of its own and returns the answer with its body.
func ask(t *testing.T, l net.Listener, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, request+"Host: x\r\nConnection: close\r\n\r\n")
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return response, string(body)
}

// TestOnlyMetrics: GET and HEAD of /metrics, in both formats, and nothing else.
func TestOnlyMetrics(t *testing.T) {
	l := listen(t)
	serving(t, l, none)
	for _, tt := range []struct {
		request string
		status  int
		is      string // beginning of Content-Type
		holds   string
	}{
		{"GET /metrics HTTP/1.1\r\n", 200, "text/plain; version=0.0.4", "\ntcpshaker_build_info{version=\"v1\"} 1\n"},
		{"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n", 200, "application/openmetrics-text; version=1.0.0", "\n# EOF\n"},
		{"GET /metrics?a=b HTTP/1.0\r\n", 200, "text/plain; version=0.0.4", "tcpshaker_shards 0"},
		{"HEAD /metrics HTTP/1.1\r\n", 200, "text/plain; version=0.0.4", ""},
		{"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n", 405, "text/plain", ""},
		{"DELETE /metrics HTTP/1.1\r\n", 405, "text/plain", ""},
		{"GET / HTTP/1.1\r\n", 404, "text/plain", ""},
		{"GET /metrics/ HTTP/1.1\r\n", 404, "text/plain", ""},
		{"GET /debug/pprof/ HTTP/1.1\r\n", 404, "text/plain", ""},
		{"OPTIONS * HTTP/1.1\r\n", 400, "", ""},
	} {
		response, body := ask(t, l, tt.request)
		if response.StatusCode != tt.status || !strings.HasPrefix(response.Header.Get("Content-Type"), tt.is) || !strings.Contains(body, tt.holds) {
			t.Errorf("%.60q: %s, %s, %.200q", tt.request, response.Status, response.Header.Get("Content-Type"), body)
		}
		if tt.request[:4] == "HEAD" && body != "" {
			t.Errorf("HEAD has a body: %.100q", body)
		}
	}
}

// TestPanicEndsItsScrape: and nothing else; the log says so, and the next scrape counts it.
func TestPanicEndsItsScrape(t *testing.T) {
	panics := true
	l := listen(t)
	stop := serving(t, l, func() shaker.Stats {
		if panics {
			panic("in Stats")
		}
		return shaker.Stats{}
	})
	if response, body := ask(t, l, "GET /metrics HTTP/1.1\r\n"); response.StatusCode != http.StatusInternalServerError {
		t.Errorf("%s, %q", response.Status, body)
	}
	panics = false
	response, body := ask(t, l, "GET /metrics HTTP/1.1\r\n")
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "promhttp_metric_handler_errors_total{cause=\"gathering\"} 1\n") {
		t.Errorf("%s, %q", response.Status, body)
	}
	if log := stop(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "in Stats") {
		t.Errorf("log %q", log)
	}
}

// TestScrapesAtATime: one too many is told so at once.
func TestScrapesAtATime(t *testing.T) {
	l := listen(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	serving(t, l, func() shaker.Stats {
		entered <- struct{}{}
		<-leave
		return shaker.Stats{}
	})
	var scrapes sync.WaitGroup
	for range maxScrapes {
		scrapes.Go(func() {
			if response, _ := ask(t, l, "GET /metrics HTTP/1.1\r\n"); response.StatusCode != http.StatusOK {
				t.Error(response.Status)
			}
		})
		<-entered
	}
	if response, _ := ask(t, l, "GET /metrics HTTP/1.1\r\n"); response.StatusCode != http.StatusServiceUnavailable {
		t.Error(response.Status)
	}
	close(leave)
	scrapes.Wait()
}

// TestSlowPeersAreTurnedOut: none of them holds a connection for longer than is said, whatever it is slow in.
func TestSlowPeersAreTurnedOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		talk func(conn net.Conn)
		most time.Duration
	}{
		{"says nothing", func(net.Conn) {}, requestTimeout},
		{"header by header", func(conn net.Conn) {
			_, err := fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n")
			for i := 0; err == nil; i++ {
				time.Sleep(time.Second)
				_, err = fmt.Fprintf(conn, "X-%d: x\r\n", i)
			}
		}, requestTimeout},
		{"its body byte by byte", func(conn net.Conn) {
			go io.Copy(io.Discard, conn)
			_, err := fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
			for err == nil {
				time.Sleep(time.Second)
				_, err = fmt.Fprint(conn, "x")
			}
		}, requestTimeout},
		{"does not read", func(conn net.Conn) {
			fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		}, answerTimeout},
		{"stays", func(conn net.Conn) {
			fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
			go io.Copy(io.Discard, conn)
		}, maxIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				here, there := net.Pipe()
				closed := &noteClose{Conn: there, closed: make(chan struct{})}
				stop := serving(t, l, none)
				began := time.Now()
				l.accepted <- closed
				var talk sync.WaitGroup
				talk.Go(func() { tt.talk(here) })
				select {
				case <-closed.closed:
					t.Logf("closed after %s", time.Since(began))
				case <-time.After(tt.most + time.Second):
					t.Errorf("still open after %s", time.Since(began))
				}
				here.Close()
				talk.Wait()
				stop()
			})
		})
	}
}

// TestHeadersWithoutEnd: the service reads no more of them than is said.
func TestHeadersWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		stop := serving(t, l, none)
		conn := l.dial()
		go io.Copy(io.Discard, conn)
		taken, err := fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
		for err == nil && taken < 1<<20 {
			var n int
			n, err = conn.Write([]byte("0123456789abcdef"))
			taken += n
		}
		if most := maxHeaders + 8<<10; taken > most { // what net/http adds, and its buffer
			t.Errorf("%d bytes of headers are read, want at most %d", taken, most)
		}
		conn.Close()
		stop()
	})
}

type noteClose struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *noteClose) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestConnectionsAtATime: one too many is closed at once, until another has gone.
func TestConnectionsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		stop := serving(t, l, none)
		var conns []net.Conn
		for range MaxConnections {
			conn := l.dial()
			if conn == nil {
				t.Fatalf("connection %d is not accepted", len(conns)+1)
			}
			conns = append(conns, conn)
		}
		began := time.Now()
		if _, err := l.dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(began) > 0 {
			t.Errorf("one too many: %v after %s", err, time.Since(began))
		}
		conns[0].Close()
		synctest.Wait()
		next := l.dial()
		if _, err := fmt.Fprint(next, "GET /metrics HTTP/1.1\r\n"); err != nil {
			t.Errorf("a place that became free is not given to the next: %v", err)
		}
		for _, conn := range append(conns, next) {
			conn.Close()
		}
		stop()
	})
}

// TestServeEnds: at once where nobody is served, soon where somebody is, and with the listener's error.
func TestServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		stop := serving(t, l, none)
		conn := l.dial()
		fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") // and does not read
		synctest.Wait()                                              // the answer has begun
		began := time.Now()
		stop()
		if took := time.Since(began); took > lastScrape+time.Second {
			t.Errorf("ended after %s", took)
		}
		if answer, _ := io.ReadAll(conn); strings.Contains(string(answer), "\ntcpshaker_wakeups_total") {
			t.Error("the answer went on when Serve had returned")
		}
	})
	l := listen(t)
	l.Close()
	if err := New("v1", none).Serve(t.Context(), l, slog.Default()); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("with a closed listener: %v", err)
	}
}
