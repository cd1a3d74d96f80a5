package identity

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"
)

// Caller is who may be at the other end, and by what it is known: any one of these is enough. One that has none is known by
// nothing, and is no error.
type Caller struct {
	// Name is what the caller is called in the policy, the quotas and the log: 1 to 256 bytes of UTF-8 without control
	// characters. No two callers have one name.
	Name string

	// TLSSANs are subject alternative names of client certificates: a URI ("spiffe://corp/edge"; scheme and "://" make it one)
	// or a DNS name ("edge.corp.example", in either case). "*.corp.example" is known by a certificate of that very wildcard, not
	// by one of a name that it would match.
	TLSSANs []string

	// TokenSHA256 are the SHA-256 hashes of bearer tokens (HashToken, ParseTokenHash).
	TokenSHA256 [][sha256.Size]byte

	// UIDs are user ids of peers on unix sockets, as the service's own user namespace numbers them. A user that this namespace
	// does not know appears as the overflow id, 65534 (user_namespaces(7)): whoever lists it means all of these. On systems
	// other than Linux nobody is known by a uid.
	UIDs []uint32
}

// maxCallerName is the longest name of a caller, in bytes. Log lines contain it.
const maxCallerName = 256

// noUID is what the kernel tells where it knows no user: (uid_t)-1 (cred_to_ucred, net/core/sock.c).
const noUID = math.MaxUint32

func checkCallerName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxCallerName:
		return fmt.Errorf("the name is longer than %d bytes", maxCallerName)
	case !utf8.ValidString(name):
		return errors.New("the name is not UTF-8")
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return errors.New("the name holds a control character")
		}
	}
	return nil
}
