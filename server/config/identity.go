package config

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// maxUID is the largest user id. The one above, (uid_t)-1, is what the kernel tells where it knows none (cred_to_ucred,
// net/core/sock.c).
const maxUID = math.MaxUint32 - 1

var identityFields = []field[Caller]{
	{name: "tls_san", read: func(r *reader, c *Caller, v value) {
		r.eachItem(v, func(item value) { r.readSAN(c, item) })
	}},
	{name: "token_sha256", read: func(r *reader, c *Caller, v value) {
		r.eachItem(v, func(item value) { r.readToken(c, item) })
	}},
	{name: "uid", read: func(r *reader, c *Caller, v value) {
		r.eachItem(v, func(item value) { r.readUID(c, item) })
	}},
}

func (r *reader) readIdentity(c *Caller, v value) {
	before := len(r.errs)
	readMapping(r, c, v, identityFields)
	if len(r.errs) > before {
		return // what could not be read may be what it is known by
	}
	c.IdentityAt = v.at()
	if len(c.TLSSANs)+len(c.TokenSHA256)+len(c.UIDs) == 0 {
		c.IdentityAt = Position{}
		r.wrong(v, "identity needs at least one entry in tls_san, token_sha256 or uid")
	}
}

func (r *reader) readSAN(c *Caller, v value) {
	s, ok := r.text(v)
	if !ok {
		return
	}
	san, err := identity.CanonicalSAN(s)
	if err != nil {
		r.wrong(v, "tls_san %s %v", quoted(s), err)
		return
	}
	c.TLSSANs = append(c.TLSSANs, s)
	r.claim(claim{"SAN", san}, quoted(s), v)
}

// readToken says nothing of the text: it may be the token itself, put there by mistake.
func (r *reader) readToken(c *Caller, v value) {
	var hash [sha256.Size]byte
	switch {
	case !v.isScalar("!!str"): // 64 decimal digits are a number
		r.mismatch(v, "must be 64 hexadecimal digits, in quotes", "")
		return
	case len(v.Value) != hex.EncodedLen(len(hash)):
		r.wrong(v, "token_sha256 must be 64 hexadecimal digits, and has %d characters (is it the token itself?)", len(v.Value))
		return
	}
	if _, err := hex.Decode(hash[:], []byte(v.Value)); err != nil {
		r.wrong(v, "token_sha256 must be 64 hexadecimal digits, and has other characters")
		return
	}
	switch hash {
	case [sha256.Size]byte{}, sha256.Sum256(nil), sha256.Sum256([]byte("\n")):
		r.wrong(v, "token_sha256 is that of no token: all zeros, or the SHA-256 of nothing or of an empty line")
		return
	}
	c.TokenSHA256 = append(c.TokenSHA256, hash)
	r.claim(claim{"token", string(hash[:])}, "", v)
}

func (r *reader) readUID(c *Caller, v value) {
	uid, ok := r.whole(v, 0, maxUID)
	if !ok {
		return
	}
	c.UIDs = append(c.UIDs, uint32(uid))
	text := strconv.FormatInt(uid, 10)
	r.claim(claim{"uid", text}, text, v)
}

// claim is something that only one caller can have, and have once.
type claim struct{ kind, text string }

// owner is who has it: a caller, by its place in the list.
type owner struct {
	caller int
	line   int
}

// claim makes a the caller's that is being read, and tells of it if another has it. shown follows the kind in the sentence.
func (r *reader) claim(a claim, shown string, v value) {
	first, taken := r.claims[a]
	what := a.kind
	if shown != "" {
		what += " " + shown
	}
	switch {
	case !taken:
		r.claims[a] = owner{r.caller, v.Line}
	case first.caller == r.caller:
		r.wrong(v, "the %s is there twice, first on line %d", what, first.line)
	default:
		r.wrong(v, "two callers have the %s, the first on line %d", what, first.line)
	}
}
