package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A pipe that is named as a file is not opened again to count its targets, which would block.
func TestUnansweredOfAPipe(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := write.WriteString("up:1\n"); err != nil {
		t.Fatal(err)
	}
	write.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", read.Fd())
	address := serve(t, func(s serverStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		return status.Error(codes.Aborted, "enough")
	})
	o := shakeWith(t, nil, "--server", address, "-f", path)
	if o.code != exitFailed || !strings.HasSuffix(o.stderr, "shake: the 1 target that was read has no result: up:1\n") {
		t.Errorf("%+v", o)
	}
}
