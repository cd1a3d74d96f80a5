package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// late is a duration that is known only when it is logged.
type late struct{}

func (late) LogValue() slog.Value { return slog.DurationValue(12300 * time.Microsecond) }

// TestDurationsAreText: a duration stands in a JSON line as it does in a text line, wherever in the
// line it is, and nothing else changes.
func TestDurationsAreText(t *testing.T) {
	d := 12300 * time.Microsecond
	write := func(asJSON bool) string {
		var line bytes.Buffer
		log := newLogger(&options{logJSON: asJSON}, slog.LevelInfo, &line)
		log.With("with", d).WithGroup("g").With("inner", d).Warn("x", slog.Duration("duration", d), slog.Any("any", d), "late", late{},
			slog.Group("h", slog.Duration("deep", d), slog.Int("n", 12300000)), slog.Duration("none", 0), slog.Bool("ok", true))
		return line.String()
	}
	text, object := write(false), write(true)
	for _, want := range []string{
		"with=12.3ms", "g.inner=12.3ms", "g.duration=12.3ms", "g.any=12.3ms", "g.late=12.3ms", "g.h.deep=12.3ms", "g.none=0s",
	} {
		if !strings.Contains(text, " "+want+" ") {
			t.Errorf("%s: no %s", text, want)
		}
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(object), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Errorf("time: %v", err)
	}
	if want := `"level":"WARN","msg":"x","with":"12.3ms","g":{"inner":"12.3ms","duration":"12.3ms","any":"12.3ms","late":"12.3ms",` +
		`"h":{"deep":"12.3ms","n":12300000},"none":"0s","ok":true}}` + "\n"; !strings.HasSuffix(object, want) {
		t.Errorf("%s, want %s", object, want)
	}
}

func BenchmarkLogger(b *testing.B) {
	for name, o := range map[string]*options{"text": {}, "json": {logJSON: true}} {
		b.Run(name, func(b *testing.B) {
			var line bytes.Buffer
			log := newLogger(o, slog.LevelInfo, &line)
			b.ReportAllocs()
			for b.Loop() {
				line.Reset()
				log.LogAttrs(b.Context(), slog.LevelInfo, "rpc",
					slog.String("request_id", "0123456789abcdef0123456789abcdef"), slog.String("caller", "edge"),
					slog.String("peer", "192.0.2.7:40000"), slog.String("method", "/tcpshaker.v1.ShakerService/Check"),
					slog.String("code", "OK"), slog.Duration("duration", 1234567*time.Nanosecond),
					slog.Uint64("targets", 1), slog.Uint64("handshakes", 1), slog.Uint64("reachable", 1))
			}
		})
	}
}
