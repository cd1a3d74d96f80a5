package main

import "syscall"

// raiseOpenFiles raises the soft limit of RLIMIT_NOFILE to the hard one and returns how many descriptors this process may
// have open. Go does nearly the same before main: it stops one short of the hard limit (syscall/rlimit.go). Where the
// limit cannot be read the answer is 1024, the soft limit of most systems; where it cannot be raised, it is the one in
// force.
func raiseOpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	raised := syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return clampFDs(limit.Cur)
	}
	return clampFDs(raised.Cur)
}
