//go:build !linux

package main

import "syscall"

// modeAtBirth does nothing: elsewhere than on Linux a socket's descriptor has no mode to give, and there is no engine to
// serve with.
func modeAtBirth(string, string, syscall.RawConn) error { return nil }
