package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// openPort returns an address of loopback that listens, and closedPort one that is bound and does not.
func openPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func closedPort(t *testing.T) string {
	t.Helper()
	// A connection's own port is taken by it, and nobody listens there.
	c, err := net.Dial("tcp", openPort(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// Without a service this machine probes: the same code, the same answers.
func TestHere(t *testing.T) {
	open, closed := openPort(t), closedPort(t)
	for _, tt := range []struct {
		args []string
		code int
		want []string // the verdict and reason of each target
	}{
		{[]string{open}, exitReachable, []string{"reachable,SYN-ACK"}},
		{[]string{open, closed}, exitUnreachable, []string{"reachable,SYN-ACK", "unreachable,refused"}},
		{[]string{open, "127.0.0.1"}, exitInconclusive, []string{"reachable,SYN-ACK", "inconclusive,invalid target"}},
		{[]string{"--attempts", "2", "--exhaustive", open}, exitReachable, []string{"reachable,SYN-ACK"}},
		{[]string{"-6", open}, exitInconclusive, []string{"inconclusive,invalid target"}},
	} {
		o := shakeWith(t, nil, append(tt.args, "-o", "csv")...)
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(o.stdout), "\n")[1:] {
			got = append(got, strings.Join(strings.Split(line, ",")[2:4], ","))
		}
		if o.code != tt.code || !slices.Equal(got, tt.want) || o.stderr != "" {
			t.Errorf("shake %v: %+v", tt.args, o)
		}
	}
}

// The service's rules are in force here too.
func TestHereJudgesOptions(t *testing.T) {
	for _, args := range [][]string{{"--timeout", "1h"}, {"--timeout", "-1s"}, {"--attempts", "17"}, {"--attempts", "-1"}} {
		o := shakeWith(t, nil, append(args, "127.0.0.1:1")...)
		if o.code != exitUsage || o.stdout != "" || !strings.Contains(o.stderr, strings.TrimLeft(args[0], "-")) {
			t.Errorf("shake %v: %+v", args, o)
		}
	}
}

// One of two lines has been written when the reader goes; the probes end, and all that was started for them.
func TestHereWithABrokenPipe(t *testing.T) {
	target := openPort(t)
	read, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	stdin, feed := io.Pipe()
	go func() {
		_, _ = io.WriteString(feed, target+"\n")
		_, _ = read.Read(make([]byte, 1))
		read.Close()
		_, _ = io.WriteString(feed, target+"\n")
	}()
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"-f", "-"}, noEnv, stdin, stdout, &stderr); code != exitPipe || stderr.Len() > 0 {
		t.Errorf("code %d, %q", code, &stderr)
	}
	feed.Close()
}
