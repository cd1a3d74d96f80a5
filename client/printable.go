package client

import (
	"strconv"
	"unicode"
)

// printable returns s without anything that a terminal might obey or hide. If s has a character
// that does not print, or bytes that are not UTF-8, all of those are escaped as in a Go string.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}
