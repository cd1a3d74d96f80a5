package hostnet

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher follows the host's network. Make one with Open, and Close it. Its methods may be called
// from any goroutine.
type Watcher struct {
	now    func() int64
	events int // the socket of the changes
	ending int // an eventfd that ends follow
	ended  chan struct{}
	latest atomic.Pointer[State]

	mu     sync.Mutex // protects what follows, and the order in which messages are read
	query  *query
	buffer []byte
	from   unix.RawSockaddrNetlink // who sent what is in buffer
	stale  bool                    // messages were lost, and the reading after that failed; the next drain reads again
}

// receiveBuffer is what the kernel is asked to keep for us between two readings. It gives what
// net.core.rmem_max allows.
const receiveBuffer = 1 << 20

// Open begins to watch. now is the clock of all times; it must never go back. The error is what the
// kernel says to a netlink socket or to the first reading.
func Open(now func() int64) (*Watcher, error) {
	q, err := openQuery()
	if err != nil {
		return nil, err
	}
	events, err := openEvents()
	if err != nil {
		q.close()
		return nil, err
	}
	ending, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(events)
		q.close()
		return nil, os.NewSyscallError("eventfd2", err)
	}
	w := &Watcher{
		now: now, events: events, ending: ending, query: q,
		ended: make(chan struct{}), buffer: make([]byte, 1<<16),
	}
	first, err := w.dump(Always)
	if err != nil {
		w.free()
		return nil, err
	}
	w.latest.Store(first)
	go w.follow()
	return w, nil
}

func openEvents() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// Close ends the watching. It waits for a reading that is under way. No other method may be called
// any more.
func (w *Watcher) Close() {
	_, _ = unix.Write(w.ending, []byte{7: 1, 0: 1}) // any number that is not 0
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free()
}

func (w *Watcher) free() {
	unix.Close(w.events)
	unix.Close(w.ending)
	w.query.close()
}

// State returns what was known at the last reading. It never waits.
func (w *Watcher) State() *State { return w.latest.Load() }

// Look reads all changes up to now, and returns what packets are to be judged by. It asks the
// kernel, which may make it wait for as long as somebody else changes the network (rtnl_lock).
func (w *Watcher) Look() Look {
	w.drain()
	return Look{ask: w, state: w.latest.Load()}
}

// follow reads changes as they come, so that the kernel need not keep many. It waits in a system
// call of its own. With the runtime's poller in its place, each wake-up of a processor in an
// otherwise idle process would cost a system call more.
func (w *Watcher) follow() {
	defer close(w.ended)
	for {
		fds := []unix.PollFd{{Fd: int32(w.events), Events: unix.POLLIN}, {Fd: int32(w.ending), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents != 0 {
			w.drain()
		}
	}
}

// drain takes what the kernel has for us now.
func (w *Watcher) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.latest.Load()
	next := old
	if w.stale {
		w.discard()
		next = w.again(next)
	}
	for {
		n, errno := w.receive()
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.ENOBUFS:
			w.discard()
			next = w.again(next)
			continue
		default: // EAGAIN: that was all
			if next != old {
				w.latest.Store(next)
			}
			return
		}
		if w.from.Family != unix.AF_NETLINK || w.from.Pid != 0 {
			continue // only the kernel is believed
		}
		if next == old {
			next = old.clone()
		}
		now := w.now()
		eachMessage(w.buffer[:n], func(h *unix.NlMsghdr, body []byte) { apply(next, h.Type, h.Flags, body, now) })
	}
}

// receive reads what the kernel says next into buffer, and its sender into from. It does not wait,
// so the processor is kept: in a busy process getting one back takes longer than all else. (Recvfrom
// of package unix allocates.)
func (w *Watcher) receive() (n int, errno syscall.Errno) {
	w.from = unix.RawSockaddrNetlink{}
	length := uint32(unsafe.Sizeof(w.from))
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(w.events), uintptr(unsafe.Pointer(&w.buffer[0])), uintptr(len(w.buffer)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&w.from)), uintptr(unsafe.Pointer(&length)))
	return int(r), errno
}

// discard takes what is left after messages were lost. They are older than the reading that
// follows, and a lost one may have unsaid the last of them.
func (w *Watcher) discard() {
	for {
		if _, errno := w.receive(); errno != 0 && errno != unix.EINTR && errno != unix.ENOBUFS {
			return
		}
	}
}

// again reads everything anew after messages were lost. All is there since now, and whatever waits
// for an answer now is unsure. If the reading fails, which a change of the network can do to it,
// each drain tries again, and all is unsure until one succeeds.
func (w *Watcher) again(old *State) *State {
	now := w.now()
	next, err := w.dump(now)
	if w.stale = err != nil; w.stale {
		next = old.clone()
	}
	next.unsure, next.changed = now, now
	return next
}

// dump reads the whole state. All of it is there since a time.
func (w *Watcher) dump(since int64) (*State, error) {
	s := newState()
	all := make([]byte, unix.SizeofIfInfomsg) // a header of any kind: of every family
	for _, d := range []struct {
		kind   uint16
		length int
	}{{unix.RTM_GETLINK, unix.SizeofIfInfomsg}, {unix.RTM_GETADDR, unix.SizeofIfAddrmsg}} {
		if err := w.query.dump(d.kind, all[:d.length], func(kind uint16, body []byte) { apply(s, kind, 0, body, since) }); err != nil {
			return nil, fmt.Errorf("reading links and addresses: %w", err)
		}
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, unix.SizeofRtMsg)
		header[0], header[7] = family, unix.RTN_LOCAL // of all tables; a router can have a million of other types
		if err := w.query.dump(unix.RTM_GETROUTE, header, func(kind uint16, body []byte) { apply(s, kind, 0, body, since) }); err != nil {
			return nil, fmt.Errorf("reading routes: %w", err)
		}
	}
	s.changed = since
	return s, nil
}

// route implements asker.
func (w *Watcher) route(p *Packet) (link int32, errno syscall.Errno, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	link, errno, err := w.query.route(p)
	return link, errno, err == nil
}

// link implements asker. A link that is gone is an answer.
func (w *Watcher) link(index int32) (r reading, at int64, exists, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.query.link(index, func(_ uint16, body []byte) {
		if len(body) >= unix.SizeofIfInfomsg {
			r, exists = readingOf(body), true
		}
	})
	return r, w.now(), exists, err == nil || errors.Is(err, unix.ENODEV)
}
