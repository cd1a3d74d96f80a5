package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/resolve"
)

func TestFlags(t *testing.T) {
	got, err := parseFlags(strings.Fields("--listen [::1]:0 -listen=unix:/run/x.sock --listen localhost:65535 --listen :1 " +
		"--insecure --metrics-listen [::1]:9090 --name n --label region=eu --label rack= --label k=v=w --rate 0.5 --max-in-flight 7 --max-in-flight-per-address 9 --shards 3 --drain-delay 5m --grace 1m --name-cache 0 --name-cache-failures 1h --stream-age 24h " +
		"--log-format json --log-level warn --version"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []listenAddr{
		{text: "[::1]:0", host: "::1"},
		{text: "unix:/run/x.sock", path: "/run/x.sock", mode: socketMode},
		{text: "localhost:65535", host: "localhost", port: 65535},
		{text: ":1", port: 1},
	}; !slices.Equal(got.listen, want) {
		t.Errorf("listen %+v, want %+v", got.listen, want)
	}
	if want := map[string]string{"region": "eu", "rack": "", "k": "v=w"}; !maps.Equal(got.labels, want) {
		t.Errorf("labels %v, want %v", got.labels, want)
	}
	if want := (listenAddr{text: "[::1]:9090", host: "::1", port: 9090}); got.metricsListen == nil || *got.metricsListen != want {
		t.Errorf("metrics on %+v, want %+v", got.metricsListen, want)
	}
	got.listen, got.labels, got.metricsListen, got.given = nil, nil, nil, nil
	if want := (options{
		insecure: true, name: "n", rate: 0.5, maxInFlight: 7, maxPerAddress: 9, shards: 3, drainDelay: 5 * time.Minute, grace: time.Minute, logJSON: true,
		logLevel: slog.LevelWarn, version: true, nameFailures: time.Hour, streamAge: 24 * time.Hour,
	}); fmt.Sprint(*got) != fmt.Sprint(want) {
		t.Errorf("options %+v, want %+v", *got, want)
	}
}

func TestFlagDefaults(t *testing.T) {
	got, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		listen: []listenAddr{{text: "127.0.0.1:50051", host: "127.0.0.1", port: 50051}},
		labels: map[string]string{}, rate: 20000, grace: 10 * time.Second, logLevel: slog.LevelInfo,
		nameCache: 5 * time.Second, nameFailures: time.Second, streamAge: 30 * time.Minute,
	}
	got.given = nil
	if fmt.Sprint(*got) != fmt.Sprint(want) {
		t.Errorf("options %+v, want %+v", *got, want)
	}
}

// TestBadFlags: each is told on stderr by its name, with exit code 2, and nothing is served.
func TestBadFlags(t *testing.T) {
	long := "unix:/" + strings.Repeat("a", 107)
	tests := []struct {
		args []string
		says string
	}{
		{[]string{"--listen", ""}, "-listen"},
		{[]string{"--listen", "127.0.0.1"}, "-listen"},
		{[]string{"--listen", "127.0.0.1:"}, "-listen"},
		{[]string{"--listen", "127.0.0.1:65536"}, "-listen"},
		{[]string{"--listen", "127.0.0.1:-1"}, "-listen"},
		{[]string{"--listen", "127.0.0.1:http"}, "-listen"},
		{[]string{"--listen", "::1:80"}, "-listen"},
		{[]string{"--listen", "http://127.0.0.1:80"}, "-listen"},
		{[]string{"--listen", "unix:"}, "-listen"},
		{[]string{"--listen", "unix:@abstract"}, "-listen"},
		{[]string{"--listen", "unix:/a\x00b"}, "-listen"},
		{[]string{"--listen", long}, "-listen"},
		{[]string{"--metrics-listen", ""}, "-metrics-listen"},
		{[]string{"--metrics-listen", "9090"}, "-metrics-listen"},
		{[]string{"--metrics-listen", "127.0.0.1:70000"}, "-metrics-listen"},
		{[]string{"--metrics-listen", "unix:"}, "-metrics-listen"},
		{[]string{"--metrics-listen", "unix:/a", "--metrics-listen", "unix:/b"}, "-metrics-listen"},
		{[]string{"--name", "\xff"}, "-name"},
		{[]string{"--label", "x"}, "-label"},
		{[]string{"--label", "=x"}, "-label"},
		{[]string{"--label", "x=\xff"}, "-label"},
		{[]string{"--label", "x=1", "--label", "x=2"}, "-label"},
		{[]string{"--rate", "-1"}, "-rate"},
		{[]string{"--rate", "NaN"}, "-rate"},
		{[]string{"--rate", "Inf"}, "-rate"},
		{[]string{"--rate", "many"}, "-rate"},
		{[]string{"--max-in-flight", "-1"}, "-max-in-flight"},
		{[]string{"--max-in-flight", "1e3"}, "-max-in-flight"},
		{[]string{"--max-in-flight-per-address", "-1"}, "-max-in-flight-per-address"},
		{[]string{"--max-in-flight-per-address", "65536"}, "-max-in-flight-per-address"},
		{[]string{"--shards", "-1"}, "-shards"},
		{[]string{"--shards", "257"}, "-shards"},
		{[]string{"--shards", "99999999999999999999"}, "-shards"},
		{[]string{"--name-cache", "-1s"}, "-name-cache"},
		{[]string{"--name-cache", "5"}, "-name-cache"},
		{[]string{"--name-cache-failures", "1h1s"}, "-name-cache-failures"},
		{[]string{"--stream-age", "999ms"}, "-stream-age"},
		{[]string{"--stream-age", "24h1s"}, "-stream-age"},
		{[]string{"--stream-age", "-1s"}, "-stream-age"},
		{[]string{"--stream-age", "30"}, "-stream-age"},
		{[]string{"--drain-delay", "-1s"}, "-drain-delay"},
		{[]string{"--drain-delay", "5"}, "-drain-delay"},
		{[]string{"--drain-delay", "5m1s"}, "-drain-delay"},
		{[]string{"--grace", "-1s"}, "-grace"},
		{[]string{"--grace", "10"}, "-grace"},
		{[]string{"--log-format", "xml"}, "-log-format"},
		{[]string{"--log-level", "INFO+1"}, "-log-level"},
		{[]string{"--insecure=perhaps"}, "-insecure"},
		{[]string{"--no-such-flag"}, "-no-such-flag"},
		{[]string{"--name"}, "-name"},
		{[]string{"127.0.0.1:80"}, "127.0.0.1:80"},
		{[]string{"--insecure", "false"}, "false"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), tt.args, &stdout, &stderr); code != exitUsage {
			t.Errorf("%q: exit %d, want %d", tt.args, code, exitUsage)
		}
		if stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("%q: stdout %q, stderr %q; want stderr to name %s", tt.args, &stdout, &stderr, tt.says)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, tt := range []struct {
		arg, says string
	}{
		{"-h", usage},
		{"--help", usage},
		{"--version", "shakerd " + version() + " go1."},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{tt.arg}, &stdout, &stderr); code != exitOK {
			t.Errorf("%s: exit %d, want %d", tt.arg, code, exitOK)
		}
		if !strings.HasPrefix(stdout.String(), tt.says) || stderr.Len() > 0 {
			t.Errorf("%s: stdout %q, stderr %q", tt.arg, &stdout, &stderr)
		}
	}
}

// TestUsage holds the text of -h to the flags, both ways, and to its defaults.
func TestUsage(t *testing.T) {
	var told, are []string
	for _, line := range regexp.MustCompile(`(?m)^ +(?:-h, )?--([a-z-]+)`).FindAllStringSubmatch(usage, -1) {
		told = append(told, line[1])
	}
	flagSet(&options{}).VisitAll(func(f *flag.Flag) { are = append(are, f.Name) })
	are = append(are, "help")
	slices.Sort(told)
	slices.Sort(are)
	if !slices.Equal(told, are) {
		t.Errorf("-h tells of %q; there are %q", told, are)
	}
	for _, text := range []string{
		fmt.Sprintf("default %v)", resolve.DefaultKeep), fmt.Sprintf("default %v)", resolve.DefaultKeepFailures),
		"default " + defaultListen, fmt.Sprintf("default %d)", defaultRate), fmt.Sprintf("default %v)", defaultGrace),
		fmt.Sprintf("at most %d", maxProbes),
	} {
		if !strings.Contains(usage, text) {
			t.Errorf("-h does not say %q", text)
		}
	}
	if _, err := parseFlags([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}
