package target

import (
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// twin is Parse written another way, slowly, of parts that others wrote. It says what a text means, not what is wrong
// with it.
func twin(s string) (Target, bool) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil || !decimalPort.MatchString(portText) {
		return Target{}, false
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return Target{}, false
	}

	addr, err := netip.ParseAddr(host)
	bracketed := strings.HasPrefix(s, "[")
	switch {
	case err == nil && addr.Is4() && !bracketed, err == nil && addr.Is6() && bracketed && addr.Zone() == "":
		return Target{Addr: netip.AddrPortFrom(addr.Unmap(), uint16(port)), Port: uint16(port)}, true
	case err == nil, bracketed:
		return Target{}, false
	}
	host = strings.TrimSuffix(host, ".")
	if !hostName.MatchString(host) || numberEnd.MatchString(host) || len(host) > 253 {
		return Target{}, false
	}
	return Target{Name: strings.ToLower(host), Port: uint16(port)}, true
}

var (
	decimalPort = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
	hostName    = regexp.MustCompile(`^` + hostLabel + `(\.` + hostLabel + `)*$`)
	numberEnd   = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][^.]*)$`)
)

const hostLabel = `[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?`

// FuzzTarget compares Parse with its twin, and holds what it gives to what its types promise, any text whatever.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"", "1.2.3.4:80", "[::1]:80", "[::ffff:1.2.3.4]:80", "[fe80::1%eth0]:80", "example.com:443", "EXAMPLE.com.:443",
		"1.2.3:80", "0x7f.1:80", "1.2.3.4.:80", "http://a:80", "::1:80", "a:1:2", "a:01", "a:+1", "a:65536", "a..b:1",
		"-a:1", "a-.b:1", "[1.2.3.4]:80", "[::1]80", "[::1", "[]:1", ":1", ".:1", "_a:1", "\x00:1", "\xff:1",
		"\u212a:1", "a:\uff18", "[a]b:1", "a]:1", "[::1]:80]", "[:]:1", "[[::1]]:1", "a@b:1", "a:1/",
		strings.Repeat("a", 64) + ":1", strings.Repeat("a.", 127) + ":1", "a.0X1:1", "0X000.A:1", "[::1%]:1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Parse(in)
		want, ok := twin(in)
		if ok != (err == nil) || got != want {
			t.Fatalf("Parse(%q) = %+v, %v; twin: %+v, %v", in, got, err, want, ok)
		}
		if err == nil {
			checkTarget(t, in, got)
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("Parse(%q): error of type %T", in, err)
		}
		if e.Code == Unknown {
			t.Errorf("Parse(%q): no code", in)
		}
		checkError(t, in, e)
	})
}
