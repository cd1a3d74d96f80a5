package identity

import (
	"errors"
	"fmt"
	"maps"
)

// State is who is known, and what TLS each listener speaks: one reading of the configuration. It is immutable; make one with
// NewState. Safe for concurrent use.
type State struct {
	bySAN     map[string]string // canonical SAN to name
	byUID     map[uint32]string
	hashes    []tokenHash
	owners    []string // of hashes, by place
	listeners map[string]*TLS
}

// NewState returns the State of callers and listeners; no entry, or nil, for a listener is plaintext. Its error joins one error
// per problem: names that are empty, malformed or there twice; SANs that are neither URIs nor DNS names; hashes that stand for
// no token; and a SAN, a token or a uid that two callers have. The order of callers means nothing. What it is given is copied.
func NewState(callers []Caller, listeners map[string]*TLS) (*State, error) {
	b := builder{
		state: &State{
			bySAN:     make(map[string]string),
			byUID:     make(map[uint32]string),
			listeners: maps.Clone(listeners),
		},
		names:  make(map[string]bool),
		tokens: make(map[tokenHash]string),
	}
	maps.DeleteFunc(b.state.listeners, func(_ string, t *TLS) bool { return t == nil })
	for i := range callers {
		b.add(i, &callers[i])
	}
	if len(b.problems) > 0 {
		return nil, errors.Join(b.problems...)
	}
	return b.state, nil
}

// builder is a State in the making.
type builder struct {
	state    *State
	names    map[string]bool
	tokens   map[tokenHash]string // hash to name
	problems []error
}

func (b *builder) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

// add takes in c, the i-th caller from 0.
func (b *builder) add(i int, c *Caller) {
	if err := checkCallerName(c.Name); err != nil {
		b.problem("caller %d: %w", i+1, err)
	} else if b.names[c.Name] {
		b.problem("caller %q: there are two of this name", c.Name)
	}
	b.names[c.Name] = true

	for _, text := range c.TLSSANs {
		san, err := CanonicalSAN(text)
		if err != nil {
			b.problem("caller %q: SAN %q: %w", c.Name, text, err)
		} else if other, taken := claim(b.state.bySAN, san, c.Name); taken {
			b.problem("callers %q and %q: both have the SAN %q", other, c.Name, text)
		}
	}
	for at, hash := range c.TokenSHA256 {
		if err := checkHash(hash); err != nil {
			b.problem("caller %q: token %d: %w", c.Name, at+1, err)
			continue
		}
		before := len(b.tokens)
		if other, taken := claim(b.tokens, hash, c.Name); taken {
			b.problem("callers %q and %q: both have token %d of the latter", other, c.Name, at+1) // without the hash
		} else if len(b.tokens) > before {
			b.state.hashes = append(b.state.hashes, hash)
			b.state.owners = append(b.state.owners, c.Name)
		}
	}
	for _, uid := range c.UIDs {
		if uid == noUID {
			b.problem("caller %q: uid %d stands for nobody (the largest is %d)", c.Name, uid, uint32(noUID-1))
		} else if other, taken := claim(b.state.byUID, uid, c.Name); taken {
			b.problem("callers %q and %q: both have the uid %d", other, c.Name, uid)
		}
	}
}

// claim makes key name's own, unless another has it. The same twice for one caller does no harm.
func claim[K comparable](owners map[K]string, key K, name string) (other string, taken bool) {
	if other, ok := owners[key]; ok {
		return other, other != name
	}
	owners[key] = name
	return "", false
}
