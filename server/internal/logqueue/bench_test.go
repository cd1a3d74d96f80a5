package logqueue

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"
)

// BenchmarkLog: one line of an RPC, straight to a file, a pipe that is read, and the same through a
// Queue.
func BenchmarkLog(b *testing.B) {
	for _, to := range []string{"file", "pipe"} {
		b.Run(to+"/direct", func(b *testing.B) { benchmarkLog(b, target(b, to)) })
		b.Run(to+"/queued", func(b *testing.B) {
			q := New(target(b, to), report)
			benchmarkLog(b, q)
			b.StopTimer()
			q.Close(context.Background())
			b.ReportMetric(float64(q.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

// target returns what a service's standard error may be.
func target(b *testing.B, to string) io.Writer {
	b.Helper()
	if to == "file" {
		f, err := os.CreateTemp(b.TempDir(), "log")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { f.Close() })
		return f
	}
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, r)
	}()
	b.Cleanup(func() {
		w.Close()
		<-read
		r.Close()
	})
	return w
}

func benchmarkLog(b *testing.B, w io.Writer) {
	b.Helper()
	log := slog.New(slog.NewTextHandler(w, nil))
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(context.Background(), slog.LevelInfo, "rpc",
			slog.String("request_id", "0123456789abcdef0123456789abcdef"), slog.String("caller", "edge"),
			slog.String("peer", "192.0.2.7:40000"), slog.String("method", "/tcpshaker.v1.ShakerService/Check"),
			slog.String("code", "OK"), slog.Duration("duration", 1234567*time.Nanosecond),
			slog.Uint64("targets", 1), slog.Uint64("handshakes", 1), slog.Uint64("reachable", 1))
	}
}
