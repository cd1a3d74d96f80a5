// Package errno names error numbers on every system: golang.org/x/sys/unix, which can name all, does not compile everywhere.
package errno

import (
	"strconv"
	"syscall"
)

// names are those of the errors that socket(2), connect(2) and SO_ERROR can give for a TCP handshake, and some that they
// should not. Package syscall has them on every system.
var names = map[syscall.Errno]string{
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

// MaxName is the length of the longest text that Name returns, in bytes.
const MaxName = len("errno 18446744073709551615")

// Name returns the name of e, such as ECONNREFUSED; of 0, nothing; of one that it does not know, its number.
func Name(e syscall.Errno) string {
	if e == 0 {
		return ""
	}
	if name, ok := names[e]; ok {
		return name
	}
	return "errno " + strconv.FormatUint(uint64(e), 10)
}
