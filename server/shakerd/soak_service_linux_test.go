//go:build !race

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// Where things are in the soak's namespace. soakService is an address of no interface, as every address there is.
const (
	soakService = "198.18.255.1:50051"
	soakMetrics = "127.0.0.1:9090"
	soakPort    = 443 // listens, on every address
	soakClosed  = 9   // on none
)

// What one destination, and the caller named greedy, may have: the tap counts it.
const (
	addressRate, addressBurst = 20, 60
	prefixRate, prefixBurst   = 100, 300
	portsAtMost               = 20
	greedyRate, greedyBurst   = 50, 256
)

// soakCallers are the honest one, and those who are not: evil goes for destinations, greedy for more than its rate, mute has
// streams and reads none. The token of each is its name and this.
const soakToken = "-0123456789abcdef0123456789abcdef"

func soakConfig(level string) string {
	hash := func(name string) string {
		h := identity.HashToken(name + soakToken)
		return hex.EncodeToString(h[:])
	}
	return fmt.Sprintf(`
listen:
  - address: 0.0.0.0:50051
insecure: true
metrics_listen: %s
log_level: %s
limits:
  per_address: {probes_per_second: %d, burst: %d}
  per_prefix: {ipv4: 24, ipv6: 64, probes_per_second: %d, burst: %d}
  ports_per_address: {ports: %d, window: 10m}
callers:
  - name: edge
    identity: {token_sha256: ["%s"]}
    limits: {probes_per_second: 10000, burst: 20000, outstanding: 10000, streams: 16}
    allow: ["198.18.0.0/18:*"]
  - name: evil
    identity: {token_sha256: ["%s"]}
    limits: {probes_per_second: 2000, burst: 2000, outstanding: 5000, streams: 12}
    deny: ["198.18.203.0/24:*", "fd00:66::/64:*"]
    allow: ["198.18.200.0/21:*", "::/0:1-1023", "*.soak.example:443"]
  - name: greedy
    identity: {token_sha256: ["%s"]}
    limits: {probes_per_second: %d, burst: %d, outstanding: 300, streams: 8}
    allow: ["198.18.128.0/19:443"]
  - name: mute
    identity: {token_sha256: ["%s"]}
    limits: {probes_per_second: 500, burst: 1000, outstanding: 2000, streams: 4}
    allow: ["198.18.160.0/19:443"]
`, soakMetrics, level, addressRate, addressBurst, prefixRate, prefixBurst, portsAtMost,
		hash("edge"), hash("evil"), hash("greedy"), greedyRate, greedyBurst, hash("mute"))
}

// soaked is the daemon of the soak. Its log, which has a line for each RPC, goes through a pipe and is looked through.
type soaked struct {
	*exec.Cmd
	config string
	ended  chan struct{} // closed at the log's end
	loads  chan struct{} // something for each reload that was asked for and done, well or not

	// Of the log's goroutine, until ended:
	lines int
	bad   []string
}

func startSoaked(t *testing.T) *soaked {
	t.Helper()
	s := &soaked{config: filepath.Join(t.TempDir(), "shakerd.yaml"), ended: make(chan struct{}), loads: make(chan struct{}, 1)}
	s.configure(t, soakConfig("info"))
	s.Cmd = exec.Command("/proc/self/exe", "--log-format", "json", "--config", s.config)
	s.Env = append(os.Environ(), asCommand+"=1")
	s.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.StderrPipe()
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	go func() {
		defer close(s.ended)
		told := false
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); s.lines++ {
			line := scanner.Bytes()
			if !told && bytes.Contains(line, []byte(`"msg":"serving"`)) {
				told = true
				close(serving)
			}
			if bytes.Contains(line, []byte(`"why":"SIGHUP"`)) {
				s.loads <- struct{}{}
			}
			trouble := bytes.Contains(line, []byte(`"level":"ERROR"`)) && !bytes.Contains(line, []byte("configuration"))
			if len(s.bad) < 20 && (trouble || !told || line[0] != '{' || bytes.Contains(line, []byte("panic"))) {
				s.bad = append(s.bad, string(line))
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.Process.Kill() // it has ended, unless the test failed
		<-s.ended
		_ = s.Wait()
	})
	select {
	case <-serving:
		s.bad = nil // what is said before is about --insecure
	case <-s.ended:
		t.Fatalf("the daemon did not start: %q", s.bad)
	}
	return s
}

// configure renames a new configuration into place.
func (s *soaked) configure(t *testing.T, text string) {
	t.Helper()
	next := s.config + ".next"
	err := os.WriteFile(next, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(next, s.config)
	}
	if err != nil {
		t.Error(err)
	}
}

// reloads asks for a reload every so often, of a good file and of one that breaks off, until stop is closed. It leaves a good one.
func (s *soaked) reloads(t *testing.T, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		text := soakConfig([]string{"info", "debug"}[i/2%2])
		if i%2 == 1 {
			text = text[:len(text)*3/4]
		}
		s.configure(t, text)
		if err := s.Process.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
			return
		}
		select {
		case <-stop:
			return
		case <-s.loads:
		}
	}
}

// peakBytes is VmHWM of proc(5): the most that was ever resident.
func (s *soaked) peakBytes(t *testing.T) (bytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process.Pid))
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	if err == nil {
		_, err = fmt.Sscan(rest, &bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}
