package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside marks, in the environment of the test binary, that it has its namespace, and holds scratch.
const inside = "TCPSHAKER_BENCH_INSIDE"

// scratch is the directory of what is built, and of sockets. It goes when the tests have ended, however they do.
var scratch string

// TestMain is three things: what starts the tests again in a namespace of their own, where no firewall and nobody else's sockets
// are in the way; the tests there; and a line of a table, which is this binary too.
func TestMain(m *testing.M) {
	if os.Getenv(taskEnv) != "" {
		os.Exit(runTask())
	}
	if scratch = os.Getenv(inside); scratch != "" {
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: loopback:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	var err error
	if scratch, err = os.MkdirTemp("", "bench"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	code := again(m.Run)
	os.RemoveAll(scratch)
	os.Exit(code)
}

// again runs the tests in another process, with a network namespace; or here, where that is not allowed.
func again(run func() int) int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+scratch)
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
	case errors.As(err, &exit):
		return max(1, exit.ExitCode()) // of a signal it is -1
	}
	fmt.Fprintln(os.Stderr, "bench: no namespace of our own:", err)
	return run()
}

// loopbackUp sets the interface up, which in a new namespace is down.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}
