package target

import (
	"net/netip"
	"strings"
)

// Parse reads s as a target; the package comment tells the forms. The error is always an *Error. Safe for concurrent use.
// It allocates only for an error and for a name with upper-case letters; a Name is otherwise a part of s.
//
//   - The port is 1 to 65535 in decimal digits, without sign, space or leading zero.
//   - IPv4 is four numbers of 0 to 255 without leading zeros; IPv6 is RFC 4291 section 2.2 (both as netip.ParseAddr).
//   - A name has ASCII letters, digits, hyphens and underscores in labels of 1 to 63 bytes, 253 in all. A hyphen neither
//     begins nor ends a label (RFC 1123 section 2.1; Go's resolver refuses it too). One dot at the end is allowed and has no
//     effect: it marks a name as absolute (RFC 1034 section 3.1), which every name here is.
func Parse(s string) (Target, error) {
	if s == "" {
		return Target{}, &Error{Code: Empty}
	}
	if s[0] == '[' {
		return parseBracketed(s)
	}

	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return Target{}, wrong(s, PortMissing, len(s))
	}
	if next := strings.IndexByte(s[colon+1:], ':'); next >= 0 {
		return Target{}, wrong(s, ManyColons, colon+1+next)
	}
	port, ok := parsePort(s[colon+1:])
	if !ok {
		return Target{}, wrongPort(s, colon+1)
	}

	host := s[:colon]
	if host == "" {
		return Target{}, wrong(s, HostMissing, 0)
	}
	if endsInNumber(host) {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return Target{}, wrong(s, IPv4Invalid, 0)
		}
		return Target{Addr: netip.AddrPortFrom(addr, port), Port: port}, nil
	}
	if code, at := checkName(host); code != Unknown {
		return Target{}, wrong(s, code, at)
	}
	return Target{Name: strings.ToLower(strings.TrimSuffix(host, ".")), Port: port}, nil
}

// parseBracketed reads the form [ipv6]:port; s begins with a bracket.
func parseBracketed(s string) (Target, error) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return Target{}, wrong(s, Brackets, 0)
	}
	host, rest := s[1:end], s[end+1:]
	if rest == "" {
		return Target{}, wrong(s, PortMissing, len(s))
	}
	if rest[0] != ':' {
		return Target{}, wrong(s, Brackets, end+1)
	}
	port, ok := parsePort(rest[1:])
	if !ok {
		return Target{}, wrongPort(s, end+2)
	}

	if host == "" {
		return Target{}, wrong(s, HostMissing, 1)
	}
	if zone := strings.IndexByte(host, '%'); zone >= 0 {
		return Target{}, wrong(s, Zone, 1+zone)
	}
	if strings.IndexByte(host, ':') < 0 {
		return Target{}, wrong(s, Brackets, 0)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return Target{}, wrong(s, IPv6Invalid, 1)
	}
	return Target{Addr: netip.AddrPortFrom(addr.Unmap(), port), Port: port}, nil
}

// parsePort is strconv.ParseUint without the forms that it allows beyond plain decimal: leading zeros.
func parsePort(s string) (port uint16, ok bool) {
	if s == "" || len(s) > len("65535") || s[0] == '0' {
		return 0, false
	}
	n := uint32(0)
	for i := range len(s) {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = n*10 + uint32(digit)
	}
	return uint16(n), n <= 65535
}

// endsInNumber reports whether the last label of host is all digits or begins with 0x. One dot at the end does not count:
// inet_aton(3) does not take "1.2.3.4." for an address, but others do.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if len(last) >= 2 && last[0] == '0' && last[1]|0x20 == 'x' {
		return true
	}
	for i := range len(last) {
		if last[i]-'0' > 9 {
			return false
		}
	}
	return last != ""
}

// checkName returns Unknown for a name that Parse allows, and else what is wrong with it, and where.
func checkName(name string) (code Code, at int) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > maxName {
		return NameTooLong, maxName
	}
	for start := 0; start <= len(name); {
		end := len(name)
		if dot := strings.IndexByte(name[start:], '.'); dot >= 0 {
			end = start + dot
		}
		for i := start; i < end; i++ {
			if !isNameByte(name[i]) {
				return NameInvalid, i
			}
		}
		switch {
		case start == end:
			return LabelEmpty, start
		case end-start > maxLabel:
			return LabelTooLong, start
		case name[start] == '-' || name[end-1] == '-':
			return LabelHyphen, start
		}
		start = end + 1
	}
	return Unknown, 0
}

func isNameByte(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c == '-' || c == '_'
}

// wrong makes the error of s. Where a person wrote a URL, that is what they should hear first.
func wrong(s string, code Code, at int) *Error {
	if i := strings.IndexAny(s, "/@"); i >= 0 {
		return &Error{Code: NotHostPort, At: i}
	}
	return &Error{Code: code, At: at}
}

// wrongPort makes the error of s, whose port would begin at.
func wrongPort(s string, at int) *Error {
	if at == len(s) {
		return wrong(s, PortMissing, at)
	}
	return wrong(s, PortInvalid, at)
}
