package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestNotNamed: what a file does not name is nil, or has its default; flags tell the two apart.
func TestNotNamed(t *testing.T) {
	c, err := Parse("f", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Config{Path: "f", Reflection: ReflectionCallers, Audit: AuditRPCs}); !reflect.DeepEqual(*c, want) {
		t.Errorf("%+v", c)
	}
	c, err = Parse("f", []byte("insecure: false\nrate: 0\nmax_in_flight: 0\nmax_in_flight_per_address: 0\nshards: 0\ndrain_delay: 0s\ngrace: 0s\nlabels: {}\nlog_level: info\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Insecure == nil || c.Rate == nil || c.MaxInFlight == nil || c.MaxInFlightPerAddress == nil || c.Shards == nil || c.DrainDelay == nil || c.Grace == nil || c.Labels == nil ||
		c.LogLevel == nil || *c.Insecure || *c.Rate != 0 || *c.MaxInFlight != 0 || *c.MaxInFlightPerAddress != 0 || *c.Shards != 0 || *c.DrainDelay != 0 || *c.Grace != 0 || *c.LogLevel != 0 {
		t.Errorf("%+v", c)
	}
}

// TestDefaults: those of keys below others.
func TestDefaults(t *testing.T) {
	c, err := Parse("f", []byte(caller+`
- {name: b, identity: {token_sha256: [`+token2+`]}, allow: [], limits: {probes_per_second: 1000.5}}
limits:
  probes_per_second: 0.5
  per_address: {probes_per_second: 20}
  per_prefix: {probes_per_second: 3}
  ports_per_address: {ports: 128}
listen: [{address: unix:a}, {address: unix:b, mode: "0000"}, {address: 127.0.0.1:0}, {address: 127.0.0.1:0}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Callers[0].Limits, (CallerLimits{Outstanding: 200_000, Streams: 64}); got != want {
		t.Errorf("a caller without limits: %+v", got)
	}
	if got, want := c.Callers[1].Limits, (CallerLimits{Rate{1000.5, 1001}, 200_000, 64}); got != want {
		t.Errorf("a caller with a rate: %+v", got)
	}
	if got, want := c.Limits, (Limits{Rate{0.5, 16}, DestinationLimits{
		PerAddress: Rate{20, 20}, PerPrefix: Rate{3, 16}, IPv4Bits: 24, IPv6Bits: 64, Ports: 128, Window: time.Minute,
	}}); got != want {
		t.Errorf("limits: %+v", got)
	}
	if c.Listen[0].Mode != 0o600 || c.Listen[1].Mode != 0 || c.Callers[0].Allow == nil || c.Callers[0].Deny != nil {
		t.Errorf("%+v", c)
	}
}

// TestWarnings: a key that is of use in a later version only is read, and told of, with its place, once.
func TestWarnings(t *testing.T) {
	c, err := Parse("f", []byte(caller+"  limits: &l {streams: 5, watched: 100000}\n- {name: b, identity: {token_sha256: ["+token2+"]}, allow: [], limits: *l}\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "f:5:27: watched does nothing yet: this version has no Watch"
	if c.Warnings.Error() != want || c.Callers[1].Limits.Streams != 5 {
		t.Errorf("%s, %+v", c.Warnings, c.Callers[1].Limits)
	}
}

// TestGiven: other keys are judged by what the command line says, and an address of a name is left to whoever looks it up.
func TestGiven(t *testing.T) {
	const open, byUID = "listen: [{address: ':1'}]\n", "callers: [{name: a, identity: {uid: [1]}, allow: []}]\n"
	yes, no := true, false
	for _, test := range []struct {
		name, file string
		given      Given
		ok         bool
	}{
		{"open", open, Given{}, false},
		{"--insecure", open, Given{Insecure: &yes}, true},
		{"--insecure=false", open + "insecure: true\n", Given{Insecure: &no}, false},
		{"--listen", open, Given{Listen: []string{"127.0.0.1:1"}}, true},
		{"uid", byUID, Given{}, false},
		{"uid, --listen unix:", byUID, Given{Listen: []string{"unix:a"}}, true},
		{"uid and a socket, --listen", byUID + "listen: [{address: unix:a}]\n", Given{Listen: []string{"127.0.0.1:1"}}, false},
		{"name", "listen: [{address: 'host.example:1'}]\n", Given{}, true},
		{"loopback", "listen: [{address: '127.255.0.1:1'}, {address: '[::1]:1'}, {address: unix:x}]\n", Given{}, true},
		{"open as it should be", caller + "listen: [{address: ':1', tls: {cert: a, key: b}}]\n", Given{}, true},
	} {
		if _, err := test.given.Parse("f", []byte(test.file)); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestRefusal: for who looked up a name.
func TestRefusal(t *testing.T) {
	c, err := Parse("f", []byte("listen: [{address: 'host.example:1'}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	l := &c.Listen[0]
	if _, known := l.Loopback(); known {
		t.Error("a name is known")
	}
	if got := c.Refusal(l); !strings.HasPrefix(got, `"host.example:1" is open to other machines and needs tls and callers`) {
		t.Error(got)
	}
	l.TLS, c.Callers = &TLSFiles{}, make([]Caller, 1)
	if got := c.Refusal(l); got != "" {
		t.Error(got)
	}
}

// TestFiles: what to watch, relative to the configuration's directory; nothing of it need be there.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shakerd.yaml")
	absolute := filepath.ToSlash(filepath.Join(dir, "x", "key"))
	file := "listen:\n- {address: '127.0.0.1:1', tls: {cert: c, key: '" + absolute + "', client_ca: tls/ca, client_crl: ../crl}}\n" +
		"- {address: '127.0.0.1:2', tls: {cert: ./c, key: k}}\n- {address: unix:s}\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(elements ...string) string { return filepath.Join(append([]string{dir}, elements...)...) }
	want := []string{path, in("c"), absolute, in("tls", "ca"), in("..", "crl"), in("k")}
	if got := c.Files(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestLoadSaysWhatTheSystemSays where the file cannot be read.
func TestLoadSaysWhatTheSystemSays(t *testing.T) {
	if c, err := Load(filepath.Join(t.TempDir(), "none")); c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, %v", c, err)
	}
	if c, err := Load(t.TempDir()); c != nil || err == nil {
		t.Errorf("a directory: %v, %v", c, err)
	}
}

// TestLoadReadsNoMoreThanItTakes: a file of any size costs 8 MiB.
func TestLoadReadsNoMoreThanItTakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<34); err != nil { // a hole, of 16 GiB
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || err.Error() != path+":1:1: the file is larger than 8 MiB" {
		t.Error(err)
	}
}

// TestWhatIsTaken: forms that look as if they might not be.
func TestWhatIsTaken(t *testing.T) {
	for _, file := range []string{
		"\ufeffname: a\n", "name: a\r\nrate: 1\r\n", "%YAML 1.1\n---\nname: a\n...\n", "---\nname: a\n...\n# end\n",
		`{"name": "a", "rate": 5}`,
		"name: é\u00a0世界🙂\n",
		"rate: 2.5e4\n", "rate: 0.0\n", "rate: -0\n", "insecure: True\n", "grace: 1m30.5s\n",
		"labels: {a: '', 'b c': =}\n",
		"labels: {a: &x y, b: *x}\n", "name: >\n  folded\nrate: 1\n",
	} {
		_, err := Parse("f", []byte(file))
		if folded := strings.HasPrefix(file, "name: >"); folded != (err != nil) {
			t.Errorf("%q: %v", file, err)
		}
	}
}
