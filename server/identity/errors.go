package identity

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoIdentity says that nothing was given that could tell who calls.
	ErrNoIdentity = errors.New("no credentials were given that name a caller")

	// ErrBadIdentity says that a credential was given, and is not accepted. The words are the same whatever is wrong with it.
	ErrBadIdentity = errors.New("the credentials given are not accepted")
)

// Error is what Identify returns: one sentence for the caller, and more for the log.
type Error struct {
	// Err is ErrNoIdentity or ErrBadIdentity.
	Err error

	// Detail says what was wrong, for the operator's log alone: a caller that read it could find out what is configured. It
	// holds neither a token nor a hash, but may quote names out of a verified or an unverified certificate; at most maxDetail
	// bytes.
	Detail string
}

// maxDetail bounds a Detail, in bytes: the names in a certificate are as long as whoever made it likes.
const maxDetail = 512

// Error returns the sentence for the caller, without the detail.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func noIdentity(format string, args ...any) error { return newError(ErrNoIdentity, format, args...) }

func badIdentity(format string, args ...any) error { return newError(ErrBadIdentity, format, args...) }

func newError(kind error, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail-3], "") + "..." // the cut may be inside a letter
	}
	return &Error{Err: kind, Detail: detail}
}
