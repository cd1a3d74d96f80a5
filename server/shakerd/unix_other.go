//go:build !linux

package main

import (
	"io/fs"
	"syscall"
)

// modeAtBirth does nothing: elsewhere than on Linux a socket's descriptor has no mode to give, and there is no engine to
// serve with.
func modeAtBirth(fs.FileMode) func(network, address string, conn syscall.RawConn) error { return nil }
