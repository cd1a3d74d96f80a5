package client

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// set sets v, and what is in it, to something that is not its zero value, each time something else.
func set(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch value := v.Addr().Interface().(type) {
	case *netip.Addr:
		*value = netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})
		return
	case *netip.AddrPort:
		*value = netip.AddrPortFrom(netip.MustParseAddr("fe80::7%eth0"), uint16(*n))
		return
	case *time.Time:
		*value = time.Date(2026, 11, 27, 1, 2, 3, 4000+*n, time.UTC)
		return
	case *time.Duration:
		*value = time.Duration(*n)*time.Second + 1500*time.Microsecond + 1
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			set(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			set(t, v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(int64(1 + *n%3))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		t.Fatalf("a %s, which a Result had not", v.Type())
	}
}

func full(t *testing.T) Result {
	var r Result
	n := 0
	set(t, reflect.ValueOf(&r).Elem(), &n)
	return r
}

// leaves visits v, and what is in it, and reports each field that can be set alone.
func leaves(v reflect.Value, visit func(reflect.Value)) {
	switch {
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			leaves(v.Index(i), visit)
		}
	case v.Kind() == reflect.Struct && strings.HasSuffix(v.Type().PkgPath(), "/client"):
		for i := range v.NumField() {
			leaves(v.Field(i), visit)
		}
	default:
		visit(v)
	}
}

// Whatever a Result holds is in its JSON, and comes back from there.
func TestResultJSONRoundTrip(t *testing.T) {
	same := func(r Result) {
		t.Helper()
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back := full(t) // so that a field that is not in the JSON is seen
		if err := json.Unmarshal(encoded, &back); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s\ncame back as %#v, %v\nwas          %#v", encoded, back, err, r)
		}
	}
	same(Result{})
	same(full(t))
	same(Result{Verdict: 40, Reason: 41, Silence: -42, Handshakes: []Handshake{{Outcome: 43}}}) // of a newer service
	same(Result{Target: "\x1b[31m<&>\u2028\n", Detail: "\"\u009b", Attempted: 3})
	// Each field by itself, and each left out.
	count := 0
	r := full(t)
	leaves(reflect.ValueOf(&r).Elem(), func(v reflect.Value) {
		count++
		before := reflect.ValueOf(v.Interface())
		v.SetZero()
		same(r)
		v.Set(before)
	})
	if count < 30 {
		t.Errorf("only %d fields", count)
	}
}

// The names in the JSON and in the log are those of the protocol, and all of them are there.
func TestResultJSONHasTheProtocolsNames(t *testing.T) {
	var fields func(v any) []string
	fields = func(v any) []string {
		var names []string
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if len(name) > 1 { // not the number of a handshake in a log
					names = append(names, name)
				}
				names = append(names, fields(value)...)
			}
		case []any:
			for _, value := range v {
				names = append(names, fields(value)...)
			}
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	var want []string
	for _, d := range []protoreflect.MessageDescriptor{
		(*tcpshakerv1.CheckResult)(nil).ProtoReflect().Descriptor(), (*tcpshakerv1.Handshake)(nil).ProtoReflect().Descriptor(),
		(*tcpshakerv1.TcpOptions)(nil).ProtoReflect().Descriptor(), (*tcpshakerv1.Icmp)(nil).ProtoReflect().Descriptor(),
	} {
		for i := range d.Fields().Len() {
			want = append(want, string(d.Fields().Get(i).Name()))
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)

	encoded, err := json.Marshal(full(t))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "result", full(t))
	for name, text := range map[string][]byte{"JSON": encoded, "log": log.Bytes()} {
		var decoded map[string]any
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatal(err)
		}
		var root any = decoded
		if name == "log" {
			root = decoded["result"]
		}
		if got := fields(root); !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", name, got, want)
		}
	}
}

// What a Result looks like in each form: unset fields are left out, and a person can read the
// others.
func TestResultForms(t *testing.T) {
	open := Result{
		Target: "shaker.example:443", Verdict: Reachable, Reason: ReasonSYNACK, Address: netip.MustParseAddrPort("192.0.2.7:443"),
		RTT: 1500 * time.Microsecond, Silence: SilenceProven, Completed: 1, Attempted: 1, Elapsed: 1600 * time.Microsecond,
	}
	refused := Result{
		Index: 3, Target: "192.0.2.7:81", Verdict: Unreachable, Reason: ReasonTimedOut, Detail: "no answer", Attempted: 2,
		Address:  netip.MustParseAddrPort("192.0.2.7:81"),
		Observed: time.Date(2026, 11, 27, 1, 2, 3, 5e8, time.UTC),
		Handshakes: []Handshake{{
			Address: netip.MustParseAddrPort("192.0.2.7:81"), Source: netip.MustParseAddrPort("192.0.2.1:4711"),
			Outcome: OutcomeUnreachable, Reason: ReasonHostUnreachable, Errno: "EHOSTUNREACH", Elapsed: time.Second,
			ICMP: ICMP{3, 0, netip.MustParseAddr("192.0.2.1")},
		}},
	}
	for _, tt := range []struct {
		result            Result
		json, text, value string
	}{
		{Result{}, `{"index":0,"target":""}`, ": verdict 0 (reason 0)", `r.index=0 r.target=""`},
		{
			open,
			`{"index":0,"target":"shaker.example:443","verdict":"reachable","reason":"SYN-ACK","address":"192.0.2.7:443",` +
				`"rtt":"1.5ms","silence":"proven","completed":1,"attempted":1,"elapsed":"1.6ms"}`,
			"shaker.example:443: reachable (SYN-ACK), rtt 1.5ms, address 192.0.2.7:443",
			`r.index=0 r.target=shaker.example:443 r.verdict=reachable r.reason=SYN-ACK r.address=192.0.2.7:443 r.rtt=1.5ms ` +
				`r.silence=proven r.completed=1 r.attempted=1 r.elapsed=1.6ms`,
		},
		{
			refused,
			`{"index":3,"target":"192.0.2.7:81","verdict":"unreachable","reason":"timed out","address":"192.0.2.7:81",` +
				`"observed_time":"2026-11-27T01:02:03.5Z","detail":"no answer","completed":0,"attempted":2,"handshakes":[{` +
				`"address":"192.0.2.7:81","source":"192.0.2.1:4711","outcome":"unreachable","reason":"host unreachable",` +
				`"errno":"EHOSTUNREACH","icmp":{"type":3,"code":0,"reported_by":"192.0.2.1"},"elapsed":"1s"}]}`,
			"192.0.2.7:81: unreachable (timed out): no answer",
			`r.index=3 r.target=192.0.2.7:81 r.verdict=unreachable r.reason="timed out" r.address=192.0.2.7:81 ` +
				`r.observed_time=2026-11-27T01:02:03.500Z r.detail="no answer" r.completed=0 r.attempted=2 ` +
				`r.handshakes.0.address=192.0.2.7:81 r.handshakes.0.source=192.0.2.1:4711 r.handshakes.0.outcome=unreachable ` +
				`r.handshakes.0.reason="host unreachable" r.handshakes.0.errno=EHOSTUNREACH r.handshakes.0.icmp.type=3 ` +
				`r.handshakes.0.icmp.code=0 r.handshakes.0.icmp.reported_by=192.0.2.1 r.handshakes.0.elapsed=1s`,
		},
	} {
		encoded, err := json.Marshal(tt.result)
		if err != nil || string(encoded) != tt.json {
			t.Errorf("JSON\n%s, %v; want\n%s", encoded, err, tt.json)
		}
		if got := tt.result.String(); got != tt.text {
			t.Errorf("%q, want %q", got, tt.text)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key != "r" {
				return slog.Attr{}
			}
			return a
		}})).Info("", "r", tt.result)
		if got := strings.TrimSpace(log.String()); got != tt.value {
			t.Errorf("log\n%s; want\n%s", got, tt.value)
		}
	}
	got := refused.Handshakes[0].String()
	if want := "192.0.2.7:81 from 192.0.2.1:4711: unreachable (host unreachable), EHOSTUNREACH, " +
		"ICMP 3/0 from 192.0.2.1, elapsed 1s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (TCPOptions{Timestamps: true, WindowScaling: true}).String(); got != "timestamps, window scaling" {
		t.Errorf("%q", got)
	}
}

// No text of a target or a service gets at the terminal that shows a Result or its log.
func TestResultKeepsTerminalsSafe(t *testing.T) {
	const evil = "\x1b[31m\x07\r\n\x00\x7f\u009b2J\u202e\u2028\xff"
	zone := netip.MustParseAddr("fe80::1").WithZone(evil)
	r := full(t)
	r.Target, r.Detail, r.Address = evil+":80", evil, netip.AddrPortFrom(zone, 80)
	for i := range r.Handshakes {
		h := &r.Handshakes[i]
		h.Address, h.Source, h.Errno, h.ICMP.ReportedBy = r.Address, r.Address, evil, zone
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		logger := slog.New(handler)
		logger.Info("x", "result", r, "handshake", r.Handshakes[0], "icmp", r.Handshakes[0].ICMP)
	}
	for name, text := range map[string]string{
		"Result": r.String(), "Handshake": r.Handshakes[0].String(), "ICMP": r.Handshakes[0].ICMP.String(),
		"log": strings.ReplaceAll(log.String(), "\n", ""),
	} {
		for _, bad := range text {
			if !unicode.IsPrint(bad) || bad == unicode.ReplacementChar {
				t.Errorf("%s has %q: %q", name, bad, text)
				break
			}
		}
	}
	var walk func(v slog.Value)
	walk = func(v slog.Value) {
		if v.Kind() == slog.KindGroup {
			for _, a := range v.Group() {
				walk(a.Value)
			}
		} else if strings.ContainsFunc(v.String(), unicode.IsControl) {
			t.Errorf("the log's value %q", v)
		}
	}
	walk(r.LogValue())
}

// Bad JSON is an error that names what is wrong.
func TestResultJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"verdict":"good"}`:                     `"reachable"`,
		`{"verdict":1}`:                          "verdict",
		`{"rtt":"soon"}`:                         "soon",
		`{"rtt":1500}`:                           "rtt",
		`{"address":"192.0.2.7"}`:                "ip:port",
		`{"handshakes":[{"outcome":"x"}]}`:       `"open"`,
		`{"handshakes":[{"icmp":{"type":300}}]}`: "type",
		`[]`:                                     "array",
	} {
		var r Result
		if err := json.Unmarshal([]byte(text), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
