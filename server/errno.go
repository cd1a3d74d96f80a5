package server

import (
	"strconv"
	"syscall"
)

// errnoNames are the errors that socket(2), connect(2) and SO_ERROR can give for a TCP handshake, and some that they should
// not. Package syscall has them on every system, where golang.org/x/sys/unix, which can name all, has not.
var errnoNames = map[syscall.Errno]string{
	syscall.EACCES:          "EACCES",
	syscall.EADDRINUSE:      "EADDRINUSE",
	syscall.EADDRNOTAVAIL:   "EADDRNOTAVAIL",
	syscall.EAFNOSUPPORT:    "EAFNOSUPPORT",
	syscall.EAGAIN:          "EAGAIN",
	syscall.EALREADY:        "EALREADY",
	syscall.EBADF:           "EBADF",
	syscall.ECONNABORTED:    "ECONNABORTED",
	syscall.ECONNREFUSED:    "ECONNREFUSED",
	syscall.ECONNRESET:      "ECONNRESET",
	syscall.EHOSTDOWN:       "EHOSTDOWN",
	syscall.EHOSTUNREACH:    "EHOSTUNREACH",
	syscall.EINPROGRESS:     "EINPROGRESS",
	syscall.EINTR:           "EINTR",
	syscall.EINVAL:          "EINVAL",
	syscall.EIO:             "EIO",
	syscall.EISCONN:         "EISCONN",
	syscall.EMFILE:          "EMFILE",
	syscall.EMSGSIZE:        "EMSGSIZE",
	syscall.ENETDOWN:        "ENETDOWN",
	syscall.ENETRESET:       "ENETRESET",
	syscall.ENETUNREACH:     "ENETUNREACH",
	syscall.ENFILE:          "ENFILE",
	syscall.ENOBUFS:         "ENOBUFS",
	syscall.ENODEV:          "ENODEV",
	syscall.ENOMEM:          "ENOMEM",
	syscall.ENOPROTOOPT:     "ENOPROTOOPT",
	syscall.ENOTCONN:        "ENOTCONN",
	syscall.EOPNOTSUPP:      "EOPNOTSUPP",
	syscall.EPERM:           "EPERM",
	syscall.EPIPE:           "EPIPE",
	syscall.EPROTO:          "EPROTO",
	syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT",
	syscall.ESHUTDOWN:       "ESHUTDOWN",
	syscall.ETIMEDOUT:       "ETIMEDOUT",
}

// maxErrno is the length of the longest text that errnoName returns.
const maxErrno = len("errno 18446744073709551615")

// errnoName returns the name of e, such as ECONNREFUSED; of 0, nothing; of one that it does not know, its number.
func errnoName(e syscall.Errno) string {
	if e == 0 {
		return ""
	}
	if name, ok := errnoNames[e]; ok {
		return name
	}
	return "errno " + strconv.FormatUint(uint64(e), 10)
}
