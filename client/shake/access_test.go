package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/client"
)

// What cannot be meant is told in words, before a file is opened or anybody is asked.
func TestAccessContradictions(t *testing.T) {
	for args, want := range map[string]string{
		"--ca f":                                   "--ca needs --server",
		"--cert f --key f":                         "--cert needs --server",
		"--key f":                                  "--key needs --server",
		"--server-name n":                          "--server-name needs --server",
		"--token-file f":                           "--token-file needs --server",
		"--server= --token-file -":                 "--token-file needs --server",
		"--server s:1 --cert f":                    "--cert needs --key",
		"--server s:1 --key f":                     "--key needs --cert",
		"--server s:1 --plaintext --ca f":          "--ca and --plaintext exclude each other",
		"--server s:1 --plaintext --cert f":        "--cert and --plaintext exclude each other",
		"--server s:1 --plaintext --key f":         "--key and --plaintext exclude each other",
		"--server s:1 --plaintext --server-name n": "--server-name and --plaintext exclude each other",
		"--server s:1 --token-file -":              "--token-file: a token is not read from standard input",
		"--server s:1 --ca=":                       "must not be empty",
		"--server s:1 --cert= --key=":              "must not be empty",
		"--server s:1 --cert f --key=":             "must not be empty",
		"--server s:1 --server-name=":              "must not be empty",
	} {
		o := shakeWith(t, nil, append(strings.Fields(args), "a:1")...)
		if o.code != exitUsage || o.stdout != "" || !strings.Contains(o.stderr, want) {
			t.Errorf("shake %s: %+v, want %q", args, o, want)
		}
	}
}

// SHAKE_TOKEN_FILE is for whatever service is asked: --token-file goes before it, and where this machine probes by itself it
// is no mistake.
func TestTokenFileFromTheEnvironment(t *testing.T) {
	env := func(key string) string { return map[string]string{"SHAKE_TOKEN_FILE": "env"}[key] }
	for args, want := range map[string]access{
		"a:1":                                {token: "env", tokenFrom: "SHAKE_TOKEN_FILE"},
		"--server s:1 a:1":                   {token: "env", tokenFrom: "SHAKE_TOKEN_FILE"},
		"--server s:1 --token-file flag a:1": {token: "flag", tokenFrom: "--token-file"},
		"--server s:1 --token-file= a:1":     {tokenFrom: "--token-file"},
	} {
		o, err := parseArgs(strings.Fields(args), env)
		if err != nil || o.access != want {
			t.Errorf("shake %s: %+v, %v", args, o, err)
		}
	}
	minus := func(key string) string { return map[string]string{"SHAKE_TOKEN_FILE": "-"}[key] }
	for path, env := range map[string]func(string) string{"open env": env, "standard input": minus} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"--server", "localhost:1", "a:1"}, env, nil, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "SHAKE_TOKEN_FILE: ") ||
			!strings.Contains(stderr.String(), path) {
			t.Errorf("code %d, %s", code, &stderr)
		}
	}
}

// The hints name what was given, and what helps.
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		args string
		err  error
		want string
	}{
		{"--server s:1", client.ErrServiceSpeaksPlaintext, "; for plaintext give --plaintext"},
		{"--server s:1 --ca f --server-name n", client.ErrServiceSpeaksPlaintext, "; for plaintext give --plaintext, and drop --ca, --server-name"},
		{"--server localhost:1 --ca f", client.ErrServiceSpeaksPlaintext, "; for plaintext drop --ca"},
		{"--server [::1]:1 --cert f --key f", client.ErrServiceSpeaksPlaintext, "; for plaintext drop --cert, --key"},
		{"--server localhost:1", client.ErrServiceSpeaksTLS, "; for TLS give --ca or --server-name"},
		{"--server s:1 --plaintext", client.ErrServiceSpeaksTLS, "; for TLS drop --plaintext, and give --ca unless"},
		{"--server s:1", errors.New("another"), ""},
	} {
		o, err := parseArgs(append(strings.Fields(tt.args), "a:1"), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.hint(tt.err); !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") ||
			strings.Contains(got, "--plaintext") != strings.Contains(tt.want, "--plaintext") {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
}
