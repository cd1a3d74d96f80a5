package client

import (
	"net"
	"net/netip"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
)

// defaultCredentials are plaintext for a target on this machine and TLS for all others. What the caller wrote decides, not
// what a name resolves to, so nobody who answers for DNS can turn TLS off. Local credentials look at the connection
// besides, so a `localhost` that leads away from this machine is refused.
func defaultCredentials(target string) credentials.TransportCredentials {
	if isLocal(target) {
		return local.NewCredentials()
	}
	return credentials.NewTLS(nil)
}

// isLocal reports whether target, in the syntax of gRPC names, says by itself that it is on this machine. When in doubt it
// does not.
func isLocal(target string) bool {
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
