package main

import (
	"errors"
	"flag"
	"io"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// options is the command line, checked as far as that is not for the service to do.
type options struct {
	server   string // empty: this machine
	insecure bool
	access   access

	targets    []string
	file       string // empty: none
	timeout    time.Duration
	attempts   int
	exhaustive bool
	addresses  client.AddressPolicy
	ipv4, ipv6 bool
	evidence   bool
	deadline   time.Duration // 0: none

	output  string // table, json or csv
	version bool
}

// parseArgs reads the command line. Errors are flag.ErrHelp, which is none, and usageErrors.
func parseArgs(args []string, getenv func(string) string) (*options, error) {
	o := new(options)
	var err error
	if o.targets, err = parseMixed(o.flags(getenv), args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError{err}
	}
	if err := o.contradiction(); err != nil && !o.version {
		return nil, usageError{err}
	}
	return o, nil
}

// flags returns the flags, which write to o.
func (o *options) flags(getenv func(string) string) *flag.FlagSet {
	fs := flag.NewFlagSet("shake", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the error, and usage where it belongs
	fs.Usage = func() {}

	fs.StringVar(&o.server, "server", getenv("SHAKE_SERVER"), "")
	fs.BoolVar(&o.insecure, "insecure", false, "")
	o.access.flags(fs, getenv)

	fs.StringVar(&o.file, "f", "", "")
	fs.DurationVar(&o.timeout, "timeout", 0, "")
	fs.IntVar(&o.attempts, "attempts", 0, "")
	fs.BoolVar(&o.exhaustive, "exhaustive", false, "")
	fs.Func("addresses", "", func(s string) (err error) { o.addresses, err = parsePolicy(s); return err })
	fs.BoolVar(&o.ipv4, "4", false, "")
	fs.BoolVar(&o.ipv6, "6", false, "")
	fs.BoolVar(&o.evidence, "evidence", false, "")
	fs.DurationVar(&o.deadline, "deadline", 0, "")

	o.output = "table"
	fs.Func("o", "", func(s string) error { o.output = s; return checkOutput(s) })
	fs.BoolVar(&o.version, "version", false, "")
	return fs
}

// contradiction returns what makes o a command line that cannot be meant.
func (o *options) contradiction() error {
	switch {
	case len(o.targets) == 0 && o.file == "":
		return errors.New("no targets")
	case o.insecure && o.server == "":
		return errors.New("--insecure needs --server")
	case o.ipv4 && o.ipv6:
		return errors.New("-4 and -6 exclude each other")
	case o.evidence && o.output == "csv":
		return errors.New("--evidence needs -o table or -o json: a csv line has no room for it")
	case o.deadline < 0:
		return errors.New("--deadline must not be negative")
	default:
		return o.access.contradiction(o.server, o.insecure)
	}
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

// parseMixed parses flags that stand before, between and after other arguments, and returns those. Package flag stops at
// the first of them, or behind `--`, so it is asked again for what follows.
func parseMixed(fs *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		parsed, rest := args[:len(args)-fs.NArg()], fs.Args()
		if len(rest) == 0 {
			return others, nil
		}
		if len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

func parsePolicy(s string) (client.AddressPolicy, error) {
	for _, policy := range []client.AddressPolicy{client.FirstAddress, client.AnyAddress, client.AllAddresses} {
		if s == policy.String() {
			return policy, nil
		}
	}
	return 0, errors.New("must be first, any or all")
}

func checkOutput(s string) error {
	switch s {
	case "table", "json", "csv":
		return nil
	default:
		return errors.New("must be table, json or csv")
	}
}
