package server_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/CarterTsai/tcp-shaker"

// TestArrows keeps the rooms of the house looking one way. Each rule says what a package, with all that it imports, may depend
// on beside the standard library, and why.
func TestArrows(t *testing.T) {
	for _, rule := range []struct {
		pkg     string
		allowed []string
		why     string
	}{
		{
			"/shaker",
			[]string{module + "/shaker", "golang.org/x/sys/unix"},
			"the engine knows addresses and the kernel; who embeds it takes on nothing else",
		},
		{
			"/client",
			[]string{
				module + "/client", module + "/gen", "google.golang.org/", // grpc, protobuf, genproto
				"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", // grpc's own
			},
			"the SDK is in other people's programs: gRPC and protobuf alone",
		},
		{
			"/server",
			[]string{
				module + "/server", module + "/gen", module + "/shaker", "google.golang.org/",
				"golang.org/x/", "github.com/grpc-ecosystem/go-grpc-middleware/v2", "github.com/gaissmai/bart",
			},
			"the service, and its interceptors",
		},
	} {
		for _, dep := range dependencies(t, module+rule.pkg) {
			if !slices.ContainsFunc(rule.allowed, func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) {
				t.Errorf("%s depends on %s: %s", rule.pkg, dep, rule.why)
			}
		}
	}
}

// TestWhoImportsTheServer: the daemon, and the tool that runs it in process. An SDK that did would bring an engine along.
func TestWhoImportsTheServer(t *testing.T) {
	allowed := []string{module + "/server/shakerd", module + "/client/shake"}
	for line := range strings.Lines(list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...")) {
		fields := strings.Fields(line)
		for _, dep := range fields[1:] {
			inside := strings.HasPrefix(fields[0], module+"/server")
			if strings.HasPrefix(dep, module+"/server") && !inside && !slices.Contains(allowed, fields[0]) {
				t.Errorf("%s imports %s", fields[0], dep)
			}
		}
	}
}

// TestWhoKnowsPrometheus: server/metrics, and the daemon that serves it. Package server, which others register on servers of theirs,
// takes interceptors from anybody, and the tool has nobody who would scrape it.
func TestWhoKnowsPrometheus(t *testing.T) {
	allowed := []string{module + "/server/metrics", module + "/server/shakerd"}
	for line := range strings.Lines(list(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")) {
		fields := strings.Fields(line)
		knows := slices.ContainsFunc(fields[1:], func(dep string) bool { return strings.Contains(dep, "prometheus") })
		if knows != slices.Contains(allowed, fields[0]) {
			t.Errorf("%s depends on Prometheus: %t", fields[0], knows)
		}
	}
}

// TestOnlyTheEngineSpeaksToTheKernel: golang.org/x/sys/unix is imported by the engine's Linux files, its watcher of the host's
// network, the test house, and the daemon's few lines that know its limits and sockets.
func TestOnlyTheEngineSpeaksToTheKernel(t *testing.T) {
	allowed := []string{module + "/shaker", module + "/shaker/hostnet", module + "/shaker/internal/testnet", module + "/server/shakerd"}
	for line := range strings.Lines(list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...")) {
		fields := strings.Fields(line)
		if slices.Contains(fields[1:], "golang.org/x/sys/unix") && !slices.Contains(allowed, fields[0]) {
			t.Errorf("%s imports golang.org/x/sys/unix", fields[0])
		}
	}
}

// dependencies returns the packages that one depends on, those of the standard library left out.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	return strings.Fields(list(t, "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, pkg))
}

func list(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return string(out)
}

// TestWhoKnowsYAML: server/config, and the daemon whose file it is.
func TestWhoKnowsYAML(t *testing.T) {
	allowed := []string{module + "/server/config", module + "/server/shakerd"}
	for line := range strings.Lines(list(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")) {
		fields := strings.Fields(line)
		knows := slices.ContainsFunc(fields[1:], func(dep string) bool { return strings.Contains(dep, "yaml") })
		if knows && !slices.Contains(allowed, fields[0]) && !strings.Contains(strings.Join(fields[1:], " "), "prometheus") {
			t.Errorf("%s depends on YAML", fields[0])
		}
	}
}
