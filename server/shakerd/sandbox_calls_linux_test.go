//go:build amd64 || arm64

package main

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// refusedSets are those that the unit must refuse.
var refusedSets = []string{
	"@privileged", "@resources", "@mount", "@module", "@clock", "@debug", "@reboot", "@swap", "@raw-io", "@obsolete", "@cpu-emulation",
}

// setsOfSets are those that have other sets as members, beside calls. Of @system-service some are left out here, which the
// daemon does without (@aio, @keyring, most of @ipc): what runs under less than what systemd allows runs under that as well.
var setsOfSets = map[string][]string{
	"@system-service": {
		"@default", "@basic-io", "@chown", "@file-system", "@io-event", "@ipc", "@memlock", "@network-io", "@process", "@resources",
		"@setuid", "@signal", "@sync", "@timer",
	},
	"@privileged": {"@chown", "@clock", "@module", "@raw-io", "@reboot", "@swap"},
}

// callSets are the sets of system calls that systemd's units name, in systemd.exec(5) under SystemCallFilter, with members that amd64
// and arm64 both have: not all of what is allowed, but all that systemd 252 refuses. olderCalls adds those that only the older of them has.
var callSets = map[string][]uintptr{
	"@default": {
		unix.SYS_BRK, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_EXECVE, unix.SYS_EXIT,
		unix.SYS_EXIT_GROUP, unix.SYS_FUTEX, unix.SYS_GETEGID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETGROUPS, unix.SYS_GETPGID,
		unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETRANDOM, unix.SYS_GETRESGID, unix.SYS_GETRESUID, unix.SYS_GETRLIMIT,
		unix.SYS_GETSID, unix.SYS_GETTID, unix.SYS_GETTIMEOFDAY, unix.SYS_GETUID, unix.SYS_GET_ROBUST_LIST, unix.SYS_MEMBARRIER,
		unix.SYS_MMAP, unix.SYS_MPROTECT, unix.SYS_MUNMAP, unix.SYS_NANOSLEEP, unix.SYS_PRLIMIT64, unix.SYS_RESTART_SYSCALL,
		unix.SYS_RSEQ, unix.SYS_RT_SIGRETURN, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_YIELD, unix.SYS_SET_ROBUST_LIST,
		unix.SYS_SET_TID_ADDRESS,
	},
	"@basic-io": {
		unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_LSEEK, unix.SYS_PREAD64, unix.SYS_PREADV,
		unix.SYS_PREADV2, unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_READ, unix.SYS_READV, unix.SYS_WRITE, unix.SYS_WRITEV,
	},
	"@file-system": {
		unix.SYS_CHDIR, unix.SYS_FACCESSAT, unix.SYS_FALLOCATE, unix.SYS_FCHDIR, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCNTL,
		unix.SYS_FSTAT, unix.SYS_FSTATFS, unix.SYS_FTRUNCATE, unix.SYS_GETCWD, unix.SYS_GETDENTS64, unix.SYS_INOTIFY_ADD_WATCH,
		unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_RM_WATCH, unix.SYS_LINKAT, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, statAt, unix.SYS_OPENAT,
		unix.SYS_READLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_STATFS, unix.SYS_STATX, unix.SYS_SYMLINKAT,
		unix.SYS_TRUNCATE, unix.SYS_UNLINKAT, unix.SYS_UTIMENSAT, unix.SYS_FACCESSAT2, unix.SYS_OPENAT2,
	},
	"@io-event": {
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PPOLL, unix.SYS_PSELECT6,
		unix.SYS_EPOLL_PWAIT2,
	},
	"@ipc":     {unix.SYS_MEMFD_CREATE, unix.SYS_PIPE2},
	"@memlock": {unix.SYS_MLOCK, unix.SYS_MLOCK2, unix.SYS_MLOCKALL, unix.SYS_MUNLOCK, unix.SYS_MUNLOCKALL},
	"@network-io": {
		unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKNAME,
		unix.SYS_GETSOCKOPT, unix.SYS_LISTEN, unix.SYS_RECVFROM, unix.SYS_RECVMMSG, unix.SYS_RECVMSG, unix.SYS_SENDMMSG,
		unix.SYS_SENDMSG, unix.SYS_SENDTO, unix.SYS_SETSOCKOPT, unix.SYS_SHUTDOWN, unix.SYS_SOCKET, unix.SYS_SOCKETPAIR,
	},
	"@process": {
		unix.SYS_CAPGET, unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXECVEAT, unix.SYS_GETRUSAGE, unix.SYS_KILL, unix.SYS_PRCTL,
		unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_SETNS, unix.SYS_TGKILL, unix.SYS_TIMES, unix.SYS_TKILL,
		unix.SYS_UNSHARE, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	},
	"@signal": {
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPENDING, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGSUSPEND, unix.SYS_RT_SIGTIMEDWAIT,
		unix.SYS_SIGALTSTACK, unix.SYS_SIGNALFD4,
	},
	"@sync": {unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_MSYNC, unix.SYS_SYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS},
	"@timer": {
		unix.SYS_GETITIMER, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_DELETE, unix.SYS_TIMER_GETOVERRUN,
		unix.SYS_TIMER_GETTIME, unix.SYS_TIMER_SETTIME, unix.SYS_TIMERFD_CREATE, unix.SYS_TIMERFD_GETTIME, unix.SYS_TIMERFD_SETTIME,
	},
	"@system-service": {
		unix.SYS_CAPSET, unix.SYS_FLOCK, unix.SYS_GETCPU, unix.SYS_GETPRIORITY, unix.SYS_IOCTL, unix.SYS_MADVISE, unix.SYS_MREMAP,
		unix.SYS_PERSONALITY, unix.SYS_SCHED_GETSCHEDULER, unix.SYS_SENDFILE, unix.SYS_SETFSGID, unix.SYS_SETFSUID, unix.SYS_SETPGID,
		unix.SYS_SETSID, unix.SYS_SPLICE, unix.SYS_SYSINFO, unix.SYS_TEE, unix.SYS_UMASK, unix.SYS_UNAME,
	},
	"@chown": {unix.SYS_FCHOWN, unix.SYS_FCHOWNAT},
	"@setuid": {
		unix.SYS_SETGID, unix.SYS_SETGROUPS, unix.SYS_SETREGID, unix.SYS_SETRESGID, unix.SYS_SETRESUID, unix.SYS_SETREUID,
		unix.SYS_SETUID,
	},
	"@privileged": {
		unix.SYS_ACCT, unix.SYS_BPF, unix.SYS_CAPSET, unix.SYS_CHROOT, unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK,
		unix.SYS_NFSSERVCTL, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_PIVOT_ROOT, unix.SYS_QUOTACTL, unix.SYS_SETDOMAINNAME,
		unix.SYS_SETFSUID, unix.SYS_SETGROUPS, unix.SYS_SETHOSTNAME, unix.SYS_SETRESUID, unix.SYS_SETREUID, unix.SYS_SETUID,
		unix.SYS_VHANGUP, unix.SYS_QUOTACTL_FD,
	},
	"@resources": {
		unix.SYS_IOPRIO_SET, unix.SYS_MBIND, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES, unix.SYS_SCHED_SETAFFINITY,
		unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SET_MEMPOLICY, unix.SYS_SETPRIORITY,
		unix.SYS_SETRLIMIT, unix.SYS_SET_MEMPOLICY_HOME_NODE,
	},
	"@mount": {
		unix.SYS_CHROOT, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSOPEN, unix.SYS_FSPICK, unix.SYS_MOUNT,
		unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_PIVOT_ROOT, unix.SYS_UMOUNT2,
	},
	"@module":        {unix.SYS_DELETE_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_INIT_MODULE},
	"@clock":         {unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_CLOCK_SETTIME, unix.SYS_SETTIMEOFDAY},
	"@debug":         {unix.SYS_LOOKUP_DCOOKIE, unix.SYS_PERF_EVENT_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PTRACE},
	"@reboot":        {unix.SYS_KEXEC_FILE_LOAD, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT},
	"@swap":          {unix.SYS_SWAPOFF, unix.SYS_SWAPON},
	"@raw-io":        nil,
	"@obsolete":      nil,
	"@cpu-emulation": nil,
}

// familyNumbers are those of the address families that a unit may name here.
var familyNumbers = map[string]uint32{
	"AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_UNIX": unix.AF_UNIX, "AF_NETLINK": unix.AF_NETLINK,
	"AF_PACKET": unix.AF_PACKET,
}

// callsOf returns the calls of a set, with those of the sets in it.
func callsOf(set string) ([]uintptr, error) {
	calls, ok := callSets[set]
	if !ok {
		return nil, fmt.Errorf("the set %s is not in the table", set)
	}
	calls = slices.Concat(calls, olderCalls[set])
	for _, member := range setsOfSets[set] {
		more, err := callsOf(member)
		if err != nil {
			return nil, err
		}
		calls = append(calls, more...)
	}
	slices.Sort(calls)
	return slices.Compact(calls), nil
}
