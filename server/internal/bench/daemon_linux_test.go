package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is shakerd, a process of its own, with a port of loopback and a unix socket.
type daemon struct {
	pid       int
	tcp, unix string
}

// buildDaemon compiles it, once.
var buildDaemon = sync.OnceValues(func() (string, error) {
	// The test cache has to know of the source that goes into the binary; it takes note of the directories that a test reads.
	for _, dir := range []string{
		"../../shakerd", "../..", "../../access", "../../config", "../../identity", "../../internal/connlimit", "../../internal/errno",
		"../../metrics", "../../policy", "../../quota", "../../resolve", "../../target",
	} {
		if _, err := os.ReadDir(dir); err != nil {
			return "", err
		}
	}
	binary := filepath.Join(scratch, "shakerd")
	// Without what git would say, which here is asked as another user.
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../../shakerd")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return binary, cmd.Run()
})

// shared is a configuration where each target is judged by rules and counted by every limit there is, and none is reached.
const shared = `
callers:
  - name: bench
    identity: {uid: [%d]}
    limits: {probes_per_second: 10000000, outstanding: 10000000, streams: 10000}
    deny: ["10.0.0.0/8:*", "127.0.0.0/8:1-1023"]
    allow: ["127.0.0.0/8:*", "*.corp.example:443"]
limits:
  probes_per_second: 10000000
  per_address: {probes_per_second: 10000000}
  per_prefix: {probes_per_second: 10000000}
  ports_per_address: {ports: 128}
`

// startShared is startDaemon with callers and limits, for who comes by the unix socket.
func startShared(tb testing.TB, shards, inFlight int) daemon {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "shakerd.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, shared, os.Getuid()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return startDaemon(tb, shards, inFlight, "--config", file)
}

// startDaemon starts it without a limit of its rate, waits until it serves, and sees to its end. As by default it has a processor more
// than shards.
func startDaemon(tb testing.TB, shards, inFlight int, more ...string) daemon {
	tb.Helper()
	binary, err := buildDaemon()
	if err != nil {
		tb.Fatalf("building shakerd: %v", err)
	}
	dir, err := os.MkdirTemp(scratch, "") // a short path, as sockets need
	if err != nil {
		tb.Fatal(err)
	}
	ctx, kill := context.WithCancel(context.WithoutCancel(tb.Context())) // which ends too early, before the cleanup
	args := append([]string{
		"--log-format", "json", "--rate", "0", "--grace", "0s", "--listen", "127.0.0.1:0", "--listen", "unix:" + filepath.Join(dir, "s"),
		"--shards", strconv.Itoa(shards), "--max-in-flight", strconv.Itoa(inFlight),
	}, more...)
	cmd := bounded(exec.CommandContext(ctx, binary, args...), shards+1)
	log, err := cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		kill()
		tb.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	read := make(chan struct{})
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(5*time.Second, kill)
		<-read
		if err := cmd.Wait(); err != nil {
			tb.Errorf("shakerd: %v", err)
		}
		late.Stop()
		kill()
	})
	listen := serving(lines)
	go func() { // so that it never waits for a reader
		defer close(read)
		for lines.Scan() {
		}
	}()
	if len(listen) != 2 {
		tb.Fatalf("shakerd does not serve: %q", lines.Text())
	}
	return daemon{cmd.Process.Pid, listen[0], listen[1]}
}

// serving reads the log up to the line that says where the daemon listens.
func serving(lines *bufio.Scanner) []string {
	for lines.Scan() {
		var line struct {
			Msg    string
			Listen []string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			return line.Listen
		}
	}
	return nil
}

// status reads a number of a process's or thread's status file (proc(5)): VmRSS in KiB, or a count.
func status(tb testing.TB, path, key string) float64 {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	value, ok := keyed(string(text), key)
	if !ok {
		tb.Fatalf("%s: no %s", path, key)
	}
	return value
}

// keyed finds the number after a key and a colon at the beginning of a line.
func keyed(text, key string) (float64, bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == key+":" {
			value, err := strconv.ParseFloat(fields[1], 64)
			return value, err == nil
		}
	}
	return 0, false
}

// rss is what a process has in memory, in MiB.
func (d daemon) rss(tb testing.TB) float64 {
	tb.Helper()
	return status(tb, "/proc/"+strconv.Itoa(d.pid)+"/status", "VmRSS") / 1024
}
