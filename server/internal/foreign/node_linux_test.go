//go:build foreign

package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// patience bounds the installation and the checks. Neither takes half of it.
const patience = 2 * time.Minute

// checks are the names of all checks that the script makes.
var checks = []string{
	"Check", "error details", "StreamCheck", "gzip Check", "gzip StreamCheck",
	"keepalive without a stream", "keepalive with a stream", "deadline", "short deadline", "cancel",
}

// verdict is one line of the script.
type verdict struct {
	Check string
	Error *string
	Note  string
	MS    int
}

// TestNode: the service serves @grpc/grpc-js, whose HTTP/2, gzip, keepalive, deadlines and cancels
// are not those of grpc-go.
func TestNode(t *testing.T) {
	service := startService(t)
	taps := make(map[string]*tap)
	addresses := make(map[string]string)
	for _, channel := range []string{"plain", "gzip", "quiet", "streaming"} {
		taps[channel] = startTap(t, service.address)
		addresses[channel] = taps[channel].address
	}
	dir := install(t)
	given := runScript(t, dir, map[string]any{
		"addresses": addresses,
		"targets":   map[string]string{"open": openPort(t), "closed": closedPort(t), "silent": silentPort(t)},
		"metrics":   service.metrics,
		"proto":     absolute(t, "../../../proto"),
		"details":   writeDetails(t, dir),
	})
	for _, p := range taps {
		p.stop()
	}

	for _, name := range checks {
		t.Run(name, func(t *testing.T) {
			v, ok := given[name]
			switch {
			case !ok:
				t.Error("the script did not make this check")
			case v.Error != nil:
				t.Errorf("after %d ms: %s", v.MS, *v.Error)
			default:
				t.Logf("%d ms %s", v.MS, v.Note)
			}
		})
	}
	if len(given) != len(checks) {
		t.Errorf("the script made %d checks, want %d", len(given), len(checks))
	}
	for channel, p := range taps {
		t.Run("connection of "+channel, func(t *testing.T) { oneConnection(t, p) })
	}
	t.Run("messages are compressed", func(t *testing.T) { compressed(t, taps["gzip"]) })
	for _, channel := range []string{"quiet", "streaming"} {
		t.Run("pings of "+channel, func(t *testing.T) {
			// One every 5 s for 45 s. A busy machine sends fewer.
			if n := taps[channel].client.pings; n < 6 {
				t.Errorf("the client sent %d pings: too few to test keepalive", n)
			} else {
				t.Logf("%d pings", n)
			}
		})
	}
}

// oneConnection fails where the service ended a connection, or the client made another.
func oneConnection(t *testing.T, p *tap) {
	for _, err := range p.trouble {
		t.Errorf("the tap: %v", err)
	}
	if p.connections != 1 {
		t.Errorf("%d connections, want 1", p.connections)
	}
	if len(p.server.goAways) != 0 {
		t.Errorf("the service sent GOAWAY: %q", p.server.goAways)
	}
}

// compressed fails unless both ends compressed every message with gzip.
func compressed(t *testing.T, p *tap) {
	for name, s := range map[string]side{"client": p.client, "service": p.server} {
		if s.plain != 0 || s.compressed == 0 || len(s.encodings) != 1 || s.encodings["gzip"] == 0 {
			t.Errorf("the %s sent %d messages compressed and %d not; RPCs by grpc-encoding: %v",
				name, s.compressed, s.plain, s.encodings)
		}
	}
}

// install puts the script and the packages that it needs into a directory of the test, and returns
// that directory.
func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// runScript runs the checks, and returns what they found, by name.
func runScript(t *testing.T, dir string, config any) map[string]verdict {
	t.Helper()
	argument, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "checks.mjs", string(argument))
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failure := cmd.Run() // exit 1 where a check failed
	if stderr.Len() != 0 {
		t.Logf("node says:\n%s", stderr.Bytes())
	}
	if failure != nil {
		t.Errorf("node: %v", failure)
	}
	given := make(map[string]verdict)
	for decoder := json.NewDecoder(&stdout); ; {
		var v verdict
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			if len(given) == 0 {
				t.Fatal("the script made no check")
			}
			return given
		} else if err != nil {
			t.Fatalf("a line of the script: %v", err)
		}
		given[v.Check] = v
	}
}

// writeDetails writes the descriptors of google.rpc's error details to a file, and returns its
// path. The script needs them to read the details, and no small package for node has them.
func writeDetails(t *testing.T, dir string) string {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range []protoreflect.FileDescriptor{
		anypb.File_google_protobuf_any_proto, durationpb.File_google_protobuf_duration_proto,
		status.File_google_rpc_status_proto, errdetails.File_google_rpc_error_details_proto,
	} {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	data, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "details.binpb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
