package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/CarterTsai/tcp-shaker/server/target"
)

// The longest text of a rule in bytes, and of its ports. What stands before the ports is a name of at most 253 bytes with "*."
// before it and a dot behind it, so String never returns a text that ParseRule finds too long.
const (
	maxRuleText  = 1280
	maxPortsText = 1023
)

// The sentences of SyntaxError that are not package target's.
const (
	ruleForm      = "a rule is host:ports, the host an address, a prefix, a name, *.name or *"
	portsForm     = "the ports are *, or numbers of 1 to 65535 and ranges such as 1-1023, with commas between"
	bracketsForm  = "brackets enclose an IPv6 address or prefix and nothing else, and :ports follows them"
	wildcardForm  = "a wildcard is the whole first label and stands before a name, as in *.corp.example"
	noAddressForm = "what stands before the / is no IPv4 or IPv6 address"
)

// SyntaxError says why a text is no rule. All errors of ParseRule are of this type.
type SyntaxError struct {
	// Sentence is what is wrong, in printable ASCII of at most 140 bytes. It holds no part of the text but a prefix, in a form
	// of this package's own.
	Sentence string
	// At is where: the offset in bytes, from 0, of the part of the text that is wrong. At most the text's length.
	At int
}

// Error returns Sentence, and where it is about.
func (e *SyntaxError) Error() string {
	if e.At <= 0 {
		return e.Sentence
	}
	return e.Sentence + " (byte " + strconv.Itoa(e.At) + ")"
}

// ParseRule reads a rule: host:ports, without spaces. The error is always a *SyntaxError. Safe for concurrent use.
//
//   - 10.1.2.3, [2001:db8::1]: one address. 10.0.0.0/8, 2001:db8::/32 or [2001:db8::/32]: a prefix, with no bit set behind its
//     length. IPv4-mapped ones (RFC 4291 section 2.5.5.2) count as their IPv4. There are no zones.
//   - web.example: a name, as target.Parse reads one. *.corp.example: every name below it, of any number of labels. *: every
//     name; no address.
//   - Ports are *, which is all of them, or a list of numbers and ranges such as 22,443,8000-8999.
func ParseRule(s string) (AccessRule, error) {
	switch {
	case s == "":
		return AccessRule{}, &SyntaxError{Sentence: "empty: " + ruleForm}
	case len(s) > maxRuleText:
		return AccessRule{}, &SyntaxError{Sentence: "a rule has at most " + strconv.Itoa(maxRuleText) + " bytes", At: maxRuleText}
	}
	hostAt, hostEnd, portsAt, err := splitRule(s)
	if err != nil {
		return AccessRule{}, err
	}
	var rule AccessRule
	if err := parseHost(&rule, s[hostAt:hostEnd], hostAt > 0); err != nil {
		err.At += hostAt
		return AccessRule{}, err
	}
	ranges, err := parsePorts(s[portsAt:])
	if err != nil {
		err.At += portsAt
		return AccessRule{}, err
	}
	rule.Ports = mergePorts(ranges)
	return rule, nil
}

// splitRule finds host and ports of s, which is not empty. The host begins at 1 if and only if it stands in brackets.
func splitRule(s string) (hostAt, hostEnd, portsAt int, err *SyntaxError) {
	if s[0] == '[' {
		hostAt, hostEnd = 1, strings.IndexByte(s, ']')
		switch {
		case hostEnd < 0:
			return 0, 0, 0, &SyntaxError{Sentence: bracketsForm}
		case hostEnd+1 < len(s) && s[hostEnd+1] != ':':
			return 0, 0, 0, &SyntaxError{Sentence: bracketsForm, At: hostEnd + 1}
		}
		portsAt = hostEnd + 2
	} else {
		hostEnd = strings.LastIndexByte(s, ':')
		portsAt = hostEnd + 1
	}
	switch {
	case hostEnd < 0, portsAt >= len(s), isPrefixAlone(s, hostAt, portsAt):
		return 0, 0, 0, &SyntaxError{Sentence: "the ports are missing: " + ruleForm, At: len(s)}
	case hostAt == hostEnd:
		return 0, 0, 0, &SyntaxError{Sentence: "the host is missing: " + ruleForm, At: hostAt}
	}
	return hostAt, hostEnd, portsAt, nil
}

// isPrefixAlone reports whether s seems to be an IPv6 prefix without ports, such as 2001:db8::/32, whose last colon is its own.
func isPrefixAlone(s string, hostAt, portsAt int) bool {
	return hostAt == 0 && strings.IndexByte(s[:portsAt-1], ':') >= 0 && strings.IndexByte(s[portsAt:], '/') >= 0
}

// parseHost reads what stands before the ports into rule. The offset of its error is one in host.
func parseHost(rule *AccessRule, host string, inBrackets bool) (err *SyntaxError) {
	colon := strings.IndexByte(host, ':') >= 0
	if zone := strings.IndexByte(host, '%'); zone >= 0 && colon {
		return &SyntaxError{Sentence: "an IPv6 address with a zone is not allowed here", At: zone}
	}
	slash := strings.IndexByte(host, '/')
	switch {
	case inBrackets && !colon:
		return &SyntaxError{Sentence: bracketsForm}
	case slash >= 0:
		rule.Prefix, err = parsePrefix(host, slash)
	case inBrackets:
		addr, failure := netip.ParseAddr(host)
		if failure != nil {
			return &SyntaxError{Sentence: "not an IPv6 address between the brackets"}
		}
		rule.Prefix = single(addr)
	case colon:
		return &SyntaxError{Sentence: "an IPv6 address without /bits must stand in brackets"}
	default:
		*rule, err = parseName(host)
	}
	return err
}

// parsePrefix reads an address with the length of a prefix behind the slash.
func parsePrefix(host string, slash int) (netip.Prefix, *SyntaxError) {
	addr, err := netip.ParseAddr(host[:slash])
	if err != nil {
		return netip.Prefix{}, &SyntaxError{Sentence: noAddressForm}
	}
	digits := host[slash+1:]
	bits, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || int(bits) > addr.BitLen() || len(digits) > 1 && digits[0] == '0' {
		return netip.Prefix{}, &SyntaxError{
			Sentence: "the length of a prefix is 0 to " + strconv.Itoa(addr.BitLen()) + " here, in decimal digits", At: slash + 1,
		}
	}
	prefix := netip.PrefixFrom(addr, int(bits))
	network := unmapPrefix(prefix)
	if prefix.Masked() != prefix {
		return netip.Prefix{}, &SyntaxError{Sentence: "the prefix has bits set behind its length: its network is " + network.String()}
	}
	return network, nil
}

// parseName reads a host without colon and slash: an IPv4 address, a name, or a wildcard.
func parseName(host string) (AccessRule, *SyntaxError) {
	name, wildcard := strings.CutPrefix(host, "*.")
	at := len(host) - len(name)
	if host == "*" {
		return AccessRule{Name: host}, nil
	}
	read, err := target.Parse(name + ":1") // so a rule can say each name that a target can, and no other
	switch refused, _ := errors.AsType[*target.Error](err); {
	case refused == nil:
	case refused.Code == target.HostMissing:
		return AccessRule{}, &SyntaxError{Sentence: wildcardForm}
	case refused.Code == target.NotHostPort: // an @, which would be a user's there
		return AccessRule{}, &SyntaxError{Sentence: (&target.Error{Code: target.NameInvalid}).Error(), At: at + refused.At}
	case refused.Code == target.NameInvalid && name[refused.At] == '*':
		return AccessRule{}, &SyntaxError{Sentence: wildcardForm, At: at + refused.At}
	default:
		return AccessRule{}, &SyntaxError{Sentence: (&target.Error{Code: refused.Code}).Error(), At: at + refused.At}
	}
	switch {
	case wildcard && read.Name == "":
		return AccessRule{}, &SyntaxError{Sentence: wildcardForm}
	case wildcard:
		return AccessRule{Name: "*." + read.Name}, nil
	case read.Name == "":
		return AccessRule{Prefix: single(read.Addr.Addr())}, nil
	default:
		return AccessRule{Name: read.Name}, nil
	}
}

// parsePorts reads a list of ports. The offset of its error is one in s.
func parsePorts(s string) (ranges []PortRange, err *SyntaxError) {
	switch {
	case s == "*":
		return []PortRange{allPorts}, nil
	case len(s) > maxPortsText:
		return nil, &SyntaxError{Sentence: "the ports have at most " + strconv.Itoa(maxPortsText) + " bytes", At: maxPortsText}
	}
	at := 0
	for text := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		var r PortRange
		var ok1, ok2 bool
		r.First, ok1 = parsePort(first)
		r.Last, ok2 = parsePort(last)
		switch {
		case !ok1:
			return nil, &SyntaxError{Sentence: portsForm, At: at}
		case !ok2:
			return nil, &SyntaxError{Sentence: portsForm, At: at + len(first) + 1}
		case r.First > r.Last:
			return nil, &SyntaxError{Sentence: "the range of ports runs backwards", At: at}
		}
		ranges = append(ranges, r)
		at += len(text) + 1
	}
	return ranges, nil
}

// parsePort reads 1 to 65535 in decimal digits, without sign or leading zero.
func parsePort(s string) (uint16, bool) {
	port, err := strconv.ParseUint(s, 10, 16)
	return uint16(port), err == nil && s[0] != '0'
}

// single returns the prefix of one address alone.
func single(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen())
}
