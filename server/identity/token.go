package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 4096

// tokenHash is the SHA-256 of a token.
type tokenHash = [sha256.Size]byte

// HashToken returns what is configured in the place of token: its SHA-256. A plain hash is enough where tokens are random and
// long (at least 128 bits); a password that a person chose would need a slow one, and has no place here.
func HashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// ParseTokenHash reads the SHA-256 of a token from text, 64 hexadecimal digits in either case. Its errors do not repeat text: it
// may be the token itself, put there by mistake.
func ParseTokenHash(text string) ([sha256.Size]byte, error) {
	var hash tokenHash
	if len(text) != hex.EncodedLen(len(hash)) {
		return tokenHash{}, fmt.Errorf("a SHA-256 is %d hexadecimal digits, and this has %d characters (is it the token itself?)",
			hex.EncodedLen(len(hash)), len(text))
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
		return tokenHash{}, errors.New("a SHA-256 is hexadecimal digits alone, 0-9 and a-f")
	}
	return hash, nil
}

// checkHash refuses hashes that no token has, or that stand for none.
func checkHash(hash tokenHash) error {
	switch hash {
	case tokenHash{}:
		return errors.New("a token's hash is all zeros")
	case HashToken(""):
		return errors.New("a token's hash is the one of the empty token, which is never accepted")
	case HashToken("\n"):
		return errors.New("a token's hash is the one of an empty line")
	}
	return nil
}

// bearer returns the token of the authorization header's values, of which there is at least one: "Bearer", in either case, one
// space, and 1 to maxToken visible ASCII characters. RFC 6750 section 2.1 allows fewer characters; a token of others that an
// operator has configured is right all the same.
func bearer(values []string) (string, error) {
	if len(values) > 1 {
		return "", badIdentity("%d authorization headers", len(values))
	}
	scheme, token, found := strings.Cut(values[0], " ")
	switch {
	case !found || !strings.EqualFold(scheme, "bearer"):
		return "", badIdentity("the authorization header is not Bearer and a token")
	case token == "":
		return "", badIdentity("the token is empty")
	case len(token) > maxToken:
		return "", badIdentity("the token has %d bytes, and %d are the most", len(token), maxToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", badIdentity("the token holds a byte that is not visible ASCII")
		}
	}
	return token, nil
}

// find returns the place of hash in hashes, or -1. It asks equal, which is subtle.ConstantTimeCompare, about every one of them,
// so that the time tells neither how much of a guess was right nor which caller's token it was near to. None is there twice.
func find(hashes []tokenHash, hash tokenHash, equal func(x, y []byte) int) int {
	at := -1
	for i := range hashes {
		at = subtle.ConstantTimeSelect(equal(hashes[i][:], hash[:]), i, at)
	}
	return at
}
