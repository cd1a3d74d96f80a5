package config

// judge tells of what no key says alone: listeners, callers and insecure beside one another.
func (r *reader) judge(c *Config, g Given) {
	insecure := c.Insecure
	if g.Insecure != nil {
		insecure = g.Insecure
	}
	if g.Listen == nil {
		for i := range c.Listen {
			l := &c.Listen[i]
			if loopback, known := l.Loopback(); known && !loopback && (insecure == nil || !*insecure) {
				if text := c.Refusal(l); text != "" {
					r.wrongAt(l.At, "%s", text)
				}
			}
			if m := c.MetricsListen; m != nil && m.clashes(l.Address) {
				r.wrongAt(m.At, "%s is for gRPC, as %s on line %d; metrics need a place of their own",
					quoted(m.Text), quoted(l.Text), l.At.Line)
			}
		}
	}
	if g.Listen != nil || !r.listenBroken {
		r.judgeCallers(c, g)
	}
}

// Refusal says why l, which is open to other machines, must not be listened on unless insecure says so; empty if it may. Parse
// has asked about all listeners but those whose host is a name: these are for whoever looks it up.
func (c *Config) Refusal(l *Listener) string {
	missing := ""
	switch {
	case l.TLS == nil && c.Callers == nil:
		missing = "tls and callers"
	case l.TLS == nil:
		missing = "tls"
	case c.Callers == nil:
		missing = "callers"
	default:
		return ""
	}
	return quoted(l.Text) + " is open to other machines and needs " + missing +
		"; otherwise listen on a loopback address or a unix socket, or say insecure: true"
}

// judgeCallers tells of callers that can never be known, wherever they come in.
func (r *reader) judgeCallers(c *Config, g Given) {
	certificates, sockets := false, false
	if g.Listen == nil {
		for _, l := range c.Listen {
			certificates = certificates || l.TLS != nil && l.TLS.ClientCA != ""
			sockets = sockets || l.Unix()
		}
	}
	for _, text := range g.Listen {
		a, err := ParseAddress(text)
		sockets = sockets || err == nil && a.Unix()
	}
	for i := range c.Callers {
		caller := &c.Callers[i]
		switch at := caller.IdentityAt; {
		case at == Position{}: // it could not be read
		case len(caller.TokenSHA256) > 0, len(caller.TLSSANs) > 0 && certificates, len(caller.UIDs) > 0 && sockets:
		case len(caller.UIDs) == 0:
			r.wrongAt(at, "the caller can never be known: it has tls_san alone, and no listener has tls with client_ca")
		case len(caller.TLSSANs) == 0:
			r.wrongAt(at, "the caller can never be known: it has uid alone, and no listener is a unix socket")
		default:
			r.wrongAt(at, "the caller can never be known: "+
				"it has tls_san and uid, and no listener has tls with client_ca or is a unix socket")
		}
	}
}
