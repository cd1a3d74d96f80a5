package client

import (
	"fmt"
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
