package client

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// targetForms are what New takes, for its error.
const targetForms = "host:port, [ipv6]:port, unix:PATH, or a gRPC name such as dns:///name:port"

// checkTarget returns what is wrong with the target of New. Canonical is the target as gRPC reads
// it, with a scheme that gRPC has a resolver for; a target without such a scheme is taken for a DNS
// name. Names of other resolvers are theirs to judge.
func checkTarget(target, canonical string) error {
	scheme, rest, _ := strings.Cut(canonical, "://")
	authority, endpoint, _ := strings.Cut(rest, "/")
	var problem string
	switch {
	case scheme == "dns" && hasScheme(target, "dns"):
		problem = badName(endpoint)
	case scheme == "dns":
		problem = badAddress(target)
	case scheme == "unix" || scheme == "unix-abstract":
		if authority != "" || endpoint == "" {
			problem = "no path"
		}
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("service %q: %s: want %s", target, problem, targetForms)
}

// hasScheme reports whether target begins with scheme, in upper or lower case, and a colon.
func hasScheme(target, scheme string) bool {
	before, _, found := strings.Cut(target, ":")
	return found && strings.EqualFold(before, scheme)
}

// badAddress returns what is wrong with host:port; nothing if all is well.
func badAddress(address string) string {
	if scheme, _, found := strings.Cut(address, "://"); found {
		return fmt.Sprintf("gRPC resolves no names that begin with %q", scheme+"://")
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case address == "":
		return "empty"
	case err != nil && strings.Count(address, ":") > 1 && !strings.HasPrefix(address, "["):
		return "too many colons, or an IPv6 address without brackets"
	case err != nil && (!strings.Contains(address, ":") || strings.HasSuffix(address, "]")):
		return "no port"
	case err != nil:
		return "not host:port"
	case host == "":
		return "no host"
	default:
		return badHostOrPort(host, port)
	}
}

// badName returns what is wrong with the endpoint of a name dns:///endpoint. There gRPC takes port
// 443 if none is given.
func badName(endpoint string) string {
	host, port, err := net.SplitHostPort(endpoint)
	switch {
	case endpoint == "":
		return "no host"
	case err == nil:
		return badHostOrPort(host, port)
	default:
		return badHostOrPort(strings.Trim(endpoint, "[]"), "443")
	}
}

func badHostOrPort(host, port string) string {
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsFunc(host, notOfAName) {
		return fmt.Sprintf("%q is no host", host)
	}
	if port == "" {
		return "no port"
	}
	if number, err := strconv.ParseUint(port, 10, 64); err == nil && number >= 1 && number <= 65535 {
		return ""
	}
	if strings.Trim(port, "+-0123456789") != "" {
		if _, err := net.LookupPort("tcp", port); err == nil { // such as https
			return ""
		}
	}
	return fmt.Sprintf("%q is no port from 1 to 65535", port)
}

// notOfAName reports whether r is in no host name, though a resolver may know names that DNS would
// not have.
func notOfAName(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@?#[]:%<>"`, r)
}
