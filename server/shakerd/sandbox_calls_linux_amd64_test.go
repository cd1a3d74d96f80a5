package main

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	statAt    = unix.SYS_NEWFSTATAT
)

// olderCalls are the members of callSets that later architectures do without.
var olderCalls = map[string][]uintptr{
	"@default": {
		unix.SYS_ARCH_PRCTL, unix.SYS_GETPGRP, unix.SYS_GET_THREAD_AREA, unix.SYS_PAUSE, unix.SYS_SET_THREAD_AREA, unix.SYS_TIME,
	},
	"@basic-io": {unix.SYS_DUP2},
	"@file-system": {
		unix.SYS_ACCESS, unix.SYS_CHMOD, unix.SYS_CREAT, unix.SYS_GETDENTS, unix.SYS_INOTIFY_INIT, unix.SYS_LINK, unix.SYS_LSTAT,
		unix.SYS_MKDIR, unix.SYS_MKNOD, unix.SYS_OPEN, unix.SYS_READLINK, unix.SYS_RENAME, unix.SYS_RMDIR, unix.SYS_STAT,
		unix.SYS_SYMLINK, unix.SYS_UNLINK,
	},
	"@io-event": {
		unix.SYS_EPOLL_CREATE, unix.SYS_EPOLL_WAIT, unix.SYS_EVENTFD, unix.SYS_POLL, unix.SYS_SELECT,
	},
	"@process":    {unix.SYS_FORK, unix.SYS_VFORK},
	"@signal":     {unix.SYS_SIGNALFD},
	"@timer":      {unix.SYS_ALARM},
	"@chown":      {unix.SYS_CHOWN, unix.SYS_LCHOWN},
	"@privileged": {unix.SYS__SYSCTL},
	"@raw-io":     {unix.SYS_IOPERM, unix.SYS_IOPL},
	"@obsolete": {
		unix.SYS_AFS_SYSCALL, unix.SYS_CREATE_MODULE, unix.SYS_GETPMSG, unix.SYS_GET_KERNEL_SYMS, unix.SYS_PUTPMSG,
		unix.SYS_QUERY_MODULE, unix.SYS_SECURITY, unix.SYS_SYSFS, unix.SYS_TUXCALL, unix.SYS_USELIB, unix.SYS_USTAT,
		unix.SYS_VSERVER, unix.SYS__SYSCTL,
	},
	"@cpu-emulation": {unix.SYS_MODIFY_LDT},
}

// olderModes are modeCalls that only this architecture has.
var olderModes = []modeCall{
	{unix.SYS_CHMOD, 1, -1},
	{unix.SYS_MKDIR, 1, -1},
	{unix.SYS_MKNOD, 1, -1},
	{unix.SYS_CREAT, 1, -1},
	{unix.SYS_OPEN, 2, 1},
}
