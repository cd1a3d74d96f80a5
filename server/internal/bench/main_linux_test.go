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

// inside marks, in the environment of the test binary, that it has its namespace.
const inside = "TCPSHAKER_BENCH_INSIDE"

// scratch is the directory of what is built, and of sockets. It goes when the tests have ended.
var scratch string

// TestMain is three things: what starts the tests again in a namespace of their own, where no firewall and nobody else's sockets
// are in the way; the tests there; and a line of a table, which is this binary too.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(taskEnv) != "":
		os.Exit(runTask())
	case os.Getenv(inside) != "":
		os.Exit(inScratch(m.Run))
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
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode())) // of a signal it is -1
	}
	fmt.Fprintln(os.Stderr, "bench: no namespace of our own:", err)
	os.Exit(inScratch(m.Run))
}

func inScratch(run func() int) int {
	err := loopbackUp()
	if err == nil {
		scratch, err = os.MkdirTemp("", "bench")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return run()
}

// loopbackUp does what a new namespace needs, and nothing outside of one.
func loopbackUp() error {
	if os.Getenv(inside) == "" {
		return nil
	}
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
