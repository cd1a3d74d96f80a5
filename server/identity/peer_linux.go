package identity

import (
	"net"
	"syscall"
)

// peerUID returns the user id of the process at the other end of a unix socket, as it was when that process connected
// (SO_PEERCRED, unix(7)): who passes the socket on afterwards passes on who it is. false: not a unix socket, or not known.
func peerUID(conn net.Conn) (uid uint32, ok bool) {
	if conn.LocalAddr().Network() != "unix" {
		return 0, false
	}
	socket, ok := underneath(conn).(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || credErr != nil || cred.Uid == noUID {
		return 0, false
	}
	return cred.Uid, true
}

// underneath returns what is inside all the wrappers that say so.
func underneath(conn net.Conn) net.Conn {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = wrapper.NetConn()
	}
}
