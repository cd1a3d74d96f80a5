package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/metrics"
)

const (
	// lookEvery is how often the files are looked at, by their stamps.
	lookEvery = 10 * time.Second

	// settled is how long a file must have been left alone before it is read without having been asked to: an editor or a copy
	// that writes in place may be half-way, and a new certificate may be there before its key. (Who renames one finished file over
	// the old one need not care.)
	settled = 2 * time.Second
)

// reloader puts changed files in force: the configuration, and the certificates that it names. What cannot be loaded changes
// nothing.
type reloader struct {
	load  func() (*settings, error)
	apply func(*settings) error
	log   *slog.Logger

	now func() time.Time

	// Of its goroutine alone:
	files []string // what is watched
	told  string   // the error of the last try, while what is in force is stale
	tried stamps   // of the files as they were when they were last loaded, or not
	seen  stamps   // at the last look

	mu    sync.Mutex
	stats metrics.Reloads
}

// newReloader returns one for what is in force since the start.
func newReloader(first *settings, load func() (*settings, error), apply func(*settings) error, log *slog.Logger) *reloader {
	r := &reloader{load: load, apply: apply, log: log, now: time.Now, files: first.files, tried: first.stamps}
	r.seen = r.tried
	r.stats.Loaded, r.stats.CertificateEnd = r.now(), first.certificateEnd
	return r
}

// startReloads watches what o was loaded from, until stop; nothing, where there is no file.
func startReloads(
	ctx context.Context, args []string, o *settings, control *access.Control, level *slog.LevelVar, log *slog.Logger,
) *reloads {
	current := o
	r := newReloader(o, func() (*settings, error) { return loadSettings(args) }, func(next *settings) error {
		if keys := current.needsRestart(next); len(keys) > 0 {
			return fmt.Errorf("%s: what has changed needs a restart: %s", next.config, strings.Join(keys, ", "))
		}
		if err := control.Update(next.access); err != nil {
			return err
		}
		level.Set(next.logLevel)
		current = next
		return nil
	}, log)
	if o.config == "" {
		return &reloads{r, func() {}}
	}
	ctx, cancel := context.WithCancel(ctx)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	look := time.NewTicker(lookEvery)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(ctx, asked, look.C)
	}()
	return &reloads{r, func() {
		cancel()
		<-ended
		look.Stop()
		signal.Stop(asked)
	}}
}

// reloads is a reloader at work, and what ends it.
type reloads struct {
	*reloader
	stop func()
}

// Stats is what /metrics tells. From any goroutine.
func (r *reloader) Stats() metrics.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// run loads when asked gives something, and looks when look does, until ctx ends.
func (r *reloader) run(ctx context.Context, asked <-chan os.Signal, look <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			r.try(ctx, askedFor)
		case <-look:
			r.look(ctx)
		}
	}
}

// look tries the files if they have changed since they were last tried, and seem to be finished.
func (r *reloader) look(ctx context.Context) {
	now := stampsOf(r.files)
	before := r.seen
	r.seen = now
	if now.equal(r.tried) {
		if r.told != "" { // what is missing may be a file that only the new configuration names
			r.try(ctx, "files could not be loaded")
		}
		return
	}
	if !now.equal(before) && now.youngerThan(r.now().Add(-settled)) {
		return // at the next look, when they have not changed any more
	}
	r.try(ctx, "files have changed")
}

// askedFor is why an operator's reload is tried.
const askedFor = "SIGHUP"

// loadSafely makes an error of a panic: whatever a file holds, what was loaded before stays in force.
func (r *reloader) loadSafely() (s *settings, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return r.load()
}

// try loads the files and puts what they say in force.
func (r *reloader) try(ctx context.Context, why string) {
	before := stampsOf(r.files)
	next, err := r.loadSafely()
	if err == nil && !next.stamps.equal(stampsOf(next.files)) {
		err = errors.New("the files changed while they were read")
	}
	if err == nil {
		err = r.apply(next)
	}
	if err != nil {
		r.tried = before
		if err.Error() == r.told && why != askedFor {
			return // it has been told
		}
		r.told = err.Error()
		r.tell(func(s *metrics.Reloads) { s.Failed++; s.Stale = true })
		r.logFailure(ctx, why, err)
		return
	}
	r.files, r.tried, r.seen, r.told = next.files, next.stamps, next.stamps, ""
	r.tell(func(s *metrics.Reloads) {
		s.Succeeded++
		s.Stale, s.Loaded, s.CertificateEnd = false, r.now(), next.certificateEnd
	})
	r.log.LogAttrs(ctx, slog.LevelInfo, "configuration loaded", slog.String("why", why), next.summary())
	next.warn(ctx, r.log)
}

func (r *reloader) tell(change func(*metrics.Reloads)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.stats)
}

// logFailure writes a line for each error, and one that says what holds.
func (r *reloader) logFailure(ctx context.Context, why string, err error) {
	for _, text := range errorTexts(err) {
		r.log.LogAttrs(ctx, slog.LevelError, "configuration error", slog.String("error", text))
	}
	r.log.LogAttrs(ctx, slog.LevelError, "the configuration was not loaded; what was loaded before stays in force",
		slog.String("why", why))
}
