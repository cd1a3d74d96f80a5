package identity

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStateProblems: each problem is one error, and all are told.
func TestStateProblems(t *testing.T) {
	token := HashToken("t")
	for _, test := range []struct {
		name    string
		callers []Caller
		want    []string // parts of the errors' texts, in their order
	}{
		{"nobody", nil, nil},
		{"known by nothing", []Caller{{Name: "a"}}, nil},
		{"one's own twice", []Caller{{
			Name: "a", TLSSANs: []string{"a.example", "A.example"}, TokenSHA256: [][32]byte{token, token},
			UIDs: []uint32{0, 0, math.MaxUint32 - 1},
		}}, nil},
		{"URIs differ by case", []Caller{{Name: "a", TLSSANs: []string{"spiffe://corp/a"}}, {Name: "b", TLSSANs: []string{"spiffe://corp/A"}}}, nil},
		{"wildcard beside its name", []Caller{{Name: "a", TLSSANs: []string{"*.x.example"}}, {Name: "b", TLSSANs: []string{"w.x.example"}}}, nil},
		{"empty name", []Caller{{}, {Name: "a"}, {}}, []string{"caller 1: the name is empty", "caller 3: the name is empty"}},
		{"doubled name", []Caller{{Name: "a"}, {Name: "a"}}, []string{`caller "a": there are two`}},
		{"long name", []Caller{{Name: strings.Repeat("a", 257)}}, []string{"caller 1: the name is longer than 256"}},
		{"control character", []Caller{{Name: "a\nb"}}, []string{"control character"}},
		{"not UTF-8", []Caller{{Name: "a\xff"}}, []string{"not UTF-8"}},
		{
			"one DNS name",
			[]Caller{{Name: "a", TLSSANs: []string{"x.example"}}, {Name: "b", TLSSANs: []string{"X.Example"}}},
			[]string{`callers "a" and "b": both have the SAN "X.Example"`},
		},
		{
			"one URI",
			[]Caller{{Name: "a", TLSSANs: []string{"spiffe://corp/a"}}, {Name: "b", TLSSANs: []string{"SPIFFE://corp/a"}}},
			[]string{`callers "a" and "b": both have the SAN`},
		},
		{
			"one token",
			[]Caller{{Name: "a", TokenSHA256: [][32]byte{token}}, {Name: "b", TokenSHA256: [][32]byte{{1}, token}}},
			[]string{`callers "a" and "b": both have token 2 of the latter`},
		},
		{
			"no token",
			[]Caller{{Name: "a", TokenSHA256: [][32]byte{{}, HashToken(""), HashToken("\n")}}},
			[]string{"token 1: a token's hash is all zeros", "token 2: a token's hash is the one of the empty token", "token 3: "},
		},
		{"one uid", []Caller{{Name: "a", UIDs: []uint32{7}}, {Name: "b", UIDs: []uint32{7}}}, []string{"both have the uid 7"}},
		{"nobody's uid", []Caller{{Name: "a", UIDs: []uint32{math.MaxUint32}}}, []string{"uid 4294967295 stands for nobody"}},
		{"SANs", []Caller{{Name: "a", TLSSANs: []string{
			"", "a b", "192.0.2.1", "::1", "a@b.example", "urn:x:y", ".example", "a..b", "a.example.", "*", "*.", "a.*.example", "**.example",
			"x*.example", "://corp", "spiffe:///edge", "spiffe://", "spiffe://co rp/", "spiffe://corp/%zz", "ü.example",
			strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example", "a.example:443", "a.example/b",
		}}}, slices.Repeat([]string{`caller "a": SAN "`}, 24)},
		{
			"several",
			[]Caller{{Name: "a", TLSSANs: []string{"?"}, UIDs: []uint32{1}}, {Name: "a", UIDs: []uint32{math.MaxUint32}}, {Name: "b", UIDs: []uint32{1}}},
			[]string{`SAN "?"`, "there are two", "stands for nobody", "both have the uid 1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := NewState(test.callers, nil)
			if (s == nil) != (len(test.want) > 0) || (err == nil) != (len(test.want) == 0) {
				t.Fatalf("%v, %v", s, err)
			}
			if err == nil {
				return
			}
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok || len(joined.Unwrap()) != len(test.want) {
				t.Fatalf("want %d problems: %v", len(test.want), err)
			}
			for i, problem := range joined.Unwrap() {
				if !strings.Contains(problem.Error(), test.want[i]) {
					t.Errorf("problem %d is %q, want %q in it", i, problem, test.want[i])
				}
			}
		})
	}
}

// TestStateIsImmutable: what it was made of can be changed afterwards.
func TestStateIsImmutable(t *testing.T) {
	callers := []Caller{{Name: "a", TLSSANs: []string{"a.example"}, TokenSHA256: [][32]byte{HashToken("a")}, UIDs: []uint32{1}}}
	listeners := map[string]*TLS{"l": {}, "nil": nil}
	s, err := NewState(callers, listeners)
	if err != nil {
		t.Fatal(err)
	}
	callers[0].Name, callers[0].TLSSANs[0], callers[0].TokenSHA256[0], callers[0].UIDs[0] = "b", "b.example", HashToken("b"), 2
	clear(listeners)
	if id, err := s.Identify(nil, []string{"Bearer a"}, time.Now()); id.Name != "a" {
		t.Errorf("token: %+v, %v", id, err)
	}
	if id, err := s.Identify(&Conn{uid: 1, hasUID: true}, nil, time.Now()); id.Name != "a" {
		t.Errorf("uid: %+v, %v", id, err)
	}
	if s.bySAN["a.example"] != "a" || len(s.bySAN) != 1 || len(s.listeners) != 1 || s.listeners["l"] == nil {
		t.Errorf("%+v", s)
	}
}
