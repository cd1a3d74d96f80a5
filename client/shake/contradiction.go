package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/CarterTsai/tcp-shaker/server"
)

// contradiction returns what makes o a command line that cannot be meant.
func (o *options) contradiction() error {
	switch {
	case o.given["rate"] && o.given["server"] && o.server != "":
		return errors.New("--rate and --server exclude each other: the service has a rate of its own")
	case o.given["rate"] && o.server != "":
		return errors.New("--rate is for probes of this machine, but SHAKE_SERVER names a service (--server= overrides it)")
	case o.plaintext && o.server == "":
		return errors.New("--plaintext needs --server")
	case o.given["connect-timeout"] && o.server == "":
		return errors.New("--connect-timeout needs --server")
	case o.evidence && o.output == "csv":
		return errors.New("--evidence needs -o table or -o json: a csv line has no room for it")
	case o.given["attempts"] && o.attempts < 1: // 0 would be the default
		return errors.New("--attempts must be 1 to 16")
	case o.given["timeout"] && o.timeout <= 0:
		return fmt.Errorf("--timeout must be %s to %s", short(server.MinTimeout), short(server.DefaultMaxTimeout))
	case o.deadline < 0:
		return errors.New("--deadline must not be negative")
	case o.ipv4 && o.ipv6:
		return errors.New("-4 and -6 exclude each other")
	}
	if err := o.access.contradiction(o.server, o.plaintext); err != nil {
		return err
	}
	if o.vantage {
		return o.vantageContradiction()
	}
	if len(o.targets) == 0 && o.file == "" {
		return errors.New("no targets")
	}
	return o.waitContradiction()
}

// waitContradiction returns what does not go with --wait, or not without it.
func (o *options) waitContradiction() error {
	switch {
	case o.wait == 0 && o.given["interval"]:
		return errors.New("--interval needs --wait")
	case o.wait == 0:
		return nil
	case o.given["deadline"]:
		return errors.New("--deadline and --wait exclude each other: --wait bounds everything")
	case o.timeout > o.wait:
		return fmt.Errorf("--timeout %s is longer than --wait %s", short(o.timeout), short(o.wait))
	default:
		return nil
	}
}

// withTargets are the flags that say which targets are probed, and how. The vantage has none.
var withTargets = []string{
	"f", "timeout", "attempts", "exhaustive", "addresses", "4", "6", "evidence", "wait", "interval",
}

// vantageContradiction returns what does not go with `vantage`.
func (o *options) vantageContradiction() error {
	if at := slices.IndexFunc(withTargets, func(name string) bool { return o.given[name] }); at >= 0 {
		return fmt.Errorf("%s does not go with vantage: no target is probed", spelled(withTargets[at]))
	}
	switch {
	case len(o.targets) > 0 || o.file != "":
		return errors.New("vantage stands alone: it takes no targets")
	case o.output == "csv":
		return errors.New("vantage needs -o table or -o json")
	default:
		return nil
	}
}
