package shaker

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventsPerPoll bounds how many answers one turn reads, and with them how long it takes.
const eventsPerPoll = 256

// wakeSlot is the slot of the token that says: somebody wakes the loop.
const wakeSlot = ^uint32(0)

// token is what an epoll registration carries: which slot, and which of its sockets.
type token struct{ slot, generation uint32 }

// poller is one epoll instance with an eventfd to wake it. All but wakeUp belongs to the loop. It does not say the masks of
// epoll(7) to others: an event is answered, or it is trouble.
type poller struct {
	epoll  int
	wakeFD int
	events [eventsPerPoll]unix.EpollEvent
}

func openPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		closeSocket(epoll)
		return nil, os.NewSyscallError("eventfd2", err)
	}
	p := &poller{epoll: epoll, wakeFD: wake}
	if errno := p.add(wake, unix.EPOLLIN, token{slot: wakeSlot}); errno != 0 {
		p.close()
		return nil, os.NewSyscallError("epoll_ctl", errno)
	}
	return p, nil
}

func (p *poller) close() {
	closeSocket(p.wakeFD)
	closeSocket(p.epoll)
}

// watch registers a socket for the time of its life: each change of it gives one event. Closing it ends the registration,
// as it is never duplicated (epoll(7), Q6).
func (p *poller) watch(fd int, t token) syscall.Errno {
	return p.add(fd, unix.EPOLLOUT|unix.EPOLLET, t)
}

// add spells the 64 bits of data that epoll gives back as package unix does: Fd and Pad.
func (p *poller) add(fd int, mask uint32, t token) syscall.Errno {
	event := unix.EpollEvent{Events: mask, Fd: int32(t.slot), Pad: int32(t.generation)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return errnoOf(err)
	}
	return 0
}

// poll reads what there is, without waiting and without telling the scheduler, and returns the number of events.
func (p *poller) poll() int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)),
		eventsPerPoll, 0, 0, 0)
	if errno != 0 {
		return 0 // EINTR; the others cannot happen to an epoll of ours
	}
	return int(n)
}

// wait is poll with a time to wait in ms, -1 without end. The scheduler gives the processor to others meanwhile.
func (p *poller) wait(ms int) int {
	n, err := unix.EpollWait(p.epoll, p.events[:], ms)
	if err != nil {
		return 0
	}
	return n
}

// event returns the i-th event of the last poll: whose it is, and whether it says that the handshake was answered with a
// SYN-ACK and nothing else has happened: EPOLLOUT with neither EPOLLERR nor EPOLLHUP.
func (p *poller) event(i int) (t token, answered bool) {
	e := &p.events[i]
	return token{uint32(e.Fd), uint32(e.Pad)}, e.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == unix.EPOLLOUT
}

// wakeUp ends a wait, from any goroutine.
func (p *poller) wakeUp() {
	one := [8]byte{0: 1} // any number that is not 0 in either byte order
	_, _ = unix.Write(p.wakeFD, one[:])
}

// woken takes note of wakeUp.
func (p *poller) woken() {
	var count [8]byte
	_, _ = unix.Read(p.wakeFD, count[:])
}
