package main

import (
	"io/fs"
	"syscall"
)

// modeAtBirth sets the mode of a unix socket before bind(2) gives it a path: the file gets the descriptor's mode, less the
// umask (unix_bind, net/unix/af_unix.c). So there is no moment in which others could connect, and the umask, which is the
// whole process's, stays as it is.
func modeAtBirth(mode fs.FileMode) func(network, address string, conn syscall.RawConn) error {
	return func(_, _ string, conn syscall.RawConn) error {
		var chmod error
		err := conn.Control(func(fd uintptr) { chmod = syscall.Fchmod(int(fd), uint32(mode)) })
		if err != nil {
			return err
		}
		return chmod
	}
}
