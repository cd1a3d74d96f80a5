package identity

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestToken: one header, one scheme, one space, 1 to 4,096 visible characters; all that is wrong is told in the same words, and
// no detail has the token or its hash.
func TestToken(t *testing.T) {
	const right = "correct-horse-battery-staple"
	longest := strings.Repeat("x", maxToken)
	s := newState(t, nil,
		Caller{Name: "edge", TokenSHA256: [][32]byte{HashToken(right), HashToken(longest)}},
		Caller{Name: "core", TokenSHA256: [][32]byte{HashToken("other"), HashToken("!~")}},
		Caller{Name: "odd", TokenSHA256: [][32]byte{ // of what is no token, so that the form alone refuses it
			HashToken("a b"), HashToken("tab\t"), HashToken("ü"), HashToken(longest + "x"), HashToken(strings.Repeat("x", 5000)),
		}},
		Caller{Name: "me", UIDs: []uint32{1000}})
	for _, test := range []struct {
		name   string
		values []string
		want   string // the caller; empty: ErrBadIdentity
	}{
		{"right", []string{"Bearer " + right}, "edge"},
		{"scheme in lower case", []string{"bearer " + right}, "edge"},
		{"scheme in upper case", []string{"BEARER " + right}, "edge"},
		{"another caller's", []string{"Bearer other"}, "core"},
		{"first and last visible character", []string{"Bearer !~"}, "core"},
		{"longest", []string{"Bearer " + longest}, "edge"},
		{"unknown", []string{"Bearer unknown"}, ""},
		{"wrong by one letter", []string{"Bearer " + right[:len(right)-1] + "f"}, ""},
		{"wrong case", []string{"Bearer " + strings.ToUpper(right)}, ""},
		{"cut off", []string{"Bearer " + right[:5]}, ""},
		{"its hash", []string{fmt.Sprintf("Bearer %x", HashToken(right))}, ""},
		{"no header value", []string{""}, ""},
		{"no token", []string{"Bearer"}, ""},
		{"empty token", []string{"Bearer "}, ""},
		{"one byte too long", []string{"Bearer " + longest + "x"}, ""},
		{"5,000 bytes", []string{"Bearer " + strings.Repeat("x", 5000)}, ""},
		{"doubled header", []string{"Bearer " + right, "Bearer " + right}, ""},
		{"doubled header, one empty", []string{"Bearer " + right, ""}, ""},
		{"two in one header", []string{"Bearer " + right + ",Bearer " + right}, ""},
		{"no scheme", []string{right}, ""},
		{"Basic", []string{"Basic " + right}, ""},
		{"two spaces", []string{"Bearer  " + right}, ""},
		{"space before", []string{" Bearer " + right}, ""},
		{"space behind", []string{"Bearer " + right + " "}, ""},
		{"tab for a space", []string{"Bearer\t" + right}, ""},
		{"space inside", []string{"Bearer a b"}, ""},
		{"control byte", []string{"Bearer tab\t"}, ""},
		{"line feed", []string{"Bearer " + right + "\n"}, ""},
		{"NUL", []string{"Bearer " + right + "\x00"}, ""},
		{"DEL", []string{"Bearer " + right + "\x7f"}, ""},
		{"not ASCII", []string{"Bearer ü"}, ""},
		{"scheme that folds to ASCII", []string{"Bear\u0435r " + right}, ""}, // a Cyrillic letter
	} {
		t.Run(test.name, func(t *testing.T) {
			// The connection's own identity never takes the place of a header that is wrong.
			got, err := s.Identify(&Conn{uid: 1000, hasUID: true}, test.values, time.Now())
			if test.want != "" {
				if err != nil || got != (Identity{Name: test.want}) {
					t.Errorf("%+v, %v; want %s", got, err, test.want)
				}
				return
			}
			if got != (Identity{}) {
				t.Errorf("is %+v", got)
			}
			checkBad(t, err)
			detail := detailOf(t, err)
			for _, secret := range []string{right, "other", "unknown", "xxxx", fmt.Sprintf("%x", HashToken(right))[:8]} {
				if strings.Contains(detail, secret) || strings.Contains(err.Error(), secret) {
					t.Errorf("tells %q in %q, %q", secret, err, detail)
				}
			}
		})
	}
}

// checkBad: a bad identity has one sentence, whatever is wrong.
func checkBad(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrBadIdentity) || errors.Is(err, ErrNoIdentity) || err.Error() != ErrBadIdentity.Error() {
		t.Errorf("%v, want ErrBadIdentity in its own words", err)
	}
}

func detailOf(t testing.TB, err error) string {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Detail == "" || len(e.Detail) > maxDetail || strings.Contains(e.Detail, "%!") {
		t.Errorf("%T %+v has no detail, or too much of it", err, e)
		return ""
	}
	return e.Detail
}

// TestTokenIsComparedWithAllHashes: whichever is right, and where none is.
func TestTokenIsComparedWithAllHashes(t *testing.T) {
	var hashes []tokenHash
	for i := range 100 {
		hashes = append(hashes, HashToken(fmt.Sprint(i)))
	}
	for want := -1; want < len(hashes); want++ {
		seen := make(map[string]int)
		got := find(hashes, HashToken(fmt.Sprint(want)), func(x, y []byte) int {
			if len(x) != 32 || len(y) != 32 {
				t.Errorf("compares %d bytes with %d", len(x), len(y))
			}
			seen[string(x)]++
			return subtle.ConstantTimeCompare(x, y)
		})
		if got != want {
			t.Errorf("found at %d, want %d", got, want)
		}
		for i := range hashes {
			if seen[string(hashes[i][:])] != 1 {
				t.Fatalf("token at %d: hash %d was looked at %d times, want once", want, i, seen[string(hashes[i][:])])
			}
		}
	}
}

func TestParseTokenHash(t *testing.T) {
	hash := HashToken("secret")
	text := hex.EncodeToString(hash[:])
	for _, good := range []string{text, strings.ToUpper(text)} {
		if got, err := ParseTokenHash(good); err != nil || got != hash {
			t.Errorf("%s: %x, %v", good, got, err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "the token": "secret-of-mine", "half": text[:32], "long": text + "00", "of sha256sum": text + "  -",
		"not hexadecimal": "zz" + text[2:], "a space": " " + text[1:], "with 0x": "0x" + text[2:],
	} {
		got, err := ParseTokenHash(bad)
		if err == nil || got != ([32]byte{}) {
			t.Errorf("%s: %x, %v", name, got, err)
		} else if len(bad) > 4 && strings.Contains(err.Error(), bad[:4]) {
			t.Errorf("%s: %q repeats what was given", name, err)
		}
	}
}
