//go:build amd64 || arm64

package main

import (
	"math"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is a filter of seccomp(2): classic BPF over struct seccomp_data, which is nr, arch, instruction pointer and six arguments
// of 64 bits. A process can have several, of which the strictest answer counts.
type program []unix.SockFilter

// Where struct seccomp_data has what is looked at; of an argument the lower half, on a little-endian machine.
const (
	atNumber    = 0
	atArch      = 4
	atArguments = 16
)

func (p *program) load(at uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at})
}

func (p *program) and(mask uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask})
}

// unlessEqual skips the next instructions, so many, where what was loaded is not k.
func (p *program) unlessEqual(k uint32, skip int) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: uint8(skip), K: k})
}

func (p *program) answer(action uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

func refuse(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }

// newProgram refuses what comes from another architecture, whose calls have other numbers (SystemCallArchitectures=native).
func newProgram() program {
	var p program
	p.load(atArch)
	p.unlessEqual(auditArch, 1)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 1})
	p.answer(refuse(unix.EPERM))
	return p
}

// callFilter is SystemCallFilter: what is not allowed is EPERM.
func callFilter(allowed map[uintptr]bool) program {
	p := newProgram()
	p.load(atNumber)
	for call, ok := range allowed {
		if ok {
			p.unlessEqual(uint32(call), 1)
			p.answer(unix.SECCOMP_RET_ALLOW)
		}
	}
	p.answer(refuse(unix.EPERM))
	return p
}

// familyFilter is RestrictAddressFamilies. It says of other families what the kernel says that does not have them, as systemd does.
func familyFilter(families []uint32) program {
	p := newProgram()
	for _, call := range []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
		p.load(atNumber)
		p.unlessEqual(call, 2*len(families)+2)
		p.load(atArguments)
		for _, family := range families {
			p.unlessEqual(family, 1)
			p.answer(unix.SECCOMP_RET_ALLOW)
		}
		p.answer(refuse(unix.EAFNOSUPPORT))
	}
	p.answer(unix.SECCOMP_RET_ALLOW)
	return p
}

// refusal is a call that is refused for its arguments: where all conditions hold.
type refusal struct {
	call  uintptr
	errno unix.Errno
	when  []condition
}

// condition holds where an argument, its bits outside mask aside, is value.
type condition struct {
	argument    int
	mask, value uint32
}

func argumentFilter(refusals []refusal) program {
	p := newProgram()
	for _, r := range refusals {
		p.load(atNumber)
		p.unlessEqual(uint32(r.call), 3*len(r.when)+1)
		for i, c := range r.when {
			p.load(atArguments + 8*uint32(c.argument))
			p.and(c.mask)
			p.unlessEqual(c.value, 3*(len(r.when)-i-1)+1)
		}
		p.answer(refuse(r.errno))
	}
	p.answer(unix.SECCOMP_RET_ALLOW)
	return p
}

// modeCall is a call that gives a file a mode: which argument that is, and which one are open flags; -1: none.
type modeCall struct {
	call        uintptr
	mode, flags int
}

// refusals are MemoryDenyWriteExecute, RestrictNamespaces, RestrictSUIDSGID and LockPersonality. RestrictRealtime needs none: its
// calls are of @resources. What a filter cannot look into, because it is behind a pointer, is said not to exist, as systemd does.
func refusals() []refusal {
	bits := func(argument int, b uint32) condition { return condition{argument, b, b} }
	all := []refusal{
		{unix.SYS_MMAP, unix.EPERM, []condition{bits(2, unix.PROT_WRITE|unix.PROT_EXEC)}},
		{unix.SYS_MPROTECT, unix.EPERM, []condition{bits(2, unix.PROT_EXEC)}},
		{unix.SYS_PKEY_MPROTECT, unix.EPERM, []condition{bits(2, unix.PROT_EXEC)}},
		{unix.SYS_SETNS, unix.EPERM, nil},
		{unix.SYS_CLONE3, unix.ENOSYS, nil},
		{unix.SYS_OPENAT2, unix.ENOSYS, nil},
	}
	for _, namespace := range []uint32{
		unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWNET, unix.CLONE_NEWPID, unix.CLONE_NEWIPC, unix.CLONE_NEWUTS,
		unix.CLONE_NEWCGROUP, unix.CLONE_NEWTIME,
	} {
		all = append(all, refusal{unix.SYS_UNSHARE, unix.EPERM, []condition{bits(0, namespace)}})
		if namespace != unix.CLONE_NEWTIME { // whose bit is one of the signal's there
			all = append(all, refusal{unix.SYS_CLONE, unix.EPERM, []condition{bits(0, namespace)}})
		}
	}
	for bit := range 32 { // anything but 0, which is PER_LINUX
		all = append(all, refusal{unix.SYS_PERSONALITY, unix.EPERM, []condition{bits(0, 1<<bit)}})
	}
	for _, m := range slices.Concat([]modeCall{
		{unix.SYS_FCHMOD, 1, -1}, {unix.SYS_FCHMODAT, 2, -1}, {unix.SYS_MKDIRAT, 2, -1}, {unix.SYS_MKNODAT, 2, -1}, {unix.SYS_OPENAT, 3, 2},
	}, olderModes) {
		for _, bit := range []uint32{unix.S_ISUID, unix.S_ISGID} {
			when := []condition{bits(m.mode, bit)}
			if m.flags >= 0 {
				when = append(when, bits(m.flags, unix.O_CREAT))
			}
			all = append(all, refusal{m.call, unix.EPERM, when})
		}
	}
	return all
}

// install has the kernel apply p to the calling thread, and to what it executes and starts, for ever. no_new_privs must be set.
func (p program) install() error {
	if len(p) > math.MaxUint16 {
		return unix.E2BIG
	}
	filter := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}
