package client

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Every number of the protocol's enums has a name here, and it is the protocol's, in words.
func TestEnumsSayWhatTheProtocolSays(t *testing.T) {
	tests := []struct {
		enum   protoreflect.EnumDescriptor
		prefix string
		name   func(protoreflect.EnumNumber) string
	}{
		{tcpshakerv1.Verdict(0).Descriptor(), "VERDICT_", func(n protoreflect.EnumNumber) string { return Verdict(n).String() }},
		{tcpshakerv1.Reason(0).Descriptor(), "REASON_", func(n protoreflect.EnumNumber) string { return Reason(n).String() }},
		{tcpshakerv1.Silence(0).Descriptor(), "SILENCE_", func(n protoreflect.EnumNumber) string { return Silence(n).String() }},
		{tcpshakerv1.Outcome(0).Descriptor(), "OUTCOME_", func(n protoreflect.EnumNumber) string { return Outcome(n).String() }},
		{
			tcpshakerv1.AddressPolicy(0).Descriptor(), "ADDRESS_POLICY_",
			func(n protoreflect.EnumNumber) string { return AddressPolicy(n).String() },
		},
		{
			tcpshakerv1.IpFamily(0).Descriptor(), "IP_FAMILY_",
			func(n protoreflect.EnumNumber) string { return IPFamily(n).String() },
		},
		{
			tcpshakerv1.EngineMode(0).Descriptor(), "ENGINE_MODE_",
			func(n protoreflect.EnumNumber) string { return EngineMode(n).String() },
		},
	}
	spell := strings.NewReplacer("_", " ", "-", " ")
	for _, tt := range tests {
		values := tt.enum.Values()
		for i := range values.Len() {
			value := values.Get(i)
			want := strings.TrimPrefix(string(value.Name()), tt.prefix)
			got := strings.ToUpper(spell.Replace(tt.name(value.Number())))
			if value.Number() != 0 && got != spell.Replace(want) {
				t.Errorf("%s is called %q", value.Name(), got)
			}
		}
		if name := tt.name(4711); !strings.Contains(name, "4711") {
			t.Errorf("an unknown %s is called %q", tt.enum.Name(), name)
		}
	}
}

// The rule of the decades, in the comment of the enum tcpshaker.v1.Reason.
func TestReasonVerdict(t *testing.T) {
	for n := Reason(-50); n < 200; n++ {
		want := Inconclusive
		switch {
		case n >= 1 && n < 10:
			want = Reachable
		case n >= 10 && n < 20:
			want = Unreachable
		}
		if got := n.Verdict(); got != want {
			t.Errorf("reason %d: %v, want %v", n, got, want)
		}
	}
}

func TestZeroValues(t *testing.T) {
	got := fmt.Sprint([]any{Verdict(0), Silence(0), IPFamily(0)})
	if want := "[verdict 0  both]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// textEnum is an enum and its pointer, which reads text.
type textEnum[T any] interface {
	*T
	encoding.TextUnmarshaler
}

// testText holds the text of an enum to its String, for all numbers that may come.
func testText[T interface {
	~int32
	fmt.Stringer
	encoding.TextMarshaler
}, P textEnum[T]](t *testing.T, known int32, want string) {
	t.Helper()
	for _, number := range append(slices.Collect(func(yield func(int32) bool) {
		for n := int32(-3); n < 60 && yield(n); n++ {
		}
	}), 4711, math.MaxInt32, math.MinInt32) {
		text, err := T(number).MarshalText()
		if err != nil || string(text) != T(number).String() {
			t.Errorf("%T %d: %q, %v", T(0), number, text, err)
		}
		back := T(99)
		if err := P(&back).UnmarshalText(text); err != nil || int32(back) != number {
			t.Errorf("%T %d came back as %d: %v", T(0), number, int32(back), err)
		}
		// As a value and as a key.
		encoded, err := json.Marshal(map[T]T{T(number): T(number)})
		if err != nil {
			t.Fatal(err)
		}
		var decoded map[T]T
		if err := json.Unmarshal(encoded, &decoded); err != nil || decoded[T(number)] != T(number) || len(decoded) != 1 {
			t.Errorf("%s came back as %v: %v", encoded, decoded, err)
		}
	}
	// The number of a known value, as a version to which it was new wrote it.
	kind, _, _ := strings.Cut(T(4711).String(), " 4711")
	value := T(99)
	if err := P(&value).UnmarshalText(fmt.Appendf(nil, "%s %d", kind, known)); err != nil || int32(value) != known {
		t.Errorf("%s %d: %d, %v", kind, known, int32(value), err)
	}
	for _, bad := range []string{
		"nosuch", " reachable", "REACHABLE", "1", kind, kind + " ", kind + " x", kind + " +1", kind + " 01", kind + " 2147483648",
		strings.Repeat("x", 1<<20) + "\x1b[31m",
	} {
		value := T(7)
		err := P(&value).UnmarshalText([]byte(bad))
		if err == nil || int32(value) != 7 {
			t.Errorf("%T %.20q: %d, %v", T(0), bad, int32(value), err)
			continue
		}
		if !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%T %.20q: %.1000v; want %q in it", T(0), bad, err, want)
		}
	}
}

func TestEnumsAsText(t *testing.T) {
	testText[Verdict](t, 2, `"reachable", "unreachable", "inconclusive"`)
	testText[Reason](t, 11, `"SYN-ACK", "refused", "timed out"`)
	testText[Silence](t, 1, `"", "proven", "broken", "unproven"`)
	testText[Outcome](t, 4, `"open", "refused", "unreachable", "timed out"`)
	testText[AddressPolicy](t, 3, `"first", "any", "all"`)
	testText[IPFamily](t, 1, `"both", "IPv4", "IPv6"`)
	testText[EngineMode](t, 2, `"reuse", "fresh"`)
}

// A flag may be an enum.
func TestEnumAsFlag(t *testing.T) {
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	var policy AddressPolicy
	fs.TextVar(&policy, "addresses", FirstAddress, "")
	if policy != FirstAddress {
		t.Errorf("by default %v", policy)
	}
	if err := fs.Parse([]string{"--addresses", "all"}); err != nil || policy != AllAddresses {
		t.Errorf("%v, %v", policy, err)
	}
}
