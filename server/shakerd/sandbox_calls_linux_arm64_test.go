package main

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	statAt    = unix.SYS_FSTATAT
)

// This architecture never had them.
var (
	olderCalls map[string][]uintptr
	olderModes []modeCall
)
