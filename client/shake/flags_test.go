package main

import (
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
		{
			"--server s:1 --insecure --attempts 3 --addresses any --evidence --deadline 1m -f x a:1",
			options{
				server: "s:1", insecure: true, attempts: 3, addresses: client.AnyAddress, evidence: true, deadline: time.Minute,
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
		{"--version", options{version: true, output: "table"}},
	}
	for _, tt := range tests {
		got, err := parseArgs(strings.Fields(tt.args), noEnv)
		if err != nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.args, got, err, tt.want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range []string{
		"", "--evidence", "--nonsense a:1", "a:1 --nonsense", "--timeout a:1", "--timeout x a:1", "--attempts x a:1",
		"-o xml a:1", "--addresses some a:1", "-4 -6 a:1", "--evidence -o csv a:1", "--insecure a:1", "--deadline -1s a:1",
		"-f", "--", "--insecure=maybe --server s:1 a:1",
	} {
		o := shakeWith(t, nil, strings.Fields(args)...)
		if o.code != exitUsage || o.stdout != "" || !strings.HasPrefix(o.stderr, "shake: ") {
			t.Errorf("shake %s: %+v", args, o)
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
		"":                         {},
		"--timeout 1500ms":         {Timeout: durationpb.New(1500 * time.Millisecond)},
		"--attempts 4":             {Attempts: 4},
		"--exhaustive":             {Exhaustive: true},
		"--addresses first":        {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST},
		"--addresses any":          {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY},
		"--addresses all":          {Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL},
		"-4":                       {IpFamily: tcpshakerv1.IpFamily_IP_FAMILY_IPV4},
		"-6":                       {IpFamily: tcpshakerv1.IpFamily_IP_FAMILY_IPV6},
		"--evidence -o json":       {Evidence: true},
		"--insecure --deadline 1m": {},
	}
	for args, want := range tests {
		got := request(t, strings.Fields(args)...)
		if !proto.Equal(got.GetOptions(), want) || !slices.Equal(got.GetTargets(), []string{"up:80"}) {
			t.Errorf("shake %s: sent %v", args, got)
		}
	}
}
