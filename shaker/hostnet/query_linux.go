package hostnet

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answerTime bounds the wait for an answer that the kernel has made already: it answers within
// sendto(2).
const answerTime = time.Second

// query is a socket for questions. One goroutine at a time may use it.
type query struct {
	fd       int
	sequence uint32
	request  []byte
	answer   []byte
}

func openQuery() (*query, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	limit := unix.NsecToTimeval(answerTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	// Linux 4.20 on: a dump gives what its header asks for, and no more.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &query{fd: fd, answer: make([]byte, 1<<16)}, nil
}

func (q *query) close() { unix.Close(q.fd) }

// begin starts a message; its attributes follow, and send.
func (q *query) begin(kind, flags uint16, header []byte) {
	q.sequence++
	q.request = binary.NativeEndian.AppendUint32(q.request[:0], 0) // the length, set by send
	q.request = binary.NativeEndian.AppendUint16(q.request, kind)
	q.request = binary.NativeEndian.AppendUint16(q.request, flags|unix.NLM_F_REQUEST)
	q.request = binary.NativeEndian.AppendUint32(q.request, q.sequence)
	q.request = binary.NativeEndian.AppendUint32(q.request, 0) // the port: the kernel knows it
	q.request = append(q.request, header...)
}

func (q *query) add(kind uint16, value []byte) { q.request = attribute(q.request, kind, value) }

func (q *query) addNumber(kind uint16, value uint32) {
	q.add(kind, binary.NativeEndian.AppendUint32(nil, value))
}

var errInterrupted = errors.New("the network changed while it was read")

// send sends the message and calls f for each answer. An answer that is an error is returned as a
// syscall.Errno. With many set, there are answers until one says that it is the last.
func (q *query) send(many bool, f func(kind uint16, body []byte)) error {
	binary.NativeEndian.PutUint32(q.request, uint32(len(q.request)))
	if err := unix.Sendto(q.fd, q.request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	interrupted := false
	for {
		n, _, err := unix.Recvfrom(q.fd, q.answer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		done := false
		var failed error
		eachMessage(q.answer[:n], func(h *unix.NlMsghdr, body []byte) {
			if h.Seq != q.sequence || done { // an answer to a question that was given up
				return
			}
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch h.Type {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done = true
				if errno := errnoOf(body); errno != 0 {
					failed = errno
				}
			default:
				f(h.Type, body)
				done = !many
			}
		})
		switch {
		case done && failed == nil && interrupted:
			return errInterrupted
		case done:
			return failed
		}
	}
}

// dumpTries bounds how often a dump is made again that a change interrupted.
const dumpTries = 5

// dump calls f for every object of a kind.
func (q *query) dump(kind uint16, header []byte, f func(kind uint16, body []byte)) error {
	var err error
	for range dumpTries {
		q.begin(kind, unix.NLM_F_DUMP, header)
		if kind == unix.RTM_GETLINK {
			q.addNumber(unix.IFLA_EXT_MASK, skipStatistics)
		}
		if err = q.send(true, f); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

// skipStatistics is RTEXT_FILTER_SKIP_STATS (linux/rtnetlink.h): counters cost more than all the
// rest of a link.
const skipStatistics = 1 << 3

// link asks for one link.
func (q *query) link(index int32, f func(kind uint16, body []byte)) error {
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	q.begin(unix.RTM_GETLINK, 0, header)
	q.addNumber(unix.IFLA_EXT_MASK, skipStatistics)
	return q.send(false, f)
}

// route asks by which link a packet leaves. An errno is the kernel's answer, as connect(2) would
// give it; other errors mean that no answer came.
func (q *query) route(p *Packet) (link int32, errno syscall.Errno, err error) {
	source, target := p.Source.Addr(), p.Target.Addr()
	header := make([]byte, unix.SizeofRtMsg)
	header[0] = unix.AF_INET
	if target.Is6() {
		header[0] = unix.AF_INET6
	}
	header[1], header[2] = byte(target.BitLen()), byte(source.BitLen())
	q.begin(unix.RTM_GETROUTE, 0, header)
	q.add(unix.RTA_DST, target.AsSlice())
	q.add(unix.RTA_SRC, source.AsSlice())
	q.add(unix.RTA_IP_PROTO, []byte{unix.IPPROTO_TCP})
	q.add(unix.RTA_SPORT, binary.BigEndian.AppendUint16(nil, p.Source.Port()))
	q.add(unix.RTA_DPORT, binary.BigEndian.AppendUint16(nil, p.Target.Port()))
	if p.Scope != 0 {
		q.addNumber(unix.RTA_OIF, p.Scope)
	}
	err = q.send(false, func(_ uint16, body []byte) {
		if len(body) < unix.SizeofRtMsg {
			return
		}
		switch body[7] { // IPv6 answers with the route itself where it leads nowhere
		case unix.RTN_UNREACHABLE:
			errno = unix.EHOSTUNREACH
		case unix.RTN_PROHIBIT:
			errno = unix.EACCES
		case unix.RTN_BLACKHOLE:
			errno = unix.EINVAL
		case unix.RTN_THROW:
			errno = unix.ENETUNREACH
		}
		eachAttribute(body[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
			if kind == unix.RTA_OIF {
				link = int32(number(value))
			}
		})
	})
	if e, ok := errors.AsType[syscall.Errno](err); ok && !isSyscall(err) {
		return 0, e, nil
	}
	return link, errno, err
}

// isSyscall reports whether an error is of a system call of ours, and not the kernel's answer.
func isSyscall(err error) bool {
	_, ok := errors.AsType[*os.SyscallError](err)
	return ok
}
