package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzConfigBytes parses any bytes.
func FuzzConfigBytes(f *testing.F) {
	data, err := os.ReadFile(examplePath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, test := range errorTable {
		f.Add([]byte(test.file))
	}
	f.Fuzz(func(t *testing.T, data []byte) { valueXorError(t, data) })
}

// FuzzConfig parses a file that the twin wrote of values it chose, which must come back; and the file again with its end torn
// off, and with one byte changed.
func FuzzConfig(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		twin := &twin{random: rand.New(rand.NewPCG(seed, 5))}
		want := twin.config()
		text := []byte(twin.text.String())
		got, err := Parse("dir/f", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if withoutPositions(got); !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v\n%s", got, want, text)
		}
		torn := text[:twin.random.IntN(len(text))]
		valueXorError(t, torn)
		text[twin.random.IntN(len(text))] = byte(twin.random.IntN(256))
		valueXorError(t, text)
	})
}

// valueXorError parses data, and holds the result to what is promised of every one.
func valueXorError(t *testing.T, data []byte) {
	t.Helper()
	c, err := Parse("f", data)
	if (c == nil) == (err == nil) {
		t.Fatalf("%v and %v", c, err)
	}
	if err != nil {
		inside(t, data, err)
	}
}

// inside fails unless err is an Errors in order, each in one line at a place that data has: at most one behind a line's last
// character.
func inside(t *testing.T, data []byte, err error) {
	t.Helper()
	errs, ok := errors.AsType[Errors](err)
	if !ok || len(errs) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	lines := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
	last := Position{}
	for _, e := range errs {
		at := Position{e.Line, e.Column}
		if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 {
			t.Fatalf("no such place: %v\n%q", e, data)
		}
		if at.Line < last.Line || at.Line == last.Line && at.Column < last.Column {
			t.Fatalf("not in order: %v", errs)
		}
		if strings.Contains(e.Text, "the parser broke") { // an error to operators, and a fault to us
			t.Fatalf("%v\n%q", e, data)
		}
		if last = at; e.Text == "" || strings.ContainsAny(e.Text, "\n\r\t\x00") {
			t.Fatalf("no sentence in one line: %q", e.Text)
		}
	}
}

// twin chooses values and writes them down.
type twin struct {
	random *rand.Rand
	text   strings.Builder
	unique int
}

func (w *twin) line(indent int, format string, args ...any) {
	fmt.Fprintf(&w.text, strings.Repeat("  ", indent)+format+"\n", args...)
	if w.random.IntN(10) == 0 {
		w.text.WriteString("  # a comment: [with, marks]\n\n")
	}
}

func (w *twin) often() bool { return w.random.IntN(3) > 0 }

// word returns one that no other word is.
func (w *twin) word() string {
	w.unique++
	stems := []string{"a", "Zürich", "null", "true", "1.3", "- x", "a: b", "#", "'", "世界", "\"", "&a", "*"}
	return stems[w.random.IntN(len(stems))] + strconv.Itoa(w.unique)
}

// write returns s in a form of YAML.
func (w *twin) write(s string) string {
	if w.random.IntN(2) == 0 {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (w *twin) between(low, high int) int {
	switch w.random.IntN(4) {
	case 0:
		return low
	case 1:
		return high
	}
	return low + w.random.IntN(high-low+1)
}

func (w *twin) config() *Config {
	c := &Config{Path: "dir/f", Reflection: "callers", Audit: "rpcs"}
	w.line(0, "name: %s", w.write(*set(&c.Name, w.word())))
	if w.often() {
		w.line(0, "insecure: %t", *set(&c.Insecure, true))
	}
	if w.often() {
		c.Labels = map[string]string{}
		w.line(0, "labels:")
		for range 1 + w.random.IntN(3) {
			key, value := w.word(), w.word()
			c.Labels[key] = value
			w.line(2, "%s: %s", w.write(key), w.write(value))
		}
	}
	if w.often() {
		w.line(0, "rate: %v", *set(&c.Rate, math.Round(w.random.Float64()*1e8)/64+1))
	}
	if w.often() {
		w.line(0, "max_in_flight: %d", *set(&c.MaxInFlight, w.between(0, 1048576)))
		w.line(0, "max_in_flight_per_address: %d", *set(&c.MaxInFlightPerAddress, w.between(0, 65535)))
		w.line(0, "shards: %d", *set(&c.Shards, w.between(0, 256)))
	}
	if w.often() {
		w.line(0, "name_cache: %v", *set(&c.NameCache, time.Duration(w.between(0, 3600))*time.Second))
		w.line(0, "name_cache_failures: %v", *set(&c.NameCacheFailures, time.Duration(w.between(0, 3600))*time.Second))
	}
	if w.often() {
		w.line(0, "drain_delay: %v", *set(&c.DrainDelay, time.Duration(w.between(0, 300))*time.Second))
		w.line(0, "stream_age: %v", *set(&c.StreamAge, time.Duration(w.between(0, 86400))*time.Second))
		w.line(0, "grace: %v", *set(&c.Grace, time.Duration(w.between(0, 86400))*time.Second))
	}
	if w.often() {
		w.line(0, "log_format: %s", *set(&c.LogFormat, []string{"text", "json"}[w.random.IntN(2)]))
		level := []slog.Level{-4, 0, 4, 8}[w.random.IntN(4)]
		c.LogLevel = &level
		w.line(0, "log_level: %s", strings.ToLower(level.String()))
	}
	if w.often() {
		c.Reflection = []Reflection{"callers", "anyone", "none"}[w.random.IntN(3)]
		c.Audit = []Audit{"rpcs", "probes"}[w.random.IntN(2)]
		w.line(0, "audit: %s", c.Audit)
		w.line(0, "reflection: %s", c.Reflection)
	}
	if w.often() {
		w.line(0, "metrics_listen: unix:/metrics")
		c.MetricsListen = &Address{Text: "unix:/metrics", Path: "/metrics"}
	}
	callers := w.random.IntN(4)
	if callers > 0 || w.often() {
		w.line(0, "listen:")
		for range 1 + w.random.IntN(3) {
			c.Listen = append(c.Listen, w.listener(c.Insecure != nil || callers > 0))
		}
	}
	if w.often() {
		w.line(0, "limits:")
		c.Limits.Rate = w.rate(1)
		w.line(1, "ports_per_address: {ports: %d, window: %ds}", 7, 90)
		c.Limits.Destinations = DestinationLimits{Ports: 7, Window: 90 * time.Second}
		if w.often() {
			w.line(1, "per_prefix:")
			d := &c.Limits.Destinations
			d.PerPrefix = w.rate(2)
			d.IPv4Bits, d.IPv6Bits = w.between(8, 32), w.between(16, 128)
			w.line(2, "ipv4: %d", d.IPv4Bits)
			w.line(2, "ipv6: %d", d.IPv6Bits)
		}
	}
	if callers > 0 {
		w.line(0, "callers:")
	}
	for range callers {
		c.Callers = append(c.Callers, w.caller())
	}
	return c
}

func set[T any](p **T, x T) *T { *p = &x; return &x }

// listener writes one: with TLS where it is open, unless plaintext is.
func (w *twin) listener(mayBeOpen bool) Listener {
	w.unique++
	port := 1024 + w.unique
	if w.random.IntN(3) == 0 {
		path := fmt.Sprintf("/run/%d", port)
		mode := os.FileMode(w.between(0, 0o777))
		w.line(1, "- address: unix:%s", path)
		w.line(2, "mode: '%04o'", mode)
		return Listener{Address: Address{Text: "unix:" + path, Path: path}, Mode: mode}
	}
	host := []string{"127.0.0.1", "localhost"}[w.random.IntN(2)]
	if mayBeOpen {
		host = []string{"", "192.0.2.1", "[2001:db8::1]", "[::]"}[w.random.IntN(4)]
	}
	l := Listener{Address: Address{Text: fmt.Sprintf("%s:%d", host, port), Host: strings.Trim(host, "[]"), Port: uint16(port)}}
	w.line(1, "- address: %s", w.write(l.Text))
	if mayBeOpen {
		w.line(2, "tls:")
		w.line(3, "cert: c")
		w.line(3, "key: k")
		w.line(3, "client_ca: ../ca")
		l.TLS = &TLSFiles{Cert: filepath.Join("dir", "c"), Key: filepath.Join("dir", "k"), ClientCA: "ca", MinVersion: 0x304}
		if w.often() {
			w.line(3, "min_version: '1.2'")
			w.line(3, "client_crl: crl")
			l.TLS.ClientCRL, l.TLS.MinVersion = filepath.Join("dir", "crl"), 0x303
		}
	}
	return l
}

func (w *twin) rate(indent int) Rate {
	r := Rate{PerSecond: float64(w.between(0, 100_000_000))}
	w.line(indent, "probes_per_second: %.0f", r.PerSecond)
	r.Burst = max(16, int(r.PerSecond))
	if w.often() {
		r.Burst = w.between(1, 1_000_000_000)
		w.line(indent, "burst: %d", r.Burst)
	}
	if r.PerSecond == 0 {
		return Rate{}
	}
	return r
}

func (w *twin) caller() Caller {
	w.unique++
	c := Caller{Identity: Identity{Name: fmt.Sprintf("Caller.%d_-", w.unique)}, Allow: []Rule{}}
	w.line(1, "- name: %s", c.Name)
	hash := [32]byte{byte(w.unique), byte(w.unique >> 8), 1}
	c.TokenSHA256 = append(c.TokenSHA256, hash)
	w.line(2, "identity:")
	w.line(3, "token_sha256: ['%s']", hex.EncodeToString(hash[:]))
	if w.often() {
		c.TLSSANs = []string{fmt.Sprintf("spiffe://corp/%d", w.unique), fmt.Sprintf("*.N%d.example", w.unique)}
		w.line(3, "tls_san: [%s, %s]", w.write(c.TLSSANs[0]), w.write(c.TLSSANs[1]))
		c.UIDs = []uint32{uint32(w.unique)}
		w.line(3, "uid: [%d]", w.unique)
	}
	c.Limits = CallerLimits{Outstanding: 200_000, Streams: 64}
	if w.often() {
		w.line(2, "limits:")
		c.Limits = CallerLimits{w.rate(3), w.between(1, 10_000_000), w.between(1, 10_000)}
		w.line(3, "outstanding: %d", c.Limits.Outstanding)
		w.line(3, "streams: %d", c.Limits.Streams)
	}
	w.line(2, "allow:")
	for _, rule := range []string{"10.0.0.0/8:*", "2001:db8::/32:443,8443", "*.corp.example:1-1023", "*:443"} {
		c.Allow = append(c.Allow, Rule{Text: rule})
		w.line(3, "- %s", w.write(rule))
	}
	if w.often() {
		c.Deny = []Rule{{Text: "192.0.2.1:80"}}
		w.line(2, "deny: [192.0.2.1:80]")
	}
	return c
}

// withoutPositions takes them out: the twin does not count lines.
func withoutPositions(c *Config) {
	if c.MetricsListen != nil {
		c.MetricsListen.At = Position{}
	}
	for i := range c.Listen {
		c.Listen[i].At, c.Listen[i].TLSAt = Position{}, Position{}
	}
	for i := range c.Callers {
		caller := &c.Callers[i]
		caller.At, caller.IdentityAt = Position{}, Position{}
		for _, rules := range [][]Rule{caller.Allow, caller.Deny} {
			for i := range rules {
				rules[i].At = Position{}
			}
		}
	}
}
