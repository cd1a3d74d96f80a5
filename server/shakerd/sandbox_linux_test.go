//go:build amd64 || arm64

package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// sandboxed starts this test binary again as what env says, under the restrictions of the unit file. They are made by hand, so that
// no systemd is needed: the process gets a mount namespace and sandboxUser here, and does the rest by itself (enterSandbox). Where
// it can be, the user is another one than the test's; else the same, with no capability, in a user namespace. dir is its runtimeDir.
// The caller waits for it.
func sandboxed(t *testing.T, dir, env string, stdout io.Writer, args ...string) process {
	t.Helper()
	own := []syscall.SysProcIDMap{{ContainerID: sandboxUser, HostID: os.Getuid(), Size: 1}}
	ownGroup := []syscall.SysProcIDMap{{ContainerID: sandboxUser, HostID: os.Getgid(), Size: 1}}
	ways := []struct {
		name string
		uid  int // who dir has to belong to
		attr syscall.SysProcAttr
	}{
		{"root's way", sandboxUser, syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNS,
			Credential: &syscall.Credential{Uid: sandboxUser, Gid: sandboxUser},
		}},
		{"a user namespace", os.Getuid(), syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: own, GidMappings: ownGroup,
		}},
	}
	var errs []string
	for _, way := range ways {
		p := process{Cmd: exec.Command("/proc/self/exe", args...)}
		p.SysProcAttr = &way.attr
		p.SysProcAttr.AmbientCaps = sandboxCapabilities
		p.Env = append(environ("GOMAXPROCS"), env+"=1", asSandboxed+"="+unitText(t), runtimeAt+"="+dir)
		p.Stdout = stdout
		stderr, err := p.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		err = os.Chown(dir, way.uid, -1)
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			errs = append(errs, way.name+": "+err.Error())
			continue
		}
		t.Logf("the sandbox is made by %s %q", way.name, errs)
		p.log = logOf(stderr)
		t.Cleanup(func() {
			_ = p.Process.Kill() // it has ended, unless the test failed
			for l := range p.log {
				t.Log(l.Raw)
			}
			_ = p.Wait()
		})
		return p
	}
	why := "neither another user nor a user namespace is allowed here, so there is no sandbox: " + strings.Join(errs, "; ")
	if os.Getenv("CI") != "" {
		t.Fatal(why + ", and CI must not skip")
	}
	t.Skip(why)
	return process{}
}

// TestRunsInTheSandbox: under the restrictions of shakerd.service the daemon starts, finds the same engine as outside, answers what it
// answers outside, serves /metrics, and ends in order.
func TestRunsInTheSandbox(t *testing.T) {
	outside, free := spawn(t, nil, nil, "--listen", "127.0.0.1:0")
	outside.signal(t, syscall.SIGTERM)
	outside.exit(t)

	dir := t.TempDir()
	p := sandboxed(t, dir, asCommand, nil, "--log-format", "json", "--listen", "127.0.0.1:0",
		"--listen", "unix:"+filepath.Join(runtimeDir, "s"), "--metrics-listen", "127.0.0.1:0")
	start := await(t, p.log, "serving")
	if got, want := engineOf(t, start), engineOf(t, free); got != want {
		t.Errorf("the engine is %+v, outside %+v", got, want)
	}

	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	closed := bound(t)
	for _, address := range []string{start.addresses(t)[0], "unix:" + filepath.Join(dir, "s")} {
		client := dial(t, address)
		got, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{open.Addr().String(), closed}})
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		first, second := got.GetResults()[0], got.GetResults()[1]
		if first.GetVerdict() != tcpshakerv1.Verdict_VERDICT_REACHABLE || first.GetSilence() != tcpshakerv1.Silence_SILENCE_PROVEN {
			t.Errorf("%s: an open port is %v", address, first)
		}
		if second.GetVerdict() != tcpshakerv1.Verdict_VERDICT_UNREACHABLE || second.GetReason() != tcpshakerv1.Reason_REASON_REFUSED {
			t.Errorf("%s: a closed port is %v", address, second)
		}
		vantage, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
		if err != nil || vantage.GetKernelRelease() == "" { // which is read from /proc/sys
			t.Errorf("%s: the vantage is %v, %v", address, vantage, err)
		}
	}
	metrics := "\n" + scrape(t, start.Metrics)
	for _, name := range []string{"tcpshaker_", "process_open_fds "} { // the latter is read from /proc
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics has no line that begins with %q", name)
		}
	}

	p.signal(t, syscall.SIGTERM)
	await(t, p.log, "shutting down")
	await(t, p.log, "stopped")
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s")); err == nil {
		t.Error("the socket is still there")
	}
}

// TestOwnAddressesInTheSandbox: a service that others can reach does not start unless it knows this host's own addresses, which are
// read over netlink.
func TestOwnAddressesInTheSandbox(t *testing.T) {
	p := sandboxed(t, t.TempDir(), asCommand, nil, "--log-format", "json", "--listen", "0.0.0.0:0", "--insecure")
	await(t, p.log, "serving")
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}

// TestSandboxIsReal: what the unit takes away is away, in the same sandbox that TestRunsInTheSandbox runs the daemon in.
func TestSandboxIsReal(t *testing.T) {
	var out strings.Builder
	p := sandboxed(t, t.TempDir(), asControls, &out)
	if code := p.exit(t); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	got := make(map[string]unix.Errno)
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for _, c := range controls() {
		errno, tried := got[c.name]
		if !tried || errno != c.want {
			t.Errorf("%s: %s (tried: %t), want %s", c.name, errnoName(errno), tried, errnoName(c.want))
		}
	}
}

func errnoName(e unix.Errno) string {
	if e == 0 {
		return "no error"
	}
	return unix.ErrnoName(e)
}

// engine is what the line "serving" says of it that a sandbox could change.
type engine struct {
	Engine, Why string
	Shards      int
}

func engineOf(t *testing.T, l line) engine {
	t.Helper()
	var e engine
	if err := json.Unmarshal([]byte(l.Raw), &e); err != nil || e.Engine == "" {
		t.Fatalf("%s: no engine: %v", l.Raw, err)
	}
	return e
}

// bound returns an address that a socket holds which does not listen, so that nobody else listens there either.
func bound(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}
	return at.String()
}
