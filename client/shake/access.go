package main

import (
	"errors"
	"flag"
)

// access is how caller and service know each other. The zero value leaves it to [client.New], which takes TLS with the
// system's roots for a service on another machine and plaintext for one on this.
type access struct {
	ca, cert, key string // paths; empty: none
	serverName    string // empty: the host of --server

	token     string // a path; empty: none
	tokenFrom string // the flag or the variable that named it
}

func (a *access) flags(fs *flag.FlagSet, getenv func(string) string) {
	fs.Func("ca", "", named(&a.ca))
	fs.Func("cert", "", named(&a.cert))
	fs.Func("key", "", named(&a.key))
	fs.Func("server-name", "", named(&a.serverName))
	if path := getenv("SHAKE_TOKEN_FILE"); path != "" {
		a.token, a.tokenFrom = path, "SHAKE_TOKEN_FILE"
	}
	fs.Func("token-file", "", func(s string) error { a.token, a.tokenFrom = s, "--token-file"; return nil })
}

// named sets p, but not to nothing: an empty variable of a script must not turn into plaintext, or into the system's roots.
func named(p *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		*p = s
		return nil
	}
}

// contradiction returns what cannot be meant, beside --plaintext and --server or without them. A variable of the environment
// holds for whatever is asked later, so without a service it is no mistake.
func (a *access) contradiction(server string, plaintext bool) error {
	tlsFlag := a.tlsFlag()
	switch {
	case tlsFlag != "" && server == "":
		return errors.New(tlsFlag + " needs --server")
	case a.token != "" && a.tokenFrom == "--token-file" && server == "":
		return errors.New("--token-file needs --server")
	case tlsFlag != "" && plaintext:
		return errors.New(tlsFlag + " and --plaintext exclude each other: in plaintext there are no certificates")
	case a.cert != "" && a.key == "":
		return errors.New("--cert needs --key")
	case a.key != "" && a.cert == "":
		return errors.New("--key needs --cert")
	case a.token == "-" && server != "":
		return errors.New(a.tokenFrom + ": a token is not read from standard input")
	default:
		return nil
	}
}

// tlsFlag returns a flag that was given and makes no sense without TLS. Empty: none was.
func (a *access) tlsFlag() string {
	if flags := a.tlsFlags(); len(flags) > 0 {
		return flags[0]
	}
	return ""
}

// tlsFlags returns all such flags that were given.
func (a *access) tlsFlags() []string {
	var given []string
	for _, f := range [...]struct{ name, value string }{
		{"--ca", a.ca}, {"--cert", a.cert}, {"--key", a.key}, {"--server-name", a.serverName},
	} {
		if f.value != "" {
			given = append(given, f.name)
		}
	}
	return given
}
