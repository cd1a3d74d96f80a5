package shaker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// selfCheckTries is how often New makes the self-check before it believes its failure.
const selfCheckTries = 3

// selfCheckPatience bounds each of the self-check's handshakes, which a loopback interface makes in microseconds.
const selfCheckPatience = 200 * time.Millisecond

// selfCheck shakes hands with a loopback listener of its own twice on one socket, exactly as a shard in mode Reuse does, and
// returns what keeps this kernel from it: an ACK that left, a connection that was noticed, a socket that is not new again
// after its disconnect.
func selfCheck(open func(v6 bool) (int, syscall.Errno)) error {
	listener, to, err := loopbackListener()
	if err != nil {
		return err
	}
	defer closeSocket(listener)
	fd, errno := open(to.Addr().Is6())
	if errno != 0 {
		return os.NewSyscallError("socket", errno)
	}
	defer closeSocket(fd)
	for use := 1; use <= 2; use++ {
		if err := shakeOnce(fd, to); err != nil {
			return fmt.Errorf("use %d of the socket: %w", use, err)
		}
		if noticed, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC); err == nil {
			closeSocket(noticed)
			return fmt.Errorf("use %d of the socket: the listener noticed the handshake", use)
		}
	}
	return nil
}

// usualDrops makes one handshake with a loopback listener of its own and returns how many segments the kernel says that it dropped:
// none on 6.18, but some count the SYN-ACK itself, which they have no more use for. 0 where it cannot be tried.
func usualDrops() uint32 {
	for range selfCheckTries {
		if drops, ok := dropsOnce(); ok {
			return drops
		}
	}
	return 0
}

func dropsOnce() (drops uint32, ok bool) {
	listener, to, err := loopbackListener()
	if err != nil {
		return 0, false
	}
	defer closeSocket(listener)
	fd, errno := openSocket(to.Addr().Is6(), Reuse, 0)
	if errno != 0 {
		return 0, false
	}
	defer closeSocket(fd)
	if err := shakeOnce(fd, to); err != nil {
		return 0, false
	}
	return readDrops(int32(fd)), true
}

// loopbackListener opens a listener that is never accepted from until it is asked what it noticed.
func loopbackListener() (fd int, at netip.AddrPort, err error) {
	for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if fd, at, err = listenOn(ip); err == nil {
			return fd, at, nil
		}
	}
	return -1, at, err
}

func listenOn(ip netip.Addr) (fd int, at netip.AddrPort, err error) {
	family := unix.AF_INET
	if ip.Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, at, os.NewSyscallError("socket", err)
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: ip.As16()}
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Addr: ip.As4()}
	}
	if err = unix.Bind(fd, sa); err == nil {
		err = unix.Listen(fd, 2)
	}
	var scratch sockaddr
	if at = localAddr(int32(fd), &scratch); err == nil && at.Port() == 0 {
		err = errors.New("a listener without an address")
	}
	if err != nil {
		closeSocket(fd)
		return -1, at, fmt.Errorf("listening on %s: %w", ip, err)
	}
	return fd, at, nil
}

func shakeOnce(fd int, to netip.AddrPort) error {
	var scratch sockaddr
	if errno := connect(int32(fd), &scratch, scratch.set(to, 0)); errno != 0 && errno != eInProgress {
		return os.NewSyscallError("connect", errno)
	}
	before := clock()
	if err := awaitAnswer(fd, before+int64(selfCheckPatience)); err != nil {
		return err
	}
	before = clock()
	var info tcpInfo
	if errno := readInfo(int32(fd), &info); errno != 0 {
		return os.NewSyscallError("getsockopt", errno)
	}
	if errno := disconnect(int32(fd)); errno != 0 {
		return os.NewSyscallError("disconnecting connect", errno)
	}
	if info.State != tcpEstablished {
		return fmt.Errorf("no handshake within %s (TCP state %d)", selfCheckPatience, info.State)
	}
	kept := silence(countersOf(&info), leaving{took: time.Duration(clock() - before)})
	switch {
	case info.Segs_out == 0 || kept == Broken:
		return fmt.Errorf("%d segments sent before leaving, want the SYN alone", info.Segs_out)
	case info.Segs_in != 1 || info.Bytes_acked != 1: // judge relies on both, and on their being reset
		return fmt.Errorf("%d segments received and %d bytes acknowledged, want the SYN-ACK and the SYN alone", info.Segs_in, info.Bytes_acked)
	default:
		return nil
	}
}

// awaitAnswer waits for the handshake of a socket to be answered, one way or another.
func awaitAnswer(fd int, until int64) error {
	for {
		ms := max(0, (until-clock())/int64(time.Millisecond))
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, int(ms))
		if err == nil && (n > 0 || ms == 0) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
	}
}
