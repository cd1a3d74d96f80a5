package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
)

// file writes a file for the test, and returns its path.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file that cannot be read, or is not what it should be, is named with its flag, and nothing of it is told.
func TestFilesThatCannotBeUsed(t *testing.T) {
	ca := testcert.NewCA("ours")
	cert, key := ca.Issue("edge")
	_, otherKey := ca.Issue("other")
	goodCert, goodKey := file(t, "edge.pem", cert), file(t, "edge.key", key)
	missing := filepath.Join(t.TempDir(), "missing")
	folder := t.TempDir()
	broken := []byte("-----BEGIN CERTIFICATE-----\nUzNDUkVU\n-----END CERTIFICATE-----\n") // not ASN.1
	long := bytes.Repeat([]byte("S"), maxFile+1)

	for name, tt := range map[string]struct {
		args []string // the last one is the file
		want string   // in the message, after the flag
	}{
		"no CA file":             {[]string{"--ca", missing}, "no such file"},
		"CA file is a folder":    {[]string{"--ca", folder}, "directory"},
		"CA file is too long":    {[]string{"--ca", file(t, "long", long)}, "longer than"},
		"no PEM":                 {[]string{"--ca", file(t, "text", []byte("S3CRET"))}, "no certificate in PEM"},
		"empty CA file":          {[]string{"--ca", file(t, "empty", nil)}, "no certificate in PEM"},
		"a key for a CA":         {[]string{"--ca", goodKey}, "no certificate in PEM"},
		"broken CA":              {[]string{"--ca", file(t, "broken", broken)}, "certificate 1: "},
		"broken second CA":       {[]string{"--ca", file(t, "two", append(ca.PEM(), broken...))}, "certificate 2: "},
		"no certificate file":    {[]string{"--key", goodKey, "--cert", missing}, "no such file"},
		"no key file":            {[]string{"--cert", goodCert, "--key", missing}, "no such file"},
		"no certificate":         {[]string{"--key", goodKey, "--cert", file(t, "text", []byte("S3CRET"))}, "PEM"},
		"no key":                 {[]string{"--cert", goodCert, "--key", file(t, "text", []byte("S3CRET"))}, "PEM"},
		"another's key":          {[]string{"--cert", goodCert, "--key", file(t, "other", otherKey)}, "does not match"},
		"swapped":                {[]string{"--cert", goodKey, "--key", goodCert}, "PEM"},
		"no token file":          {[]string{"--token-file", missing}, "no such file"},
		"token file is a folder": {[]string{"--token-file", folder}, "directory"},
		"token file is too long": {[]string{"--token-file", file(t, "long", long)}, "longer than"},
		"empty token":            {[]string{"--token-file", file(t, "empty", nil)}, "empty token"},
		"only a newline":         {[]string{"--token-file", file(t, "newline", []byte("\n"))}, "empty token"},
		"two newlines":           {[]string{"--token-file", file(t, "newlines", []byte("S3CRET\n\n"))}, "visible ASCII"},
		"two lines":              {[]string{"--token-file", file(t, "lines", []byte("S3CRET\nS3CRET\n"))}, "visible ASCII"},
		"spaces":                 {[]string{"--token-file", file(t, "spaces", []byte(" S3CRET"))}, "visible ASCII"},
		"a byte order mark":      {[]string{"--token-file", file(t, "bom", []byte("\uFEFFS3CRET"))}, "visible ASCII"},
		"a key for a token":      {[]string{"--token-file", goodKey}, "visible ASCII"},
	} {
		t.Run(name, func(t *testing.T) {
			o := shakeWith(t, nil, append(tt.args, "--server", "localhost:1", "a:1")...)
			flag, path := tt.args[len(tt.args)-2], tt.args[len(tt.args)-1]
			if o.code != exitUsage || o.stdout != "" {
				t.Errorf("%+v", o)
			}
			for _, want := range []string{flag, path, tt.want} {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("%s does not tell %q", o.stderr, want)
				}
			}
			for _, secret := range []string{"S3CRET", "SSS", strings.Split(string(key), "\n")[1]} {
				if strings.Contains(o.stderr, secret) {
					t.Errorf("%s tells what is in a file", o.stderr)
				}
			}
		})
	}
}

// One newline at the end of a token file belongs to the file, and all else to the token.
func TestDropNewline(t *testing.T) {
	for content, want := range map[string]string{
		"": "", "a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a\r": "a\r", "\na": "\na", "\n": "", "\r\n": "", "a ": "a ",
	} {
		if got := dropNewline(content); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}
