//go:build !race

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal is all that a process has written to its standard error, line by line.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed when a line comes, or the end
	ended bool
}

// spawnLogged starts the command with args. Its journal takes whatever it writes, however much.
func spawnLogged(t *testing.T, args ...string) (*exec.Cmd, *journal) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	j := &journal{more: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		j.read(stderr)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			lines := j.from(0)
			for _, l := range lines[max(0, len(lines)-20):] {
				t.Log(l)
			}
		}
	})
	return cmd, j
}

func (j *journal) read(r io.Reader) {
	for b := bufio.NewReader(r); ; {
		text, err := b.ReadString('\n')
		j.mu.Lock()
		if text != "" {
			j.lines = append(j.lines, strings.TrimSuffix(text, "\n"))
		}
		j.ended = err != nil
		close(j.more)
		j.more = make(chan struct{})
		j.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// from returns the lines from that number on.
func (j *journal) from(first int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines[first:])
}

// len is how many lines there are.
func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// await returns the first line with text among those from first on; it waits for it for at most 10 s.
func (j *journal) await(t *testing.T, first int, text string) string {
	t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for {
		j.mu.Lock()
		lines, more, ended := j.lines[first:], j.more, j.ended
		j.mu.Unlock()
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, text) }); i >= 0 {
			return lines[i]
		}
		if ended {
			t.Fatalf("the log ended without %q: %q", text, lines)
		}
		select {
		case <-more:
		case <-timeout.C:
			t.Fatalf("no %q in the log: %q", text, lines)
		}
	}
}

var textAddress = regexp.MustCompile(`(listen|metrics)="?\[?([0-9.:]+)`)

// listenedAt reads where the service and its metrics are from its first line, in either form of the log.
func listenedAt(t *testing.T, start string) (address, metrics string) {
	t.Helper()
	var l line
	if json.Unmarshal([]byte(start), &l) == nil {
		return l.addresses(t)[0], l.Metrics
	}
	found := textAddress.FindAllStringSubmatch(start, -1)
	if len(found) != 2 {
		t.Fatalf("no addresses: %s", start)
	}
	return found[0][2], found[1][2]
}
