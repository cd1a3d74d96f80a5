package config

import (
	"bytes"
	"unicode/utf8"
)

// What YAML's parser is not asked to look at. It makes some 500 bytes of tokens and nodes of each value, and holds those of a
// whole line in between.
const (
	maxMarks = 1_000_000 // newlines, commas, brackets and braces: there is no value without one of them before or behind it
	maxLine  = 1 << 20   // bytes
)

// checkBytes reports whether data is text that may be read as YAML. What it lets through has lines and columns that editors agree
// with.
func (r *reader) checkBytes(data []byte) bool {
	if len(data) > maxBytes {
		r.wrongAt(Position{1, 1}, "the file is larger than %d MiB", maxBytes>>20)
		return false
	}
	body := bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark is not part of the text
	at, marks, lineStart := Position{1, 1}, 0, 0
	for i := 0; i < len(body); {
		c, size := rune(body[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(body[i:])
		}
		switch {
		case c == utf8.RuneError && size == 1:
			r.wrongAt(at, "not UTF-8: the byte 0x%02x", body[i])
			return false
		case c == '\r' && i+1 < len(body) && body[i+1] == '\n':
		case c == '\r':
			r.wrongAt(at, "a carriage return without a line feed behind it")
			return false
		case !isText(c):
			r.wrongAt(at, "the character U+%04X has no place in a text file", c)
			return false
		case i-lineStart >= maxLine:
			r.wrongAt(at, "the line is longer than %d bytes", maxLine)
			return false
		case c == '\n' || c == ',' || c == '[' || c == '{':
			if marks++; marks > maxMarks {
				r.wrongAt(at, "the file has more than %d lines, commas, brackets and braces", maxMarks)
				return false
			}
		}
		i += size
		if at.Column++; c == '\n' {
			at, lineStart = Position{at.Line + 1, 1}, i
		}
	}
	return true
}

// isText reports whether c may stand in a file: what YAML 1.2 section 5.1 calls printable, without what only some programs take
// for the end of a line.
func isText(c rune) bool {
	switch {
	case c == '\t', c == '\n':
		return true
	case c < ' ', 0x7f <= c && c <= 0x9f, c == 0x2028, c == 0x2029, c == 0xfeff, c == 0xfffe, c == 0xffff:
		return false
	}
	return true
}
