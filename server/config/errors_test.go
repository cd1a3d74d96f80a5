package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// caller is a whole one, for tables; other keys can follow.
const caller = "callers:\n- name: a\n  identity: {tls_san: [a.example], uid: [1], token_sha256: [" + token + "]}\n  allow: []\n"

const token = `"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"`

// TestErrors: one file for each error, and all that is said of it. The sentence stands behind its line and column.
func TestErrors(t *testing.T) {
	for _, test := range errorTable {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f", []byte(test.file))
			if err == nil {
				t.Fatalf("%+v, want %s", c, test.want)
			}
			if got := strings.ReplaceAll("\n"+err.Error(), "\nf:", "\n")[1:]; got != test.want || c != nil {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestManyErrors: all errors of a file are told, in the order of the file.
func TestManyErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/many.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("many.yaml", data)
	if err == nil {
		t.Fatal("no error")
	}
	golden(t, "testdata/many.txt", []byte(err.Error()+"\n"))
}

// golden compares got with a file, or writes it anew where GOLDEN=write says so.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv("GOLDEN") == "write" {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("not what stands in %s (GOLDEN=write writes it anew):\n%s", path, got)
	}
}

// TestErrorsAreShownToAThousand: the text has at most 1,001 lines, and the value all errors.
func TestErrorsAreShownToAThousand(t *testing.T) {
	for n, lines := range map[int]int{1: 1, 1000: 1000, 1001: 1001, 3000: 1001} {
		var file strings.Builder
		for i := range n {
			fmt.Fprintf(&file, "x%d: 1\n", i)
		}
		_, err := Parse("f", []byte(file.String()))
		errs, _ := errors.AsType[Errors](err)
		text := strings.Split(err.Error(), "\n")
		if len(errs) != n || len(text) != lines {
			t.Errorf("%d errors: %d in the value, %d lines", n, len(errs), len(text))
		}
		if want := fmt.Sprintf("f: and %d more", n-1000); n > 1000 && text[1000] != want {
			t.Errorf("the last line is %q, want %q", text[1000], want)
		}
	}
}

// TestNoErrorRepeatsAToken: what stands in token_sha256, wherever and however, is in no error.
func TestNoErrorRepeatsAToken(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	for _, value := range []string{
		secret, `"` + secret + `"`, "[" + secret + "]", "[!x " + secret + "]", "!x " + secret, "[[" + secret + "]]",
		"[" + strings.Repeat("hunter2z", 8) + "]", "{a: " + secret + "}",
	} {
		_, err := Parse("f", []byte("callers:\n- name: a\n  allow: []\n  identity: {token_sha256: "+value+"}\n"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", value, err)
		}
	}
}
