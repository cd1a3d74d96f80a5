package main

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// duration defines a flag for a duration from least to most, which sets d.
func duration(fs *flag.FlagSet, name string, d *time.Duration, least, most time.Duration) {
	fs.Func(name, "", func(s string) error {
		v, err := time.ParseDuration(s)
		if err != nil {
			return errNoDuration
		}
		if v < least || v > most {
			return fmt.Errorf("must be %s to %s", short(least), short(most))
		}
		*d = v
		return nil
	})
}

// anyDuration defines a flag for a duration whose range the service knows. It sets d.
func anyDuration(fs *flag.FlagSet, name string, d *time.Duration) {
	fs.Func(name, "", func(s string) (err error) {
		if *d, err = time.ParseDuration(s); err != nil {
			return errNoDuration
		}
		return nil
	})
}

var errNoDuration = errors.New("must be a duration, such as 300ms or 1m30s")

// short returns d as a person writes it: 1m instead of 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// parseRate reads handshakes a second as shakerd's --rate does.
func parseRate(s string) (float64, error) {
	rate, err := strconv.ParseFloat(s, 64)
	if err != nil || !(rate >= 0 && rate <= shaker.MaxRate) { // so that NaN is refused as well
		return 0, fmt.Errorf("must be a number from 0 to %.0f", float64(shaker.MaxRate))
	}
	return rate, nil
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

// spelled returns a flag's name as documents and messages spell it: -x and --word.
func spelled(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// flagInMessage finds the flag's name in each of package flag's messages.
var flagInMessage = regexp.MustCompile(
	`(?s)^(flag provided but not defined: |flag needs an argument: |` +
		`invalid value ".*" for flag |invalid boolean value ".*" for )-([^\s:]+)`)

// respelled returns err, an error of package flag, with the flag spelled as everywhere else.
func respelled(err error) error {
	text := err.Error()
	m := flagInMessage.FindStringSubmatchIndex(text)
	if m == nil {
		return err
	}
	return errors.New(text[:m[3]] + spelled(text[m[4]:m[5]]) + text[m[1]:])
}
