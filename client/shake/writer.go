package main

import (
	"io"
	"strconv"
	"unicode"

	"github.com/CarterTsai/tcp-shaker/client"
)

// format turns results into lines.
type format interface {
	// header returns what comes before the first line.
	header() string
	// append appends the line, or lines, of r to dst.
	append(dst []byte, r client.Result) ([]byte, error)
}

// writer writes each result with one Write of its own, so that it is seen when it is known, and is whole or not there.
type writer struct {
	to    io.Writer
	as    format
	buf   []byte
	begun bool
}

func newWriter(to io.Writer, o *options) *writer {
	w := &writer{to: to}
	switch o.output {
	case "json":
		w.as = jsonFormat{}
	case "csv":
		w.as = csvFormat{}
	default:
		w.as = newTable(o)
	}
	return w
}

func (w *writer) write(r client.Result) (err error) {
	w.buf = w.buf[:0]
	if !w.begun {
		w.begun = true
		w.buf = append(w.buf, w.as.header()...)
	}
	if w.buf, err = w.as.append(w.buf, r); err != nil {
		return err
	}
	_, err = w.to.Write(w.buf)
	return err
}

// printable returns s without anything that a terminal might obey or hide: what does not print (control characters, marks of
// direction, bytes that are not UTF-8) is escaped as in a Go string. What is printable is left as it is.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}
