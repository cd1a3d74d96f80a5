package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/grpclog"

	"github.com/CarterTsai/tcp-shaker/server/internal/logqueue"
)

// flushTime bounds how long the end of the process waits for the reader of standard error.
const flushTime = time.Second

// logQueue stands between the log and standard error, so that a log that nobody reads holds up
// nothing.
type logQueue struct {
	*logqueue.Queue
	logJSON atomic.Bool // the log's form; set once the settings are loaded
}

func newLogQueue(w io.Writer) *logQueue {
	q := new(logQueue)
	q.Queue = logqueue.New(w, q.report)
	return q
}

// report returns the line that stands in the place of dropped ones. It is written at any
// --log-level.
func (q *logQueue) report(dropped uint64) []byte {
	var line bytes.Buffer
	log := newLogger(&options{logJSON: q.logJSON.Load()}, slog.LevelWarn, &line)
	log.LogAttrs(context.Background(), slog.LevelWarn,
		"log lines were dropped here: standard error was read too slowly, or not at all", slog.Uint64("dropped", dropped))
	return line.Bytes()
}

// logGRPC makes gRPC's own messages, by default its errors, go the way of the log. Operators who
// set GRPC_GO_LOG_SEVERITY_LEVEL get what gRPC documents: standard error itself. Call it before any
// other function of gRPC.
func logGRPC(w io.Writer) {
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, w))
	}
}

// newLogger returns the log of o in front of w.
func newLogger(o *options, level slog.Leveler, w io.Writer) *slog.Logger {
	handler := &slog.HandlerOptions{Level: level}
	if o.logJSON {
		handler.ReplaceAttr = durationText
		return slog.New(slog.NewJSONHandler(w, handler))
	}
	return slog.New(slog.NewTextHandler(w, handler))
}

// durationText makes text of a duration, such as "12.3ms", as slog's text form has it. Its JSON
// form has a bare number of nanoseconds.
func durationText(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		// Without this, slog encodes the level by way of encoding/json, at 2.5 µs a line.
		if level, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(level.String())
		}
	}
	return a
}
