package client_test

import (
	"os"
	"strings"
	"testing"
)

// TestREADMEExampleIsCompiled: what README shows of the SDK is, line by line, what the Example of this package compiles and runs.
func TestREADMEExampleIsCompiled(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("README has no Go example")
	}
	// The Example starts a stand-in for the service and asks it by its address.
	code = strings.Replace(code, `client.New("127.0.0.1:50051")`, "client.New(address)", 1)
	compiled := string(example)
	for line := range strings.Lines(code) {
		line = strings.TrimSpace(line)
		_, after, ok := strings.Cut(compiled, line)
		if !ok {
			t.Fatalf("README shows %q, which the Example does not, or not there", line)
		}
		compiled = after
	}
}
