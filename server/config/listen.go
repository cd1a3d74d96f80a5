package config

import (
	"crypto/tls"
	"io/fs"
	"strconv"
)

// defaultMode lets only the user that the service runs as connect.
const defaultMode fs.FileMode = 0o600

// Listener is one item of listen.
type Listener struct {
	Address
	TLS   *TLSFiles   // nil: plaintext
	TLSAt Position    // of the key tls's value, for errors of those who read the files
	Mode  fs.FileMode // of a unix socket: 0 to 0777, default 0600; else 0
}

// TLSFiles are the files of a listener with TLS, relative ones made relative to the configuration's directory.
type TLSFiles struct {
	Cert, Key           string
	ClientCA, ClientCRL string // may be empty; ClientCRL is, where ClientCA is
	MinVersion          uint16 // tls.VersionTLS12 or tls.VersionTLS13, which is the default
}

// listenerDraft is a Listener with what cannot be judged before all of its keys were read.
type listenerDraft struct {
	Listener
	tls, mode *value
}

var listenerFields = []field[listenerDraft]{
	{name: "address", required: true, read: func(r *reader, d *listenerDraft, v value) {
		if a := r.address(v); a != nil {
			d.Address = *a
		}
	}},
	{name: "tls", read: func(r *reader, d *listenerDraft, v value) {
		d.tls = &v
		d.TLS, d.TLSAt = &TLSFiles{MinVersion: tls.VersionTLS13}, v.at()
		readMapping(r, d.TLS, v, tlsFields)
		if d.TLS.ClientCRL != "" && d.TLS.ClientCA == "" && !hasKey(v, "client_ca") {
			r.wrong(v, "client_crl says which of client_ca's certificates are revoked, and there is no client_ca")
		}
	}},
	{name: "mode", read: func(r *reader, d *listenerDraft, v value) {
		d.mode = &v
		d.Mode = r.mode(v)
	}},
}

var tlsFields = []field[TLSFiles]{
	{name: "cert", required: true, read: func(r *reader, t *TLSFiles, v value) { t.Cert = r.pathOf(v) }},
	{name: "key", required: true, read: func(r *reader, t *TLSFiles, v value) { t.Key = r.pathOf(v) }},
	{name: "client_ca", read: func(r *reader, t *TLSFiles, v value) { t.ClientCA = r.pathOf(v) }},
	{name: "client_crl", read: func(r *reader, t *TLSFiles, v value) { t.ClientCRL = r.pathOf(v) }},
	{name: "min_version", read: func(r *reader, t *TLSFiles, v value) {
		if s, _ := r.oneOf(v, "1.2", "1.3"); s == "1.2" {
			t.MinVersion = tls.VersionTLS12
		}
	}},
}

func (r *reader) readListen(c *Config, v value) {
	before := len(r.errs)
	c.Listen = []Listener{}
	r.eachItem(v, func(item value) {
		item.key = "an item of listen"
		var d listenerDraft
		readMapping(r, &d, item, listenerFields)
		if d.Text != "" {
			r.finishListener(&d, c.Listen)
			c.Listen = append(c.Listen, d.Listener)
		}
	})
	if len(v.Content) == 0 && len(r.errs) == before {
		r.wrong(v, "listen needs at least one item, or leave the key out")
	}
	r.listenBroken = len(r.errs) > before
}

// finishListener judges d, whose address could be read, by itself and beside those before it.
func (r *reader) finishListener(d *listenerDraft, before []Listener) {
	switch {
	case d.Unix() && d.tls != nil:
		r.wrong(*d.tls, "a unix socket takes no tls: it does not leave this host, and knows its peers by uid")
	case !d.Unix() && d.mode != nil:
		r.wrong(*d.mode, "mode is for unix sockets alone")
	case d.Unix() && d.mode == nil:
		d.Mode = defaultMode
	}
	for _, l := range before {
		if d.clashes(l.Address) {
			r.wrongAt(d.At, "%s is listened on already, as %s on line %d", quoted(d.Text), quoted(l.Text), l.At.Line)
			return
		}
	}
}

// address reads v; nil if it is none.
func (r *reader) address(v value) *Address {
	s, ok := r.text(v)
	if !ok {
		return nil
	}
	a, err := ParseAddress(s)
	if err != nil {
		r.mismatch(v, err.Error(), "")
		return nil
	}
	a.At = v.at()
	return &a
}

// readMetricsListen refuses what other machines can reach, with insecure as well: nobody can be told apart who asks for metrics.
func (r *reader) readMetricsListen(c *Config, v value) {
	a := r.address(v)
	if a == nil {
		return
	}
	if loopback, known := a.Loopback(); known && !loopback {
		r.mismatch(v, "must be a loopback address or a unix socket, with insecure as well", "")
		return
	}
	c.MetricsListen = a
}

// mode reads v, which must be a text: 0660 without quotes is 432 to some programs and 660 to others.
func (r *reader) mode(v value) fs.FileMode {
	n, err := strconv.ParseUint(v.Value, 8, 32)
	if digits := len(v.Value); !v.isScalar("!!str") || err != nil || n > 0o777 || digits < 3 || digits > 4 {
		r.mismatch(v, `must be three or four octal digits in quotes, from "0000" to "0777"`, "")
		return 0
	}
	return fs.FileMode(n)
}

// hasKey reports whether the mapping v names key, with whatever value.
func hasKey(v value, key string) bool {
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i].Value == key {
			return true
		}
	}
	return false
}
