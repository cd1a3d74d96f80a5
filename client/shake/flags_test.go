package main

import (
	"cmp"
	"errors"
	"flag"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

func TestParseArgs(t *testing.T) {
	tests := []struct {
		args string
		want options
	}{
		{"a:1", options{targets: []string{"a:1"}, output: "table"}},
		{"a:1 b:2 -o json", options{targets: []string{"a:1", "b:2"}, output: "json"}},
		{
			"a:1 -4 b:2 --timeout 1s c:3",
			options{targets: []string{"a:1", "b:2", "c:3"}, ipv4: true, timeout: time.Second, output: "table"},
		},
		{
			"--exhaustive a:1 -- b:2 -o json",
			options{targets: []string{"a:1", "b:2", "-o", "json"}, exhaustive: true, output: "table"},
		},
		{"-f - -6 -o=csv", options{file: "-", ipv6: true, output: "csv"}},
		{"a:1 - b:2", options{targets: []string{"a:1", "b:2"}, file: "-", output: "table"}},
		{"-- -", options{file: "-", output: "table"}},
		{"--rate 0.5 a:1", options{targets: []string{"a:1"}, rate: 0.5, output: "table"}},
		{
			"--wait 60s --interval 5s a:1",
			options{targets: []string{"a:1"}, wait: time.Minute, interval: 5 * time.Second, output: "table"},
		},
		{"vantage -o json", options{vantage: true, output: "json"}},
		{"--server s:1 vantage", options{server: "s:1", vantage: true, output: "table"}},
		{"-f -- a:1 -4", options{file: "--", targets: []string{"a:1"}, ipv4: true, output: "table"}},
		{"-f -- -- vantage", options{file: "--", targets: []string{"vantage"}, output: "table"}},
		{"-4 -- vantage", options{ipv4: true, targets: []string{"vantage"}, output: "table"}},
		{"-f=x -- vantage", options{file: "x", targets: []string{"vantage"}, output: "table"}},
		{"-- vantage", options{targets: []string{"vantage"}, output: "table"}},
		{"a:1 vantage", options{targets: []string{"a:1", "vantage"}, output: "table"}},
		{
			"--server s:1 --plaintext --connect-timeout 3s --attempts 3 --addresses any --evidence --deadline 1m -f x a:1",
			options{
				server: "s:1", plaintext: true, connectTimeout: 3 * time.Second, attempts: 3, addresses: client.AnyAddress, evidence: true, deadline: time.Minute,
				file: "x", targets: []string{"a:1"}, output: "table",
			},
		},
		{
			"--server s:1 --ca c --cert r --key k --server-name n --token-file t a:1",
			options{
				server: "s:1", targets: []string{"a:1"}, output: "table",
				access: access{ca: "c", cert: "r", key: "k", serverName: "n", token: "t", tokenFrom: "--token-file"},
			},
		},
		{"--server s:1 --insecure a:1", options{server: "s:1", plaintext: true, targets: []string{"a:1"}, output: "table"}},
		{"--version", options{version: true, output: "table"}},
	}
	for _, tt := range tests {
		got, err := parseArgs(strings.Fields(tt.args), noEnv)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		got.given = nil
		tt.want.rate = cmp.Or(tt.want.rate, localRate)
		tt.want.interval = cmp.Or(tt.want.interval, time.Second)
		tt.want.connectTimeout = cmp.Or(tt.want.connectTimeout, 10*time.Second)
		if !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.args, got, err, tt.want)
		}
	}
}

// A message about a flag spells it as the documents do, however the command line did.
func TestUsageErrors(t *testing.T) {
	const several = "db:5432 --wait 5s "
	for args, want := range map[string]string{
		"":                        "no targets",
		"--":                      "no targets",
		"--evidence":              "no targets",
		"--nonsense a:1":          "not defined: --nonsense",
		"-nonsense a:1":           "not defined: --nonsense",
		"a:1 --nonsense":          "not defined: --nonsense",
		"-n a:1":                  "not defined: -n",
		"--timeout a:1":           `invalid value "a:1" for flag --timeout: must be a duration`,
		"-timeout x a:1":          `invalid value "x" for flag --timeout: must be a duration`,
		"--deadline 7 a:1":        `invalid value "7" for flag --deadline: must be a duration`,
		"--attempts x a:1":        `invalid value "x" for flag --attempts`,
		"a:1 --attempts":          "flag needs an argument: --attempts",
		"-f":                      "flag needs an argument: -f",
		"-o xml a:1":              `invalid value "xml" for flag -o: must be table`,
		"--o xml a:1":             `invalid value "xml" for flag -o: must be table`,
		"--addresses some a:1":    `invalid value "some" for flag --addresses: must be first`,
		"-4 -6 a:1":               "-4 and -6 exclude each other",
		"--evidence -o csv a:1":   "--evidence needs -o table or -o json",
		"--deadline -1s a:1":      "--deadline must not be negative",
		"--insecure a:1":          "--plaintext needs --server",
		"--plaintext a:1":         "--plaintext needs --server",
		"--insecure=maybe a:1":    `invalid boolean value "maybe" for --insecure`,
		"--connect-timeout 1s a":  "--connect-timeout needs --server",
		"--connect-timeout 0 a:1": `for flag --connect-timeout: must be 10ms to 10m`,
		"--rate x a:1":            "for flag --rate: must be a number from 0 to 100000000",
		"--rate -1 a:1":           "for flag --rate: must be a number from 0 to 100000000",
		"--rate NaN a:1":          "for flag --rate: must be a number from 0 to 100000000",
		"--rate 1e9 a:1":          "for flag --rate: must be a number from 0 to 100000000",
		"--rate 1 --server s:1 a": "--rate and --server exclude each other",
		"--attempts 0 a:1":        "--attempts must be 1 to 16",
		"--attempts -1 a:1":       "--attempts must be 1 to 16",
		"--timeout 0 a:1":         "--timeout must be 1ms to 1m",
		"--timeout -1s a:1":       "--timeout must be 1ms to 1m",
		several + "--timeout 0s":  "--timeout must be 1ms to 1m",
		"-f x -":                  "-f and the target - exclude each other",
		"- -f -":                  "-f and the target - exclude each other",
		"- -":                     "the target - stands twice",

		several + "--deadline 1s": "--deadline and --wait exclude each other",
		several + "--timeout 6s":  "--timeout 6s is longer than --wait 5s",
		"--interval 1s a:1":       "--interval needs --wait",
		"--wait 99ms a:1":         "for flag --wait: must be 100ms to 24h",
		"--wait 25h a:1":          "for flag --wait: must be 100ms to 24h",
		"--wait db:5432":          "for flag --wait: must be a duration",
		several + "--interval 0":  "for flag --interval: must be 100ms to 1h",
		several + "--interval 2h": "for flag --interval: must be 100ms to 1h",

		"vantage a:1":         "vantage stands alone",
		"vantage -":           "vantage stands alone",
		"vantage -- a:1":      "vantage stands alone",
		"vantage -f x":        "-f does not go with vantage",
		"-f -- vantage":       "-f does not go with vantage",
		"vantage -4":          "-4 does not go with vantage",
		"vantage --wait 1s":   "--wait does not go with vantage",
		"vantage -timeout 1s": "--timeout does not go with vantage",
		"vantage -o csv":      "vantage needs -o table or -o json",
	} {
		o := shakeWith(t, nil, strings.Fields(args)...)
		if o.code != exitUsage || o.stdout != "" || !strings.HasPrefix(o.stderr, "shake: ") || !strings.Contains(o.stderr, want) {
			t.Errorf("shake %s: %+v, want %q", args, o, want)
		}
	}
	o, err := parseArgs([]string{"--rate", "1", "a:1"}, func(string) string { return "env:1" })
	if err == nil || !strings.Contains(err.Error(), "SHAKE_SERVER") {
		t.Errorf("--rate beside SHAKE_SERVER: %+v, %v", o, err)
	}
}

// The value in a message may look like a message.
func TestRespelled(t *testing.T) {
	for text, want := range map[string]string{
		`invalid value "\" for flag -x: y" for flag -timeout: z`: `invalid value "\" for flag -x: y" for flag --timeout: z`,
		"flag provided but not defined: -ab":                     "flag provided but not defined: --ab",
		"bad flag syntax: ---x":                                  "bad flag syntax: ---x",
	} {
		if got := respelled(errors.New(text)).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestServerFromTheEnvironment(t *testing.T) {
	env := func(key string) string { return map[string]string{"SHAKE_SERVER": "env:1"}[key] }
	for args, want := range map[string]string{"a:1": "env:1", "--server flag:1 a:1": "flag:1", "--server= a:1": ""} {
		o, err := parseArgs(strings.Fields(args), env)
		if err != nil || o.server != want {
			t.Errorf("shake %s: server %q, %v; want %q", args, o.server, err, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range []string{"-h", "--help", "a:1 --help"} {
		if o := shakeWith(t, nil, strings.Fields(args)...); o != (outcome{exitReachable, usage, ""}) {
			t.Errorf("shake %s: %+v", args, o)
		}
	}
	o := shakeWith(t, nil, "--version")
	if o.code != exitReachable || !strings.HasPrefix(o.stdout, "shake ") || o.stderr != "" {
		t.Errorf("%+v", o)
	}
}

// The help tells every flag that there is, and none that there is not.
func TestUsageTellsTheFlags(t *testing.T) {
	var there []string
	new(options).flags(noEnv).VisitAll(func(f *flag.Flag) { there = append(there, f.Name) })
	var told []string
	for _, m := range regexp.MustCompile(`(?m)(?:^  |, )--?([a-z0-9-]+)`).FindAllStringSubmatch(usage, -1) {
		if m[1] != "h" && m[1] != "help" {
			told = append(told, m[1])
		}
	}
	slices.Sort(told)
	if !slices.Equal(there, told) {
		t.Errorf("the flags are %v, the help tells %v", there, told)
	}
	if _, err := parseArgs([]string{"-h"}, noEnv); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

// No option is read and ignored: each arrives at the service.
func TestOptionsReachTheService(t *testing.T) {
	tests := map[string]*tcpshakerv1.CheckOptions{
		"":                          {},
		"--timeout 1500ms":          {Timeout: durationpb.New(1500 * time.Millisecond)},
		"--attempts 4":              {Attempts: 4},
		"--exhaustive":              {Exhaustive: true},
		"--addresses first":         {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST},
		"--addresses any":           {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY},
		"--addresses all":           {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL},
		"-4":                        {IpFamily: tcpshakerv1.IpFamily_IP_FAMILY_IPV4},
		"-6":                        {IpFamily: tcpshakerv1.IpFamily_IP_FAMILY_IPV6},
		"--evidence -o json":        {Evidence: true},
		"--plaintext --deadline 1m": {},
		"--wait 9s --timeout 1s":    {Timeout: durationpb.New(time.Second)},
	}
	for args, want := range tests {
		got := request(t, strings.Fields(args)...)
		if !proto.Equal(got.GetOptions(), want) || !slices.Equal(got.GetTargets(), []string{"up:80"}) {
			t.Errorf("shake %s: sent %v", args, got)
		}
	}
}
