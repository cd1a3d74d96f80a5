package client

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// fill sets every field of m, and of the messages in it, to something that is not its zero value. What has a form of its own
// is set by hand, so a field that is added to the protocol and not to this package turns TestRoundTrip red.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for range 2 {
				fill(list.AppendMutable().Message())
			}
		case f.Kind() == protoreflect.MessageKind:
			switch m.Mutable(f).Message().Interface().(type) {
			case *durationpb.Duration:
				m.Set(f, protoreflect.ValueOfMessage(durationpb.New(1234567+100*1000).ProtoReflect()))
			case *timestamppb.Timestamp:
				m.Set(f, protoreflect.ValueOfMessage((&timestamppb.Timestamp{Seconds: 5, Nanos: 6}).ProtoReflect()))
			default:
				fill(m.Mutable(f).Message())
			}
		case f.Kind() == protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(1))
		case f.Kind() == protoreflect.StringKind && strings.HasSuffix(string(f.Name()), "_by"):
			m.Set(f, protoreflect.ValueOfString("2001:db8::1"))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("[2001:db8::7]:443"))
		case f.Kind() == protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(true))
		case f.Kind() == protoreflect.Uint64Kind:
			m.Set(f, protoreflect.ValueOfUint64(1<<63))
		case f.Kind() == protoreflect.Uint32Kind:
			m.Set(f, protoreflect.ValueOfUint32(77))
		default:
			panic("a kind that CheckResult did not have: " + f.Kind().String())
		}
	}
}

// Whatever the service says of a target is in a Result, and in the message that is made of it again.
func TestRoundTrip(t *testing.T) {
	full := new(tcpshakerv1.CheckResult)
	fill(full.ProtoReflect())
	newer := reachable(7, "a:1") // numbers that this version does not know
	newer.Reason, newer.Silence = 9, 99
	newer.Handshakes = []*tcpshakerv1.Handshake{{Address: "192.0.2.1:80", Outcome: 98, Reason: 97}}

	for name, m := range map[string]*tcpshakerv1.CheckResult{"full": full, "bare": reachable(0, "a:1"), "newer": newer} {
		t.Run(name, func(t *testing.T) {
			r, err := newResult(m.GetTarget(), m)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Proto(); !proto.Equal(got, m) {
				t.Errorf("came back as\n%v, was\n%v", got, m)
			}
		})
	}
}

// Proto gives a message that can be sent and printed, whatever the target was.
func TestProtoOfATargetThatIsNotUTF8(t *testing.T) {
	m := Result{Target: "a\xff:80"}.Proto()
	if _, err := proto.Marshal(m); err != nil || m.GetTarget() != "a\uFFFD:80" {
		t.Errorf("target %q, %v", m.GetTarget(), err)
	}
}

func TestVerdictOfAnotherVersion(t *testing.T) {
	tests := []struct {
		verdict tcpshakerv1.Verdict
		reason  tcpshakerv1.Reason
		want    Verdict // 0: ErrProtocol
	}{
		{tcpshakerv1.Verdict_VERDICT_REACHABLE, 1, Reachable},
		{tcpshakerv1.Verdict_VERDICT_REACHABLE, 9, Reachable},  // an unknown reason of its decade
		{tcpshakerv1.Verdict_VERDICT_REACHABLE, 40, Reachable}, // of a decade that does not exist yet
		{tcpshakerv1.Verdict_VERDICT_REACHABLE, 19, 0},         // of another
		{tcpshakerv1.Verdict_VERDICT_UNREACHABLE, 1, 0},        //
		{tcpshakerv1.Verdict_VERDICT_UNREACHABLE, 19, Unreachable},
		{tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE, 29, Inconclusive},
		{tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE, 39, Inconclusive},
		{tcpshakerv1.Verdict_VERDICT_INCONCLUSIVE, 11, 0},
		{tcpshakerv1.Verdict_VERDICT_UNSPECIFIED, 1, Inconclusive}, // unknown verdicts are never reachable
		{99, 1, Inconclusive},
		{-1, 11, Inconclusive},
	}
	for _, tt := range tests {
		m := &tcpshakerv1.CheckResult{Target: "a:1", Verdict: tt.verdict, Reason: tt.reason}
		r, err := newResult("a:1", m)
		if r.Verdict != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("verdict %d, reason %d: %v, %v; want %v", tt.verdict, tt.reason, r.Verdict, err, tt.want)
		}
	}
}

// FuzzResult: no message makes reading it panic, and value xor error.
func FuzzResult(f *testing.F) {
	full := new(tcpshakerv1.CheckResult)
	fill(full.ProtoReflect())
	for _, m := range []*tcpshakerv1.CheckResult{full, reachable(0, "a:1"), {}} {
		encoded, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := new(tcpshakerv1.CheckResult)
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		r, err := newResult(m.GetTarget(), m)
		switch {
		case err != nil && r.Verdict != 0:
			t.Fatalf("%+v with %v", r, err)
		case err == nil && r.Verdict != Reachable && r.Verdict != Unreachable && r.Verdict != Inconclusive:
			t.Fatalf("verdict %v", r.Verdict)
		case err == nil:
			if _, err := proto.Marshal(r.Proto()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
