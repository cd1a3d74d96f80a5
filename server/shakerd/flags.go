package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/CarterTsai/tcp-shaker/server"
	"github.com/CarterTsai/tcp-shaker/server/config"
	"github.com/CarterTsai/tcp-shaker/server/resolve"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// Defaults of the flags.
const (
	defaultListen = "127.0.0.1:50051"
	defaultRate   = 20000
	defaultGrace  = 10 * time.Second
)

// usage is what -h prints. A test holds it to the flags that there are.
const usage = `Usage: shakerd [flags]

shakerd serves tcpshaker.v1.ShakerService over gRPC: whether TCP targets answer, as seen from this machine.

  --config FILE        read what follows, and who may ask about what, from FILE (YAML); flags beat it. SIGHUP reads it anew
  --check-config       say whether FILE, and what it names, can be loaded, and exit: 0 it can, 2 it cannot
  --listen ADDR        where to listen: host:port (port 0: any that is free) or unix:PATH; repeatable
                       (default 127.0.0.1:50051). 0.0.0.0 is all IPv4 addresses; [::], or no host, is all addresses of
                       both families. TLS is for FILE to say
  --insecure           listen on other than loopback addresses, though callers are neither authenticated nor encrypted
  --metrics-listen ADDR
                       where to serve /metrics, for Prometheus, over HTTP: a loopback host:port, or unix:PATH
                       (default: nowhere)
  --name NAME          what GetVantage calls this place (default: the host name)
  --label KEY=VALUE    what GetVantage says of this place; repeatable
  --rate N             handshakes started a second at most; 0: no limit (default 20000)
  --max-in-flight N    handshakes in flight at most; 0: what RLIMIT_NOFILE and tcp_mem leave, at most 65536 (default 0)
  --max-in-flight-per-address N
                       handshakes in flight to one ip:port at most; 0: 128; at least one for each shard, at most half
                       the range of local ports (default 0)
  --shards N           loops of the engine; 0: one for each core (default 0)
  --name-cache D       how long an answer about a name is used again, for all callers; 0: not at all (default 5s)
  --name-cache-failures D
                       the same for a name lookup that failed (default 1s)
  --stream-age D       how old a StreamCheck becomes, give or take a tenth, before it is ended in order and its caller opens
                       another: 1s to 24h; 0: streams have no age (default 30m)
  --drain-delay D      after SIGTERM, how long new calls are still served while health says NOT_SERVING, such as 10s;
                       at most 5m (default 0s)
  --grace D            how long running calls may take after SIGTERM and --drain-delay, such as 30s (default 10s)
  --log-format F       text or json (default text)
  --log-level L        debug, info, warn or error (default info)
  --version            print the version and exit
  -h, --help           print this and exit

SIGTERM or SIGINT ends it in order, a second one at once. SIGHUP reads FILE and the certificates anew.
Exit codes: 0 ended in order, 1 failed or ended at once, 2 wrong flags, or a FILE with errors.
`

// options is the command line, checked, and in its gaps what the file says (fill).
type options struct {
	config        string // the file's path; empty: none
	checkConfig   bool
	listen        []listenAddr
	insecure      bool
	metricsListen *listenAddr // nil: nowhere
	name          string
	labels        map[string]string
	rate          float64
	maxInFlight   int
	maxPerAddress int
	shards        int
	nameCache     time.Duration // 0: off
	nameFailures  time.Duration // 0: off
	streamAge     time.Duration // 0: none
	drainDelay    time.Duration
	grace         time.Duration
	logJSON       bool
	logLevel      slog.Level
	version       bool

	given map[string]bool // flags that were on the command line
}

// parseFlags reads the command line. Errors are flag.ErrHelp, which is none, and usageErrors that name the flag.
func parseFlags(args []string) (*options, error) {
	o := &options{
		labels: make(map[string]string), rate: defaultRate, grace: defaultGrace,
		nameCache: resolve.DefaultKeep, nameFailures: resolve.DefaultKeepFailures, streamAge: server.DefaultStreamAge,
	}
	fs := flagSet(o)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError{err}
	}
	if fs.NArg() > 0 {
		return nil, usageError{fmt.Errorf("unexpected argument %q: shakerd takes flags only", fs.Arg(0))}
	}
	o.given = make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if o.checkConfig && o.config == "" && !o.version {
		return nil, usageError{errors.New("--check-config needs --config FILE")}
	}
	if len(o.listen) == 0 {
		addr, err := parseListen(defaultListen)
		if err != nil {
			return nil, err
		}
		o.listen = []listenAddr{addr}
	}
	return o, nil
}

// flagSet returns the flags, which set o. Their words for -h stand in usage.
func flagSet(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("shakerd", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints errors, and usage, where they belong
	fs.Usage = func() {}

	fs.Func("config", "", func(s string) error { o.config = s; return notEmpty(s) })
	fs.BoolVar(&o.checkConfig, "check-config", false, "")
	fs.Func("listen", "", func(s string) error {
		addr, err := parseListen(s)
		o.listen = append(o.listen, addr)
		return err
	})
	fs.BoolVar(&o.insecure, "insecure", false, "")
	fs.Func("metrics-listen", "", func(s string) error {
		if o.metricsListen != nil {
			return errors.New("is given twice")
		}
		addr, err := parseListen(s)
		o.metricsListen = &addr
		return err
	})
	fs.Func("name", "", func(s string) error { o.name = s; return checkText(s) })
	fs.Func("label", "", o.addLabel)
	fs.Func("rate", "", func(s string) (err error) { o.rate, err = parseRate(s); return err })
	fs.Func("max-in-flight", "", intVar(&o.maxInFlight, 1<<20))
	fs.Func("max-in-flight-per-address", "", intVar(&o.maxPerAddress, shaker.MaxMaxInFlightPerAddress))
	fs.Func("shards", "", intVar(&o.shards, shaker.MaxShards))
	fs.Func("name-cache", "", func(s string) (err error) { o.nameCache, err = parseKeep(s); return err })
	fs.Func("name-cache-failures", "", func(s string) (err error) { o.nameFailures, err = parseKeep(s); return err })
	fs.Func("stream-age", "", func(s string) (err error) { o.streamAge, err = parseStreamAge(s); return err })
	fs.Func("drain-delay", "", func(s string) (err error) { o.drainDelay, err = parseDrainDelay(s); return err })
	fs.Func("grace", "", func(s string) (err error) { o.grace, err = parseGrace(s); return err })
	fs.Func("log-format", "", func(s string) error { o.logJSON = s == "json"; return oneOf(s, "text", "json") })
	fs.Func("log-level", "", func(s string) error {
		if err := oneOf(s, "debug", "info", "warn", "error"); err != nil {
			return err
		}
		return o.logLevel.UnmarshalText([]byte(s))
	})
	fs.BoolVar(&o.version, "version", false, "")

	return fs
}

func (o *options) addLabel(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return errors.New("must be KEY=VALUE")
	}
	if _, twice := o.labels[key]; twice {
		return fmt.Errorf("%q is given twice", key)
	}
	o.labels[key] = value
	return checkText(s)
}

// checkText refuses what protobuf does not send as a string: GetVantage would fail for every caller.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("must be UTF-8")
	}
	return nil
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func parseRate(s string) (float64, error) {
	rate, err := strconv.ParseFloat(s, 64)
	if err != nil || !(rate >= 0 && rate <= shaker.MaxRate) { // so that NaN is refused as well
		return 0, fmt.Errorf("must be a number from 0 to %g", float64(shaker.MaxRate))
	}
	return rate, nil
}

func parseGrace(s string) (time.Duration, error) {
	grace, err := time.ParseDuration(s)
	if err != nil || grace < 0 {
		return 0, errors.New("must be a duration such as 30s, and not negative")
	}
	return grace, nil
}

func parseStreamAge(s string) (time.Duration, error) {
	age, err := time.ParseDuration(s)
	if err != nil || age != 0 && (age < config.MinStreamAge || age > config.MaxStreamAge) {
		return 0, fmt.Errorf("must be a duration such as 30m, from %v to %v, or 0 for streams without an age", config.MinStreamAge, config.MaxStreamAge)
	}
	return age, nil
}

func parseDrainDelay(s string) (time.Duration, error) {
	delay, err := time.ParseDuration(s)
	if err != nil || delay < 0 || delay > config.MaxDrainDelay {
		return 0, fmt.Errorf("must be a duration such as 10s, from 0s to %v", config.MaxDrainDelay)
	}
	return delay, nil
}

func parseKeep(s string) (time.Duration, error) {
	keep, err := time.ParseDuration(s)
	if err != nil || keep < 0 || keep > config.MaxNameCache {
		return 0, fmt.Errorf("must be a duration such as 5s, from 0s to %v", config.MaxNameCache)
	}
	return keep, nil
}

// intVar returns the setter of a flag that is a number from 0 to most.
func intVar(p *int, most int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > most {
			return fmt.Errorf("must be a whole number from 0 to %d", most)
		}
		*p = n
		return nil
	}
}

func oneOf(s string, words ...string) error {
	if slices.Contains(words, s) {
		return nil
	}
	return errors.New("must be one of " + strings.Join(words, ", "))
}
