package hostnet

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watcher follows the host's network. Make one with Open, and Close it. Its methods may be called from any goroutine.
type Watcher struct {
	now    func() int64
	events *os.File
	raw    syscall.RawConn
	ended  chan struct{}
	latest atomic.Pointer[State]

	mu     sync.Mutex // protects what follows, and the order in which messages are read
	query  *query
	buffer []byte
}

// receiveBuffer is what the kernel is asked to keep for us between two readings. It gives what net.core.rmem_max allows.
const receiveBuffer = 1 << 20

// Open begins to watch. now is the clock of all times; it must never go back. The error is what the kernel says to a netlink
// socket or to the first reading.
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
	w := &Watcher{now: now, events: events, query: q, ended: make(chan struct{}), buffer: make([]byte, 1<<16)}
	w.raw, err = events.SyscallConn()
	if err == nil {
		var first *State
		if first, err = w.dump(Always); err == nil {
			w.latest.Store(first)
			go w.follow()
			return w, nil
		}
	}
	events.Close()
	q.close()
	return nil, err
}

func openEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// Close ends the watching. It waits for a reading that is under way.
func (w *Watcher) Close() {
	w.events.Close()
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	w.query.close()
}

// State returns what was known at the last reading. It never waits.
func (w *Watcher) State() *State { return w.latest.Load() }

// Look reads all changes up to now, and returns what packets are to be judged by. It asks the kernel, which may make it wait
// for as long as somebody else changes the network (rtnl_lock).
func (w *Watcher) Look() *Look {
	w.read()
	return &Look{ask: w, state: w.latest.Load(), read: make(map[int32]linkNow)}
}

// follow reads changes as they come, so that the kernel need not keep many.
func (w *Watcher) follow() {
	defer close(w.ended)
	_ = w.raw.Read(func(fd uintptr) bool {
		w.drain(int(fd))
		return false // until Close
	})
}

// read takes what the kernel has for us now.
func (w *Watcher) read() { _ = w.raw.Control(func(fd uintptr) { w.drain(int(fd)) }) }

func (w *Watcher) drain(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.latest.Load()
	next := old
	for {
		n, from, err := unix.Recvfrom(fd, w.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			w.discard(fd)
			next = w.again(next)
			continue
		case err != nil: // EAGAIN: that was all
			if next != old {
				w.latest.Store(next)
			}
			return
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // only the kernel is believed
		}
		if next == old {
			next = old.clone()
		}
		now := w.now()
		eachMessage(w.buffer[:n], func(h *unix.NlMsghdr, body []byte) { apply(next, h.Type, body, now) })
	}
}

// discard takes what is left after messages were lost. They are older than the reading that follows, and a lost one may have
// unsaid the last of them.
func (w *Watcher) discard(fd int) {
	for {
		_, _, err := unix.Recvfrom(fd, w.buffer, unix.MSG_DONTWAIT)
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

// again reads everything anew after messages were lost. What was not there before is there since now, and all that waits for an
// answer now is unsure.
func (w *Watcher) again(old *State) *State {
	now := w.now()
	next, err := w.dump(now)
	if err != nil {
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
		if err := w.query.dump(d.kind, all[:d.length], func(kind uint16, body []byte) { apply(s, kind, body, since) }); err != nil {
			return nil, fmt.Errorf("reading links and addresses: %w", err)
		}
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		header := make([]byte, unix.SizeofRtMsg)
		header[0], header[7] = family, unix.RTN_LOCAL // of all tables; a router can have a million of other types
		if err := w.query.dump(unix.RTM_GETROUTE, header, func(kind uint16, body []byte) { apply(s, kind, body, since) }); err != nil {
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
