package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// A run that fails writes every result that came, and tells how many targets have none.
func TestUnanswered(t *testing.T) {
	answersOne := func(last int) func(serverStream) error { // of those up to last
		return func(s serverStream) error {
			var targets []string
			for len(targets) <= last {
				request, err := s.Recv()
				if err != nil {
					return err
				}
				targets = append(targets, request.GetTargets()...)
			}
			result := resultOf(uint64(last), targets[last])
			return errors.Join(
				s.Send(&tcpshakerv1.StreamCheckResponse{Results: []*tcpshakerv1.CheckResult{result}}),
				status.Error(codes.Aborted, "enough"))
		}
	}
	var lines strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&lines, "up:%d\n", i)
	}
	file := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args  []string
		stdin string
		last  int
		want  string
	}{
		"arguments": {[]string{"up:1", "up:2\x1b", "up:3"}, "", 2, `2 of 3 targets have no result: up:1, up:2\x1b` + "\n"},
		"a file": {
			[]string{"-f", file},
			"", 255,
			"299999 of 300000 targets have no result: up:0, up:1, up:2, up:3, up:4, up:5, up:6, up:7, up:8, up:9 and 299989 more\n",
		},
		"standard input": {[]string{"-f", "-"}, "up:1\nup:2\n", 1, "1 of the 2 targets that were read has no result: up:1\n"},
	} {
		for _, format := range []string{"table", "csv", "json"} {
			args := append([]string{"--server", serve(t, answersOne(tt.last)), "-o", format}, tt.args...)
			o := shakeWith(t, strings.NewReader(tt.stdin), args...)
			if o.code != exitFailed || !strings.HasSuffix(o.stderr, "\nshake: "+tt.want) {
				t.Errorf("%s, %s: %+v", name, format, o)
			}
			if strings.Count(o.stdout, "up:") != 1 {
				t.Errorf("%s, %s: %s", name, format, o.stdout)
			}
		}
	}
}

// While a service is away shake waits for it, within --deadline.
func TestServiceThatStaysAway(t *testing.T) {
	address := serve(t, func(serverStream) error { return status.Error(codes.Unavailable, "draining") })
	o := shakeWith(t, nil, "--server", address, "--deadline", "300ms", "up:1", "up:2")
	if o.code != exitFailed || !strings.Contains(o.stderr, "draining") || !strings.Contains(o.stderr, "2 of 2 targets have no result: up:1, up:2\n") {
		t.Errorf("%+v", o)
	}
}

// Targets that were not even read, because there was no service, are named too.
func TestUnansweredWithoutAService(t *testing.T) {
	closed := closedAddress(t)
	list := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(list, []byte("up:2 # comment\nup:3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"shake: 1 target has no result: up:1\n":                    {"up:1"},
		"shake: 2 of 2 targets have no result: up:1, up:4\n":       {"up:1", "up:4"},
		"shake: 3 of 3 targets have no result: up:1, up:2, up:3\n": {"up:1", "-f", list},
	} {
		o := shakeWith(t, nil, append([]string{"--server", closed}, args...)...)
		if o.code != exitFailed || !strings.HasSuffix(o.stderr, want) {
			t.Errorf("%v: %+v", args, o)
		}
	}
	for want, n := range map[string][2]int{
		"1 target has no result":                      {1, 1},
		"1 of 5 targets has no result":                {1, 5},
		"3 of 5 targets have no result":               {3, 5},
		"the 1 target that was read has no result":    {-1, 1},
		"1 of the 5 targets that were read has no re": {-1, 5},
	} {
		got := ofAll(n[0], n[1])
		if n[0] < 0 {
			got = ofRead(-n[0], n[1])
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
