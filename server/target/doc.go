// Package target reads what a caller names: a host and a port, as text. It looks nothing up and judges nothing; it says
// whether the text means an address, means a name, or means nothing.
//
// There are three forms, and each text has at most one reading:
//
//	ipv4:port       192.0.2.1:443
//	[ipv6]:port     [2001:db8::1]:443
//	name:port       www.example.com:443
//
// The three cannot be confused. Only IPv6 stands in brackets, and only IPv6 has colons. A host whose last label is all
// digits, or begins with 0x, is an IPv4 address or nothing (the rule of the URL standard, "ends in a number"): names of that
// kind are what inet_aton(3), and every resolver that asks it first, takes for addresses ("127.1", "0x7f.1", "2130706433").
// So no text that is read as a name here is an address elsewhere.
package target
