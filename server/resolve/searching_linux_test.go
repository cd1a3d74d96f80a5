package resolve

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/CarterTsai/tcp-shaker/server/internal/testdns"
)

// TestSearchList: in a process with a resolv.conf and a name server of its own, Searching finds a short
// name by the search list, and an absolute one. Default finds the absolute one alone.
func TestSearchList(t *testing.T) {
	if os.Getenv("TEST_SEARCH_LIST") == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.Command(exe, "-test.run=^TestSearchList$", "-test.v")
		child.Env = append(os.Environ(), "TEST_SEARCH_LIST=1")
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}

	loopbackUp(t)
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.1\nsearch default.svc.example svc.example\noptions ndots:5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	testdns.StartAt(t, "127.0.0.1:53", map[string]testdns.Name{
		"db.default.svc.example.": {A: testdns.Addrs("192.0.2.1")},
		"far.example.":            {A: testdns.Addrs("192.0.2.2")},
	})
	for _, tt := range []struct {
		name     string
		resolver Resolver
		host     string
		want     []netip.Addr // nil: not found
	}{
		{"Searching", Searching(), "db.", []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{"Searching", Searching(), "db.default.", []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{"Searching", Searching(), "far.example.", []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		{"Searching", Searching(), "cache.", nil},
		{"Default", Default(), "db.", nil},
		{"Default", Default(), "far.example.", []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
	} {
		got, err := tt.resolver.LookupNetIP(t.Context(), "ip4", tt.host)
		if dns, ok := err.(*net.DNSError); tt.want == nil && (!ok || !dns.IsNotFound) || tt.want != nil && !slices.Equal(got, tt.want) {
			t.Errorf("%s of %s: %v, %v; want %v", tt.name, tt.host, got, err, tt.want)
		}
	}
}

// loopbackUp sets the loopback link of the process's network namespace up.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
}
