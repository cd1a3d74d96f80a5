// Package machine tells services on this machine from others.
package machine

import (
	"net"
	"net/netip"
	"strings"
)

// IsThis reports whether target, in the syntax of gRPC names, says by itself that it is on this
// machine. When in doubt it does not.
func IsThis(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:///", "passthrough:///"} {
		target = strings.TrimPrefix(target, scheme)
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
