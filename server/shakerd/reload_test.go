package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// TestWarnsOfAnyOpenListener: --insecure with one listener with TLS before one without still warns.
func TestWarnsOfAnyOpenListener(t *testing.T) {
	everywhere := netip.MustParseAddr("0.0.0.0")
	endpoints := []endpoint{
		{listenAddr: listenAddr{text: "0.0.0.0:443", tls: &identity.TLSFiles{}}, addr: everywhere},
		{listenAddr: listenAddr{text: "0.0.0.0:80"}, addr: everywhere},
	}
	var log strings.Builder
	stop := warnHourly(context.Background(), slog.New(slog.NewTextHandler(&log, nil)), &settings{callers: true}, refused(endpoints, true))
	stop()
	if !strings.Contains(log.String(), "0.0.0.0:80") {
		t.Errorf("no warning: %q", log.String())
	}
}

// TestMissingFileComesLater: a new configuration names a certificate that is copied a minute later. It is loaded then.
func TestMissingFileComesLater(t *testing.T) {
	dir := t.TempDir()
	file, cert := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "new.pem")
	put := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Minute)
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "1")
	first := &settings{options: &options{}, files: []string{file}, stamps: stampsOf([]string{file})}
	loads := 0
	r := newReloader(first, func() (*settings, error) { // as loadSettings: nil where something is wrong
		loads++
		if _, err := os.Stat(cert); err != nil {
			return nil, usageError{errors.New("no certificate")}
		}
		files := []string{file, cert}
		return &settings{options: &options{}, files: files, stamps: stampsOf(files)}, nil
	}, func(*settings) error { return nil }, slog.New(slog.DiscardHandler))
	put(file, "22")
	for range 3 {
		r.look(t.Context())
	}
	if loads == 0 || !r.Stats().Stale {
		t.Fatalf("%d loads, %+v", loads, r.Stats())
	}
	put(cert, "certificate")
	for range 3 {
		r.look(t.Context())
	}
	if r.Stats().Stale {
		t.Errorf("after %d loads still stale, for ever, though all files are there", loads)
	}
}
