package main

import (
	"context"
	"log/slog"
	"time"
)

// warnEvery is how often an operator is told of what --insecure has opened.
const warnEvery = time.Hour

// warnHourly says at once, and each hour, that others can ask without TLS or without being known, at open, which only --insecure
// lets be (refused); nothing, where it is nil. stop ends it, and returns when nothing is logged any more.
func warnHourly(ctx context.Context, log *slog.Logger, s *settings, open *endpoint) (stop func()) {
	if open == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	warn := func() {
		text := "open to other machines without TLS (--insecure): who is on the way can read and change what is said"
		if !s.callers {
			text = "open to other machines, and callers are not asked who they are (--insecure): whoever reaches this service can " +
				"probe what this host can reach"
		}
		log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("listen", open.text))
	}
	warn()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(warnEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				warn()
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
