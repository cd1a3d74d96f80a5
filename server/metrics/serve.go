package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/CarterTsai/tcp-shaker/server/internal/connlimit"
)

// What those who scrape may do. net/http has no bound in most of these.
const (
	// MaxConnections bounds the connections, each with a file descriptor. One too many is closed at once.
	MaxConnections = 16

	// maxScrapes bounds the scrapes at a time; beyond it the answer is 503. Each takes some 100 KB, and milliseconds of a core.
	maxScrapes = 4

	// requestTimeout is how long a request may take to come in, its body too, and answerTimeout how long its answer to go out.
	requestTimeout, answerTimeout = 5 * time.Second, 10 * time.Second

	// maxIdle is how long a connection may stay between two scrapes, which are a minute apart by default.
	maxIdle = 2 * time.Minute

	// maxHeaders bounds the headers of a request, in bytes; net/http adds 4 KiB.
	maxHeaders = 8 << 10

	// lastScrape is how long scrapes under way may still take once ctx has ended.
	lastScrape = time.Second
)

// Serve serves /metrics on l, which it closes, until ctx ends; then it returns nil. An error is that of the listener. What goes
// wrong with a scrape is logged to log: a panic in it ends that scrape alone.
//
// A scrape that was cut off at the end may still call stats once, and log, when Serve has returned; an engine's Stats may be called
// after its Close.
func (m *Metrics) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ // HEAD as well
		ErrorLog:            errorLog,
		ErrorHandling:       promhttp.HTTPErrorOnError, // a scrape that tells half looks like one that tells all
		Registry:            m.registry,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}))
	server := &http.Server{
		Handler:                      mux,
		ReadHeaderTimeout:            requestTimeout,
		ReadTimeout:                  requestTimeout,
		WriteTimeout:                 answerTimeout,
		IdleTimeout:                  maxIdle,
		MaxHeaderBytes:               maxHeaders,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     errorLog,
	}
	defer server.Close()
	served := make(chan error, 1)
	go func() { served <- server.Serve(connlimit.New(MaxConnections, MaxConnections).Wrap(l)) }()
	select {
	case err := <-served: // before a stop that is always an error
		return fmt.Errorf("metrics: %v: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastScrape)
	defer cancel()
	_ = server.Shutdown(end) // what is left then, Close ends
	<-served
	return nil
}
