package target

import "strconv"

// Code says what is wrong with a text that is no target. The values are stable; new ones may come after them.
type Code uint8

const (
	// Unknown is the zero value. No Error carries it.
	Unknown Code = iota
	// Empty: there is no text at all.
	Empty
	// NotHostPort: a scheme, a user or a path stands around host and port.
	NotHostPort
	// PortMissing: nothing says the port.
	PortMissing
	// PortInvalid: the port is not 1 to 65535 in plain decimal.
	PortInvalid
	// HostMissing: nothing stands before the port.
	HostMissing
	// Brackets: a bracket without its partner, or around what is not an IPv6 address, or with something after it.
	Brackets
	// ManyColons: more than one colon, outside of brackets.
	ManyColons
	// Zone: an IPv6 address with a zone.
	Zone
	// IPv6Invalid: brackets around what looks like an IPv6 address and is none.
	IPv6Invalid
	// IPv4Invalid: the host ends in a number, as only IPv4 addresses do, and is none.
	IPv4Invalid
	// NameTooLong: a name of more than 253 bytes.
	NameTooLong
	// NameInvalid: a name with a byte that names do not have.
	NameInvalid
	// LabelEmpty: a name that begins with a dot or has two in a row.
	LabelEmpty
	// LabelTooLong: a name with more than 63 bytes between two dots.
	LabelTooLong
	// LabelHyphen: a name with a label that begins or ends with a hyphen.
	LabelHyphen
)

var codes = [...]struct{ name, sentence string }{
	Unknown:      {"unknown", "not a target"},
	Empty:        {"empty", "empty: a target is host:port"},
	NotHostPort:  {"not_host_port", "a target is host:port, without scheme, user or path"},
	PortMissing:  {"port_missing", "the port is missing: a target is host:port"},
	PortInvalid:  {"port_invalid", "the port must be 1 to 65535, in decimal digits without sign or leading zero"},
	HostMissing:  {"host_missing", "the host is missing: a target is host:port"},
	Brackets:     {"brackets", "brackets enclose an IPv6 address and nothing else, and :port follows them"},
	ManyColons:   {"many_colons", "more than one colon: an IPv6 address must stand in brackets"},
	Zone:         {"zone", "an IPv6 address with a zone is not allowed here"},
	IPv6Invalid:  {"ipv6_invalid", "not an IPv6 address between the brackets"},
	IPv4Invalid:  {"ipv4_invalid", "a host that ends in a number must be an IPv4 address: four of 0 to 255, no leading zeros"},
	NameTooLong:  {"name_too_long", "the name is longer than 253 bytes"},
	NameInvalid:  {"name_invalid", "a name has ASCII letters, digits, '-', '_' and '.' only"},
	LabelEmpty:   {"label_empty", "the name has an empty label: a dot at its start, or two in a row"},
	LabelTooLong: {"label_too_long", "the name has a label longer than 63 bytes"},
	LabelHyphen:  {"label_hyphen", "the name has a label that begins or ends with '-'"},
}

// String returns a short word for the code, in lower case with underscores, as stable as the code itself.
func (c Code) String() string {
	if int(c) < len(codes) {
		return codes[c].name
	}
	return "code_" + strconv.Itoa(int(c))
}

// Error says why a text is no target. All errors of Parse are of this type.
//
// It never holds a part of the text, which may be long, or made to be read in a log as something else.
type Error struct {
	// Code is what is wrong.
	Code Code
	// At is where: the offset in bytes, from 0, of the part of the text that is wrong. At most the text's length.
	At int
}

// Error returns one sentence of at most 120 bytes for a person, in printable ASCII.
func (e *Error) Error() string {
	sentence := codes[Unknown].sentence
	if int(e.Code) < len(codes) {
		sentence = codes[e.Code].sentence
	}
	if e.At <= 0 {
		return sentence
	}
	return sentence + " (byte " + strconv.Itoa(e.At) + ")"
}
