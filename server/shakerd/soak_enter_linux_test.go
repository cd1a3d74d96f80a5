//go:build !race

package main

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// soakInside marks, in the environment of the test binary, that it has the soak's namespaces.
const soakInside = "SHAKERD_TEST_SOAK_INSIDE"

// soakHosts is the /etc/hosts of the soak: a name that its owner points to where nobody may ask.
const soakHosts = "127.0.0.1 localhost\n169.254.169.254 bait.soak.example\n10.66.0.1 inner.soak.example\n"

// enterSoak runs the calling test again in a user, network and mount namespace of its own, which takes no privilege, and returns
// true there. It returns false outside, when the test has ended inside.
func enterSoak(t *testing.T) (inside bool) {
	t.Helper()
	if os.Getenv(soakInside) != "" {
		if err := errors.Join(soakLoopback(), soakEverywhere(unix.AF_INET), soakEverywhere(unix.AF_INET6), ownHosts(t.TempDir())); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), soakInside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		why := "no namespace of our own is allowed here: " + err.Error()
		if os.Getenv("CI") != "" {
			t.Fatal(why + ", and CI must not skip")
		}
		t.Skip(why)
	}
	t.Logf("in the namespace:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// soakLoopback sets lo up, which in a new namespace is down.
func soakLoopback() error {
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

// soakEverywhere makes every address of a family one of this namespace: ip route add local default dev lo table local. So whatever
// is sent, wherever to, is sent through lo, where the tap sees it; and is answered, if only by an RST.
func soakEverywhere(family byte) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	scope := byte(unix.RT_SCOPE_HOST)
	if family == unix.AF_INET6 {
		scope = unix.RT_SCOPE_UNIVERSE
	}
	const size = unix.SizeofNlMsghdr + unix.SizeofRtMsg + 8
	b := binary.NativeEndian.AppendUint32(nil, size)
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWROUTE)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)                                                                      // sequence, port
	b = append(b, family, 0, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, scope, unix.RTN_LOCAL, 0, 0, 0, 0) // struct rtmsg
	b = binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(b, 8), unix.RTA_OIF)                 // struct rtattr
	b = binary.NativeEndian.AppendUint32(b, uint32(lo.Index))
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto netlink", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		return errors.Join(errors.New("no answer of netlink"), err)
	}
	if errno := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return os.NewSyscallError("RTM_NEWROUTE", unix.Errno(-errno))
	}
	return nil
}

// ownHosts puts soakHosts in the place of /etc/hosts, for this mount namespace alone.
func ownHosts(dir string) error {
	path := filepath.Join(dir, "hosts")
	if err := os.WriteFile(path, []byte(soakHosts), 0o644); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount private", err)
	}
	return os.NewSyscallError("mount /etc/hosts", unix.Mount(path, "/etc/hosts", "", unix.MS_BIND, ""))
}
