//go:build amd64 || arm64

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// control is something tried in the sandbox, with the error that it must bring there; 0: none, so that an error of another attempt
// is the sandbox's and not that of all.
type control struct {
	name string
	try  func() error
	want unix.Errno
}

// tellControls tries them, and prints the number of each one's error by its name.
func tellControls() int {
	runtime.LockOSThread()
	got := make(map[string]unix.Errno)
	for _, c := range controls() {
		errno, ok := errors.AsType[unix.Errno](c.try())
		if ok {
			got[c.name] = errno
		} else {
			got[c.name] = 0
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailure
	}
	return exitOK
}

func controls() []control {
	socket := func(family, kind, protocol int) func() error {
		return func() error { return opened(unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)) }
	}
	file := func(dir string) func() error {
		path := filepath.Join(dir, "written")
		return func() error { return opened(unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)) }
	}
	all := []control{
		{"socket AF_PACKET", socket(unix.AF_PACKET, unix.SOCK_RAW, 0), unix.EAFNOSUPPORT},
		{"socket AF_VSOCK", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0), unix.EAFNOSUPPORT},
		{"socket AF_ALG", socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), unix.EAFNOSUPPORT},
		{"socket AF_INET raw", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), unix.EPERM},
		{"socket AF_INET", socket(unix.AF_INET, unix.SOCK_STREAM, 0), 0},
		{"socket AF_UNIX", socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0), 0},
		{"socket AF_NETLINK", socket(unix.AF_NETLINK, unix.SOCK_RAW, 0), 0},

		{"write /", file("/"), unix.EROFS},
		{"write /etc", file("/etc"), unix.EROFS},
		{"write /usr", file("/usr"), unix.EROFS},
		{"write /run", file("/run"), unix.EROFS},
		{"write /dev", file("/dev"), unix.EROFS},
		{"write " + runtimeDir, file(runtimeDir), 0},
		{"write /tmp", file("/tmp"), 0},
		{"chmod u+s", func() error { return unix.Chmod("/tmp/written", 0o4700) }, unix.EPERM},
		{"chmod g+s", func() error { return unix.Fchmodat(unix.AT_FDCWD, "/tmp/written", 0o2700, 0) }, unix.EPERM},
		{"chmod", func() error { return unix.Chmod("/tmp/written", 0o700) }, 0},
		{"chown to oneself", func() error { return unix.Chown("/tmp/written", os.Getuid(), os.Getgid()) }, unix.EPERM},

		{"mount", func() error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") }, unix.EPERM},
		{"unshare user", func() error { return unix.Unshare(unix.CLONE_NEWUSER) }, unix.EPERM},
		{"clone user", cloneUser, unix.EPERM},
		{"clone3", func() error { return call(unix.SYS_CLONE3, 0, 0) }, unix.ENOSYS},
		{"openat2", func() error { return call(unix.SYS_OPENAT2, 0, 0, 0) }, unix.ENOSYS},
		{"personality", func() error { return call(unix.SYS_PERSONALITY, 0x0040000) }, unix.EPERM}, // ADDR_NO_RANDOMIZE
		{"map to write and execute", func() error { return mapped(unix.PROT_WRITE|unix.PROT_EXEC, 0) }, unix.EPERM},
		{"map, and then execute", func() error { return mapped(unix.PROT_READ, unix.PROT_EXEC) }, unix.EPERM},
		{"map", func() error { return mapped(unix.PROT_READ|unix.PROT_WRITE, unix.PROT_READ) }, 0},
		{"the kernel's own refusal of that", kernelRefusesCode, 0},

		{"raise a capability", raiseCapability, unix.EPERM},
		{"raise an ambient capability", func() error {
			return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0)
		}, unix.EPERM},
		{"become root", func() error { return call(unix.SYS_SETUID, 0) }, unix.EPERM},
		{"any capability", anyCapability, 0},
		{"new privileges", newPrivileges, 0},
		{"limit of descriptors", func() error {
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
		}, unix.EPERM},
	}
	for _, set := range refusedSets {
		calls, _ := callsOf(set) // an unknown one is TestUnitRefuses's to tell
		for _, number := range calls {
			// With arguments that no kernel takes, where it has them.
			try := func() error { return call(number, ^uintptr(0), ^uintptr(0), ^uintptr(0)) }
			all = append(all, control{fmt.Sprintf("%s: call %d", set, number), try, unix.EPERM})
		}
	}
	return all
}

// opened closes fd again, if there is one.
func opened(fd int, err error) error {
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

// call makes a system call with up to three arguments; the others are 0.
func call(number uintptr, arguments ...uintptr) error {
	var a [3]uintptr
	copy(a[:], arguments)
	if _, _, errno := unix.RawSyscall(number, a[0], a[1], a[2]); errno != 0 {
		return errno
	}
	return nil
}

// cloneUser asks for a process in a user namespace that shares this one's handlers but not its memory, which no kernel grants: where
// the sandbox lets it through, that is EINVAL.
func cloneUser() error { return call(unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_SIGHAND) }

// mapped maps a page, and changes its protection to one that is not 0.
func mapped(first, then int) error {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), first, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	if then != 0 {
		err = unix.Mprotect(page, then)
	}
	return errors.Join(err, unix.Munmap(page))
}

// kernelRefusesCode is an error if PR_SET_MDWE, which this kernel has, is not in force.
func kernelRefusesCode() error {
	flags, err := unix.PrctlRetInt(unix.PR_GET_MDWE, 0, 0, 0, 0)
	if errors.Is(err, unix.EINVAL) { // it has none
		return nil
	}
	if err == nil && flags&unix.PR_MDWE_REFUSE_EXEC_GAIN == 0 {
		err = unix.E2BIG
	}
	return err
}

func raiseCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	sets := [2]unix.CapUserData{{Effective: 1 << unix.CAP_NET_RAW, Permitted: 1 << unix.CAP_NET_RAW}}
	return unix.Capset(&header, &sets[0])
}

// anyCapability is an error if one of the sets is not empty.
func anyCapability() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	for c := range uintptr(64) {
		bounding, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		ambient, _ := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, c, 0, 0)
		if bounding == 1 || ambient == 1 {
			return unix.E2BIG
		}
	}
	if sets != [2]unix.CapUserData{} {
		return unix.E2BIG
	}
	return nil
}

// newPrivileges is an error if this process can get some by executing a file.
func newPrivileges() error {
	no, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err == nil && no != 1 {
		err = unix.E2BIG
	}
	return err
}
