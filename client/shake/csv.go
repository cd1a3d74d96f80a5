package main

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	"github.com/CarterTsai/tcp-shaker/client"
)

// csvFormat is one record a line, quoted as in RFC 4180 section 2; lines end with LF alone. What is not known is empty.
type csvFormat struct{}

func (csvFormat) header() string {
	return "index,target,verdict,reason,address,rtt_seconds,elapsed_seconds,silence," +
		"completed,attempted,syn_retransmits,detail\n"
}

func (csvFormat) append(dst []byte, r client.Result) ([]byte, error) {
	address := ""
	if r.Address.IsValid() {
		address = r.Address.String()
	}
	buf := bytes.NewBuffer(dst)
	w := csv.NewWriter(buf)
	err := w.Write([]string{
		strconv.FormatUint(r.Index, 10),
		cell(r.Target),
		r.Verdict.String(),
		r.Reason.String(),
		address,
		seconds(r.RTT),
		seconds(r.Elapsed),
		r.Silence.String(),
		strconv.FormatUint(uint64(r.Completed), 10),
		strconv.FormatUint(uint64(r.Attempted), 10),
		strconv.FormatUint(uint64(r.SYNRetransmits), 10),
		cell(r.Detail),
	})
	w.Flush()
	return buf.Bytes(), err
}

// cell makes a cell of text that others wrote. A spreadsheet takes one that begins with certain characters for a formula,
// and may run it, quoted or not; an apostrophe before it makes it text.
func cell(text string) string {
	text = printable(text)
	if text != "" && strings.ContainsAny(text[:1], "=+-@") {
		return "'" + text
	}
	return text
}

// seconds returns d as a decimal number of seconds with as many digits as it needs; of 0, which means unset, nothing.
func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}
