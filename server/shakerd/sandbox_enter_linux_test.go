//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What of the environment makes this test binary enter the sandbox, and then be itself once more: the command, or controls.
const (
	asSandboxed = "SHAKERD_TEST_SANDBOX"     // holds the unit's text
	runtimeAt   = "SHAKERD_TEST_RUNTIME_DIR" // what becomes runtimeDir there
	asControls  = "SHAKERD_TEST_SANDBOX_CONTROLS"
)

// runtimeDir is what RuntimeDirectory=shakerd of the unit makes: the one place beside /tmp and /var/tmp that can be written.
const runtimeDir = "/run/shakerd"

// sandboxUser is of the range that DynamicUser takes from, and nobody's here.
const sandboxUser = 61184

// sandboxCapabilities are what entering takes. They are gone when the sandbox is entered.
var sandboxCapabilities = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP, unix.CAP_DAC_READ_SEARCH}

// init comes before TestMain, which belongs to all tests of the package.
func init() {
	if os.Getenv(asControls) != "" && os.Getenv(asSandboxed) == "" {
		os.Exit(tellControls())
	}
	text := os.Getenv(asSandboxed)
	if text == "" {
		return
	}
	runtime.LockOSThread() // what follows holds for this thread, and for what it executes
	err := enterSandbox(text)
	if err == nil {
		err = os.NewSyscallError("execve", syscall.Exec("/proc/self/exe", os.Args, environ(asSandboxed, runtimeAt)))
	}
	fmt.Fprintln(os.Stderr, "entering the sandbox:", err)
	os.Exit(exitFailure)
}

// environ is the environment without some variables.
func environ(without ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		keep := true
		for _, name := range without {
			keep = keep && !strings.HasPrefix(e, name+"=")
		}
		if keep {
			env = append(env, e)
		}
	}
	return env
}

// enterSandbox does what systemd does for the unit, for a process that has sandboxCapabilities and a mount namespace of its own, and
// is sandboxUser already. Not imitated are ProtectProc (a /proc of its own takes a namespace of processes) and what concerns others
// than the process (RemoveIPC, KeyringMode, DevicePolicy: there are no devices at all here).
func enterSandbox(text string) error {
	u, err := parseUnit(text)
	if err != nil {
		return err
	}
	allowed, err := u.calls()
	if err != nil {
		return err
	}
	families, err := u.families()
	if err != nil {
		return err
	}
	if err := errors.Join(limits(u), files(os.Getenv(runtimeAt)), noCapabilities(), noNewPrivileges(), noNewCode()); err != nil {
		return err
	}
	// The one that refuses seccomp(2) itself is the last.
	for _, p := range []program{argumentFilter(refusals()), familyFilter(families), callFilter(allowed)} {
		if err := p.install(); err != nil {
			return err
		}
	}
	return nil
}

// limits sets LimitNOFILE, as far as this process may have so many, and UMask.
func limits(u unit) error {
	files, err := u.number("LimitNOFILE", 10)
	if err != nil {
		return err
	}
	umask, err := u.number("UMask", 8)
	if err != nil {
		return err
	}
	unix.Umask(int(umask))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Max = min(limit.Max, files)
	limit.Cur = limit.Max
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

// files makes all that is mounted read-only (ProtectSystem, ProtectKernelTunables, ProtectControlGroups), hides what is people's
// and devices (ProtectHome, PrivateDevices), and makes the places that can be written: runtimeDir, which is dir outside, and
// a /tmp and /var/tmp that are nobody else's (PrivateTmp).
func files(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount private", err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	writable := []string{"/tmp", "/var/tmp", runtimeDir}
	for _, path := range []string{"/tmp", "/var/tmp", "/home", "/root", "/dev", filepath.Dir(runtimeDir)} {
		err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mount tmpfs on %s: %w", path, err)
		}
	}
	if err := os.Mkdir(runtimeDir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), runtimeDir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", dir, runtimeDir, err)
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &readOnly); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	for _, path := range writable {
		err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mount_setattr %s: %w", path, err)
		}
	}
	return unix.Chdir("/")
}

// noCapabilities empties all five sets: CapabilityBoundingSet= and AmbientCapabilities= of the unit.
func noCapabilities() error {
	for c := range uintptr(64) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // this kernel has no more
			break
		}
		if err != nil {
			return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_CAP_AMBIENT", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
}

func noNewPrivileges() error {
	return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// noNewCode is the kernel's own MemoryDenyWriteExecute, since Linux 6.3; the filter that says the same holds on all.
func noNewCode() error {
	err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return os.NewSyscallError("prctl PR_SET_MDWE", err)
}
