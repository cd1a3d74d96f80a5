package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxSocketPath is the longest path of a unix socket, in bytes: sun_path less its final NUL (unix(7)).
const maxSocketPath = 107

// Address is where something is listened on, in the form that the flags take: host:port or unix:PATH.
type Address struct {
	Text string // as it was given
	Path string // of a unix socket, relative to the directory that shakerd was started in; else empty
	Host string // an address, a name, or empty for all addresses of this host
	Port uint16 // 0: any that is free
	At   Position
}

// ParseAddress reads an address. The words of its errors go on after what the address belongs to: "must be …".
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return Address{Text: text, Path: path}, checkSocketPath(path)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, errors.New("must be host:port, with an IPv6 address in brackets, or unix:PATH")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, errors.New("must have a port from 0 to 65535")
	}
	return Address{Text: text, Host: host, Port: uint16(number)}, nil
}

func checkSocketPath(path string) error {
	switch {
	case path == "":
		return errors.New("must have a path, as in unix:/run/shakerd.sock")
	case strings.HasPrefix(path, "@"):
		// Whoever is in the same network namespace may connect to one: it has no file, hence no mode.
		return errors.New("must not be an abstract socket (a file's name can be given as unix:./@…)")
	case strings.Contains(path, "\x00"):
		return errors.New("must not hold a NUL byte")
	case len(path) > maxSocketPath:
		return fmt.Errorf("must have a path of at most %d bytes", maxSocketPath)
	}
	return nil
}

// Unix reports whether a is a unix socket.
func (a Address) Unix() bool { return a.Path != "" }

// Loopback reports whether a can be reached from this host alone. Of a name it is not known before it was looked up.
func (a Address) Loopback() (loopback, known bool) {
	if a.Unix() {
		return true, true
	}
	addr, literal := a.addr()
	return literal && addr.IsLoopback(), literal || a.Host == ""
}

// addr returns the address that Host is, if it is one.
func (a Address) addr() (addr netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(a.Host)
	return addr.Unmap(), err == nil
}

// clashes reports whether it is known that the kernel would not let both be listened on.
func (a Address) clashes(b Address) bool {
	if a.Unix() || b.Unix() {
		return a.Path == b.Path
	}
	if a.Port == 0 || a.Port != b.Port {
		return false
	}
	if strings.EqualFold(a.Host, b.Host) {
		return true
	}
	x, xLiteral := a.addr()
	y, yLiteral := b.addr()
	switch {
	case a.Host != "" && !xLiteral: // a name: it has some address
		return b.Host == "" || y == netip.IPv6Unspecified()
	case b.Host != "" && !yLiteral:
		return a.Host == "" || x == netip.IPv6Unspecified()
	default:
		return Overlap(x, y)
	}
}

// Overlap reports whether two listeners of one port would share an address. The zero Addr stands for
// all addresses of this host, and so does [::]. 0.0.0.0 stands for all IPv4 addresses. IPv4-mapped
// addresses must be unmapped.
func Overlap(a, b netip.Addr) bool { return a == b || covers(a, b) || covers(b, a) }

func covers(wild, a netip.Addr) bool {
	switch {
	case !wild.IsValid(), wild == netip.IPv6Unspecified():
		return true
	case wild == netip.IPv4Unspecified():
		return a.Is4()
	default:
		return false
	}
}
