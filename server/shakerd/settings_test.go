package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// write writes a file of a test, and returns its path.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "shakerd.yaml"), text)
}

// edgeCaller is a caller whose token nobody has.
const edgeCaller = `
callers:
  - name: edge
    identity: {token_sha256: ["4f0c2a5e1d7b9386c1e24a7f58d03b96ea7d12c4905f8b63d2714ec8a9b5f031"]}
    allow: ["192.0.2.0/24:*"]
    deny: ["192.0.2.9:*"]
    limits: {probes_per_second: 10, burst: 300, outstanding: 7, streams: 3}
`

// TestFlagsBeatTheFile: each key that is a flag too.
func TestFlagsBeatTheFile(t *testing.T) {
	file := configFile(t, `
listen: [{address: "127.0.0.1:1"}, {address: "unix:/run/x.sock", mode: "0660"}]
insecure: true
metrics_listen: 127.0.0.1:2
name: file
labels: {a: file, b: file}
rate: 1
max_in_flight: 2
max_in_flight_per_address: 5
shards: 3
name_cache: 5m
name_cache_failures: 6m
stream_age: 7m
drain_delay: 3s
grace: 4s
log_format: json
log_level: error
`)
	fromFile, err := loadSettings([]string{"--config", file})
	if err != nil {
		t.Fatal(err)
	}
	if o := fromFile.options; len(o.listen) != 2 || o.listen[1].mode != 0o660 || !o.insecure || o.metricsListen.port != 2 || o.name != "file" ||
		len(o.labels) != 2 || o.rate != 1 || o.maxInFlight != 2 || o.maxPerAddress != 5 || o.shards != 3 || o.drainDelay != 3*time.Second || o.grace != 4*time.Second || !o.logJSON ||
		o.logLevel != slog.LevelError || o.nameCache != 5*time.Minute || o.nameFailures != 6*time.Minute || o.streamAge != 7*time.Minute {
		t.Errorf("of the file: %+v", o)
	}
	both, err := loadSettings([]string{
		"--config", file, "--listen", "[::1]:7", "--insecure=false", "--metrics-listen", "[::1]:8", "--name", "flag", "--label", "a=flag",
		"--rate", "10", "--max-in-flight", "20", "--max-in-flight-per-address", "50", "--shards", "30", "--drain-delay", "30s", "--grace", "40s", "--log-format", "text", "--log-level", "warn",
		"--name-cache", "50m", "--name-cache-failures", "0", "--stream-age", "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o := both.options; len(o.listen) != 1 || o.listen[0].port != 7 || o.insecure || o.metricsListen.port != 8 || o.name != "flag" ||
		o.labels["a"] != "flag" || o.labels["b"] != "file" || o.rate != 10 || o.maxInFlight != 20 || o.maxPerAddress != 50 || o.shards != 30 ||
		o.drainDelay != 30*time.Second || o.grace != 40*time.Second || o.logJSON || o.logLevel != slog.LevelWarn || o.nameCache != 50*time.Minute || o.nameFailures != 0 || o.streamAge != 0 {
		t.Errorf("of both: %+v", o)
	}
	if keys := fromFile.needsRestart(both); len(keys) != 15 {
		t.Errorf("a restart is needed for %q", keys)
	}
	if keys := fromFile.needsRestart(fromFile); len(keys) != 0 {
		t.Errorf("a restart is needed for %q", keys)
	}
}

// TestSettingsOfCallers: all that the file says of callers and limits comes to those who keep to it.
func TestSettingsOfCallers(t *testing.T) {
	s, err := loadSettings([]string{"--config", configFile(t, edgeCaller+`
limits:
  probes_per_second: 1000
  burst: 2000
  per_address: {probes_per_second: 1, burst: 2}
  per_prefix: {ipv4: 20, ipv6: 56, probes_per_second: 3, burst: 4}
  ports_per_address: {ports: 5, window: 6s}
reflection: anyone
audit: probes
`)})
	if err != nil {
		t.Fatal(err)
	}
	a := s.access
	if !s.callers || a.Identity == nil || a.Anyone || len(a.Callers) != 1 || s.rules != 2 || a.Reflection != access.ByAnyone || !a.AuditProbes {
		t.Fatalf("%+v", a)
	}
	if c := a.Callers[0]; c.Name != "edge" || c.Rate.PerSecond != 10 || c.Rate.Burst != 300 || c.Outstanding != 7 || c.RPCs != 3 ||
		c.Rules.AllowName("x.example", 80) == nil {
		t.Errorf("%+v", c)
	}
	if d := a.Destinations; a.Rate.PerSecond != 1000 || a.Rate.Burst != 2000 || d.PerAddress.PerSecond != 1 || d.PerAddress.Burst != 2 ||
		d.PerPrefix.PerSecond != 3 || d.PerPrefix.Burst != 4 || d.IPv4Bits != 20 || d.IPv6Bits != 56 || d.Ports != 5 || d.Window != 6*time.Second {
		t.Errorf("%+v", a)
	}
	if _, err := access.New(a); err != nil {
		t.Error(err)
	}
}

// TestCheckConfig: "--check-config says OK or lists all errors, exit 2".
func TestCheckConfig(t *testing.T) {
	for _, tt := range []struct {
		text string
		code int
		says []string
	}{
		{edgeCaller, exitOK, []string{": OK\n"}},
		{strings.Replace(edgeCaller, "outstanding: 7", "watched: 100000", 1), exitOK, []string{"warning: ", ": watched does nothing yet: ", ": OK\n"}},
		{"", exitUsage, []string{"empty"}},
		{"nmae: x\nrate: fast\nlisten: [{address: 0.0.0.0:1}]\n", exitUsage, []string{
			":1:1: unknown key \"nmae\"", ":2:7: rate must be", ":3:20: \"0.0.0.0:1\" is open to other machines and needs tls and callers",
		}},
		{
			"listen: [{address: 127.0.0.1:1, tls: {cert: none.pem, key: none.key}}, {address: 127.0.0.1:2, tls: {cert: none2.pem, key: none.key}}]\n",
			exitUsage,
			[]string{":1:38: ", "none.pem", "none2.pem", "none.key"},
		},
		{
			"nmae: x\nlisten: [{address: 127.0.0.1:1, tls: {cert: none.pem, key: none.key}}, {address: 127.0.0.1:2, tls: {cert: none2.pem}}]\n",
			exitUsage,
			[]string{":1:1: unknown key", ":2:38: certificate ", "none.pem", ":2:38: key ", "none.key", ":2:100: tls needs the key \"key\""},
		},
		{
			"callers:\n- {name: a, identity: {uid: [1]}, allow: [" + strings.Repeat("x, ", 1499) + "last]}\nlisten: [{address: unix:a}]\n",
			exitUsage,
			[]string{"the rule \"last\""},
		},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"--config", configFile(t, tt.text), "--check-config"}, &out, &errs)
		said := out.String() + errs.String()
		if code != tt.code {
			t.Errorf("%q: exit %d, want %d: %s", tt.text, code, tt.code, said)
		}
		for _, says := range tt.says {
			if !strings.Contains(said, says) {
				t.Errorf("%q: says %s, not %q", tt.text, said, says)
			}
		}
	}
	for _, args := range [][]string{{"--check-config"}, {"--config", filepath.Join(t.TempDir(), "none")}, {"--config", ""}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitUsage {
			t.Errorf("%q: exit %d: %s", args, code, &errs)
		}
	}
}

// TestRefusedEndpoints: "non-loopback without TLS+callers does not start", whatever of the two is missing.
func TestRefusedEndpoints(t *testing.T) {
	for _, tt := range []struct {
		loopback, tls, callers bool
		refused                bool
	}{
		{true, false, false, false},
		{true, true, true, false},
		{false, false, false, true},
		{false, true, false, true},
		{false, false, true, true},
		{false, true, true, false},
	} {
		e := endpoint{loopback: tt.loopback}
		if tt.tls {
			e.tls = new(identity.TLSFiles)
		}
		if got := refused([]endpoint{{loopback: true}, e}, tt.callers) != nil; got != tt.refused {
			t.Errorf("%+v: refused %t", tt, got)
		}
	}
}

// TestInsecureWarnsHourly: "--insecure logs a warning each hour", of what is open.
func TestInsecureWarnsHourly(t *testing.T) {
	for _, tt := range []struct {
		tls, callers, shared bool
		says                 string
	}{
		{false, false, true, "not asked who they are"},
		{true, false, true, "not asked who they are"},
		{false, true, true, "without TLS"},
		{true, true, true, ""},
		{false, false, false, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var shared *endpoint
			if tt.shared {
				e := endpoint{}
				if tt.tls {
					e.tls = new(identity.TLSFiles)
				}
				shared = refused([]endpoint{{loopback: true}, e}, tt.callers)
			}
			stop := warnHourly(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), &settings{callers: tt.callers}, shared)
			time.Sleep(3*time.Hour + time.Minute) // the bubble's
			synctest.Wait()
			stop()
			want := 0
			if tt.says != "" {
				want = 4
			}
			if n := strings.Count(log.String(), "level=WARN"); n != want || strings.Count(log.String(), tt.says) < want {
				t.Errorf("%+v: %d warnings, want %d: %s", tt, n, want, &log)
			}
		})
	}
}

// reloading is a reloader of a test, whose loads and applications are counted.
type reloading struct {
	*reloader
	path           string
	loads, applied int
	fails          error
	log            *bytes.Buffer
}

func newReloading(t *testing.T) *reloading {
	t.Helper()
	r := &reloading{path: configFile(t, edgeCaller), log: new(bytes.Buffer)}
	first, err := loadSettings([]string{"--config", r.path})
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(r.path, old, old); err != nil {
		t.Fatal(err)
	}
	first.stamps = stampsOf(first.files)
	r.reloader = newReloader(first, func() (*settings, error) {
		r.loads++
		return loadSettings([]string{"--config", r.path})
	}, func(*settings) error {
		r.applied++
		return r.fails
	}, slog.New(slog.NewTextHandler(r.log, nil)))
	return r
}

// TestReloader: files that change are loaded once they are left alone, what is broken is told and tried once, and what was loaded
// before stays.
func TestReloader(t *testing.T) {
	r := newReloading(t)
	ctx := context.Background()
	at := time.Now()
	r.now = func() time.Time { return at }
	change := func(text string, ago time.Duration) {
		t.Helper()
		write(t, r.path, text)
		info, err := os.Stat(r.path)
		if err != nil {
			t.Fatal(err)
		}
		at = info.ModTime().Add(ago) // it is the clock that moves: nobody can choose the time of a change
	}
	want := func(what string, loads, applied int, stale bool) {
		t.Helper()
		if r.loads != loads || r.applied != applied || r.Stats().Stale != stale {
			t.Errorf("%s: %d loads, %d applied, stale %t; want %d, %d, %t\n%s", what, r.loads, r.applied, r.Stats().Stale, loads, applied, stale, r.log)
		}
	}
	r.look(ctx)
	want("nothing has changed", 0, 0, false)
	change(edgeCaller+"\n", time.Second)
	r.look(ctx)
	want("changed a second ago", 0, 0, false)
	r.look(ctx)
	want("not changed any more", 1, 1, false)
	r.look(ctx)
	want("loaded already", 1, 1, false)
	change(edgeCaller[:len(edgeCaller)/2], time.Minute)
	r.look(ctx)
	want("torn", 2, 1, true)
	r.look(ctx)
	want("torn, tried again and told once", 3, 1, true)
	change(edgeCaller, 50*time.Second)
	r.look(ctx)
	want("mended", 4, 2, false)
	r.try(ctx, askedFor)
	want("asked to", 5, 3, false)
	r.fails = context.Canceled
	r.try(ctx, askedFor)
	want("not to be applied", 6, 4, true)
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.look(ctx)
	r.look(ctx)
	want("removed", 8, 4, true)
	if s := r.Stats(); s.Succeeded != 3 || s.Failed != 3 {
		t.Errorf("%+v", s)
	}
	for _, says := range []string{"configuration loaded", "stays in force", "configuration error"} {
		if !strings.Contains(r.log.String(), says) {
			t.Errorf("the log does not say %q: %s", says, r.log)
		}
	}
}
