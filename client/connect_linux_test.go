package client

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// A service whose backlog is full drops the SYN, and the call ends after the connect timeout.
func TestConnectTimeoutOfASYN(t *testing.T) {
	testConnectTimeout(t, blackHole(t), WithInsecure(), "i/o timeout")
}

// blackHole is a listener whose backlog is full, so that the kernel drops further SYNs.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	err = errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0))
	if err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for range 8 { // a backlog of 0 takes one
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the backlog takes everything")
	return ""
}
