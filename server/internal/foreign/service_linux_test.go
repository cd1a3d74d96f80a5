//go:build foreign

package foreign

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// service is a shakerd, in a process of its own.
type service struct {
	address string
	metrics string // URL
}

// startService builds shakerd from this tree and runs it until the test ends, when it has to end in
// order.
func startService(t *testing.T) service {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "shakerd")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../../shakerd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building shakerd: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--log-format", "json", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	s, served := serving(lines)
	var rest []string // the last of the log
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() {
			rest = append(rest, lines.Text())
			rest = rest[max(0, len(rest)-50):]
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		<-ended // Wait closes the pipe
		if err := cmd.Wait(); err != nil {
			t.Errorf("shakerd: %v", err)
		}
		late.Stop()
		if t.Failed() {
			for _, line := range rest {
				t.Log(line)
			}
		}
	})
	if !served {
		t.Fatal("shakerd does not serve")
	}
	return s
}

// serving reads the log up to the line that says where the service listens.
func serving(lines *bufio.Scanner) (service, bool) {
	for lines.Scan() {
		var line struct {
			Msg     string
			Listen  []string
			Metrics string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" && len(line.Listen) == 1 {
			return service{line.Listen[0], "http://" + line.Metrics + "/metrics"}, true
		}
	}
	return service{}, false
}
