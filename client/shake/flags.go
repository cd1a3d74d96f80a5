package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// Ranges and defaults of flags. What else has a range is judged by the service.
const (
	minWait, maxWait                     = 100 * time.Millisecond, 24 * time.Hour
	minInterval, maxInterval             = 100 * time.Millisecond, time.Hour
	defaultInterval                      = time.Second
	minConnectTimeout, maxConnectTimeout = 10 * time.Millisecond, 10 * time.Minute
	defaultConnectTimeout                = 10 * time.Second
)

// options is the command line, checked as far as that is not for the service to do.
type options struct {
	server         string // empty: this machine
	rate           float64
	connectTimeout time.Duration
	plaintext      bool
	access         access

	vantage    bool // print the vantage; there are no targets
	targets    []string
	file       string // empty: none
	timeout    time.Duration
	attempts   int
	exhaustive bool
	addresses  client.AddressPolicy
	ipv4, ipv6 bool
	evidence   bool
	deadline   time.Duration // 0: none
	wait       time.Duration // 0: ask once
	interval   time.Duration

	output  string // table, json or csv
	version bool

	given map[string]bool // the names of the flags on the command line
}

// parseArgs reads the command line. Errors are flag.ErrHelp, which is none, and usageErrors.
func parseArgs(args []string, getenv func(string) string) (*options, error) {
	o := &options{given: make(map[string]bool)}
	fs := o.flags(getenv)
	words, literal, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, usageError{respelled(err)}
	}
	fs.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if len(words) > 0 && words[0] == "vantage" { // no target: it has no port
		o.vantage, words = true, words[1:]
	}
	if err := o.takeTargets(append(words, literal...)); err != nil {
		return nil, usageError{err}
	}
	if err := o.contradiction(); err != nil && !o.version {
		return nil, usageError{err}
	}
	return o, nil
}

// takeTargets takes the targets from the arguments, and `-` as what -f names.
func (o *options) takeTargets(args []string) error {
	for _, arg := range args {
		switch {
		case arg != "-":
			o.targets = append(o.targets, arg)
		case o.file == "":
			o.file = "-"
		case o.given["f"]:
			return errors.New("-f and the target - exclude each other: there is one list")
		default:
			return errors.New("the target - stands twice: standard input is read once")
		}
	}
	return nil
}

// flags returns the flags, which write to o.
func (o *options) flags(getenv func(string) string) *flag.FlagSet {
	fs := flag.NewFlagSet("shake", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the error, and usage where it belongs
	fs.Usage = func() {}

	o.rate, o.connectTimeout, o.interval = localRate, defaultConnectTimeout, defaultInterval
	fs.StringVar(&o.server, "server", getenv("SHAKE_SERVER"), "")
	fs.Func("rate", "", func(s string) (err error) { o.rate, err = parseRate(s); return err })
	duration(fs, "connect-timeout", &o.connectTimeout, minConnectTimeout, maxConnectTimeout)
	fs.BoolVar(&o.plaintext, "plaintext", false, "")
	fs.BoolVar(&o.plaintext, "insecure", false, "") // the old name
	o.access.flags(fs, getenv)

	fs.StringVar(&o.file, "f", "", "")
	anyDuration(fs, "timeout", &o.timeout)
	fs.IntVar(&o.attempts, "attempts", 0, "")
	fs.BoolVar(&o.exhaustive, "exhaustive", false, "")
	fs.Func("addresses", "", func(s string) (err error) { o.addresses, err = parsePolicy(s); return err })
	fs.BoolVar(&o.ipv4, "4", false, "")
	fs.BoolVar(&o.ipv6, "6", false, "")
	fs.BoolVar(&o.evidence, "evidence", false, "")
	anyDuration(fs, "deadline", &o.deadline)
	duration(fs, "wait", &o.wait, minWait, maxWait)
	duration(fs, "interval", &o.interval, minInterval, maxInterval)

	o.output = "table"
	fs.Func("o", "", func(s string) error { o.output = s; return checkOutput(s) })
	fs.BoolVar(&o.version, "version", false, "")
	return fs
}

// check returns what is asked of the service. Whether it is in range is for the service to say.
func (o *options) check() []client.CheckOption {
	opts := []client.CheckOption{
		client.WithTimeout(o.timeout), client.WithAttempts(o.attempts), client.WithAddressPolicy(o.addresses),
	}
	if o.exhaustive {
		opts = append(opts, client.WithExhaustive())
	}
	if o.ipv4 {
		opts = append(opts, client.WithIPFamily(client.IPv4))
	}
	if o.ipv6 {
		opts = append(opts, client.WithIPFamily(client.IPv6))
	}
	if o.evidence {
		opts = append(opts, client.WithEvidence())
	}
	return opts
}

// parseMixed parses flags that stand before, between and after other arguments. It returns the other
// arguments: words stand before `--`, and literal behind it. Package flag stops at the first of them, so
// parseMixed calls it again for the rest.
func parseMixed(fs *flag.FlagSet, args []string) (words, literal []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, nil, err
		}
		parsed, rest := args[:len(args)-fs.NArg()], fs.Args()
		if len(rest) == 0 {
			return words, nil, nil
		}
		if endsFlags(fs, parsed) {
			return words, rest, nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

// endsFlags reports whether the last of args, which fs has parsed, is the `--` behind the flags, and
// not the value of a flag.
func endsFlags(fs *flag.FlagSet, args []string) bool {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return true
		}
		name, _, valued := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := fs.Lookup(name)
		if f == nil || valued {
			continue
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); !ok || !b.IsBoolFlag() {
			i++ // its value
		}
	}
	return false
}
