package testnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside marks, in the environment of a test binary, that it runs in the namespace.
const inside = "TCPSHAKER_TESTNET"

// Main runs the tests of a package in a user and a network namespace of their own, where sysctls, ports and counters are
// theirs, with the loopback interface up. It does so by starting the test binary again, which needs no privilege where user
// namespaces are allowed; elsewhere the tests run where they are, and Private skips those that need more. It returns the
// exit code. Call it from TestMain; run is m.Run or a wrapper of it.
func Main(run func() int) int {
	switch {
	case os.Getenv(inside) != "":
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, "testnet: loopback:", err)
			return 1
		}
		return run()
	case fuzzing():
		return run() // its workers speak over descriptors that a second process would not have
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "testnet:", err)
		return 1
	default:
		fmt.Fprintln(os.Stderr, "testnet: no namespace of our own:", err)
		return run()
	}
}

func fuzzing() bool {
	for _, arg := range os.Args[1:] {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "test.fuzz" || name == "test.fuzzworker" {
			return true
		}
	}
	return false
}

// NoNamespace is why a test is skipped that cannot do without a namespace of its own.
const NoNamespace = "user namespaces are not allowed here, so there is no network of our own"

// Private skips a test that cannot do without a namespace of its own where there is none. See Skip.
func Private(t testing.TB) {
	t.Helper()
	if os.Getenv(inside) == "" {
		Skip(t, NoNamespace)
	}
}

// Skip skips a test for what this machine does not have. With CI set that is a failure: there the machine has to have it.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why + ", and CI must not skip")
	}
	t.Skip(why)
}

func loopbackUp() error { return setUp("lo") }

// setUp sets an interface up: SIOCSIFFLAGS of netdevice(7).
func setUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}

// Sysctl sets one of the calling thread's namespace, named as below /proc/sys, until the test ends.
func Sysctl(t testing.TB, name, value string) {
	t.Helper()
	Private(t)
	// Kept open: it stays that of this namespace, on whichever thread it is set back.
	file, err := os.OpenFile("/proc/sys/"+name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := make([]byte, 4096)
	n, err := file.Read(old)
	if err == nil {
		_, err = file.WriteAt([]byte(value), 0)
	}
	t.Cleanup(func() {
		_, err := file.WriteAt(old[:n], 0)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitLocal waits for the kernel's local route to an IPv6 address of the calling thread's namespace, without which it drops what
// comes for it; it makes that a moment after the address.
func awaitLocal(t testing.TB, ip netip.Addr) {
	t.Helper()
	want := fmt.Sprintf("%x 80 ", ip.AsSlice()) // destination and length of its prefix
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		routes, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(routes), want) || strings.Contains(string(routes), "\n"+want) {
			return
		}
		<-tick.C
	}
	t.Fatalf("no local route to %s", ip)
}
