package main

import (
	"encoding/csv"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/CarterTsai/tcp-shaker/client"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// golden are results of all kinds.
var golden = []client.Result{
	{
		Target: "db.example:5432", Verdict: client.Reachable, Reason: client.ReasonSYNACK,
		Address: netip.MustParseAddrPort("192.0.2.7:5432"), RTT: 412 * time.Microsecond, Silence: client.SilenceProven,
		Completed: 1, Attempted: 1, Elapsed: 450 * time.Microsecond,
		Handshakes: []client.Handshake{{
			Address: netip.MustParseAddrPort("192.0.2.7:5432"), Source: netip.MustParseAddrPort("192.0.2.1:40312"),
			Outcome: client.OutcomeOpen, Reason: client.ReasonSYNACK, RTT: 412 * time.Microsecond,
			Elapsed: 450 * time.Microsecond, Queued: time.Millisecond, Silence: client.SilenceProven,
			TCPOptions: client.TCPOptions{Timestamps: true, SACK: true},
		}},
	},
	{
		Index: 1, Target: "[2001:db8::7]:443", Verdict: client.Reachable, Reason: client.ReasonSYNACK,
		Address: netip.MustParseAddrPort("[2001:db8::7]:443"), RTT: 1012 * time.Millisecond, Silence: client.SilenceBroken,
		Completed: 2, Attempted: 3, Elapsed: 3 * time.Second, SYNRetransmits: 1,
	},
	{
		Index: 2, Target: "192.0.2.9:80", Verdict: client.Unreachable, Reason: client.ReasonProhibited,
		Address: netip.MustParseAddrPort("192.0.2.9:80"), Attempted: 1, Elapsed: time.Millisecond,
		Detail: `a firewall said "no", politely`,
		Handshakes: []client.Handshake{{
			Address: netip.MustParseAddrPort("192.0.2.9:80"), Outcome: client.OutcomeUnreachable, Reason: client.ReasonProhibited,
			ICMP: client.ICMP{Type: 3, Code: 13, ReportedBy: netip.MustParseAddr("192.0.2.254")}, Errno: "EHOSTUNREACH",
			SYNRetransmits: 2,
		}},
	},
	{
		Index: 3, Target: "=cmd|' /C calc'!A0\x1b[2J\r\n", Verdict: client.Inconclusive, Reason: client.ReasonInvalidTarget,
		Detail: "\u202eevil",
	},
	{Index: 4, Target: "-1:80", Verdict: client.Inconclusive, Reason: 29, Detail: "@SUM(A1)"},
}

func render(t *testing.T, args string, results ...client.Result) string {
	t.Helper()
	o, err := parseArgs(strings.Fields(args), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	w := newWriter(&b, o)
	for _, r := range results {
		if err := w.write(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTable(t *testing.T) {
	compare(t, render(t, "-f x", golden...), `
TARGET                            VERDICT       REASON              RTT        SILENCE   DONE   ADDRESS                DETAIL
db.example:5432                   reachable     SYN-ACK             412µs      proven    1/1    192.0.2.7:5432
  192.0.2.7:5432 from 192.0.2.1:40312: open, rtt 412µs, elapsed 450µs, queued 1ms, silence proven, timestamps, sack
[2001:db8::7]:443                 reachable     SYN-ACK             1.012s     broken    2/3    [2001:db8::7]:443      SYN sent again once
192.0.2.9:80                      unreachable   prohibited          -          -         0/1    192.0.2.9:80           a firewall said "no", politely
  192.0.2.9:80: unreachable, prohibited, ICMP 3/13 from 192.0.2.254, EHOSTUNREACH, SYN sent again 2 times
=cmd|' /C calc'!A0\x1b[2J\r\n     inconclusive  invalid target      -          -         -      -                      \u202eevil
-1:80                             inconclusive  reason 29           -          -         -      -                      @SUM(A1)
`)
}

// Without a detail a line stays within 120 columns, also with the longest words and IPv6.
func TestTableWidth(t *testing.T) {
	text := render(t, "-f x", client.Result{
		Target: strings.Repeat("x", targetWidth), Verdict: client.Inconclusive, Reason: client.ReasonNameLookupFailed,
		Address: netip.MustParseAddrPort("255.255.255.255:65535"), RTT: 123456 * time.Microsecond, Silence: client.SilenceUnproven,
		Completed: 16, Attempted: 16,
	})
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSpace(strings.TrimSuffix(line, "DETAIL\n"))); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// The first column fits the targets of the command line, up to a bound.
func TestTableFitsArguments(t *testing.T) {
	compare(t, render(t, "a:1", client.Result{Target: "a:1", Verdict: client.Unreachable, Reason: client.ReasonTimedOut}), `
TARGET  VERDICT       REASON              RTT        SILENCE   DONE   ADDRESS                DETAIL
a:1     unreachable   timed out           -          -         -      -
`)
	long := strings.Repeat("x", 100) + ":1"
	header, _, _ := strings.Cut(render(t, long+" a:1", client.Result{Target: long}), "\n")
	if at := strings.Index(header, "VERDICT"); at != maxTarget+2 {
		t.Errorf("the second column begins at %d", at)
	}
}

// A name in letters of several bytes is as wide as it looks.
func TestTableCountsCharacters(t *testing.T) {
	got := render(t, "übergröße:1", client.Result{Target: "übergröße:1", Verdict: client.Inconclusive})
	for line := range strings.Lines(got) {
		if at := strings.IndexAny(line, "Vi"); len([]rune(line[:at])) != 13 {
			t.Errorf("the second column of %q begins elsewhere", line)
		}
	}
}

func TestCSV(t *testing.T) {
	got := render(t, "-o csv a:1", golden...)
	compare(t, got, `
index,target,verdict,reason,address,rtt_seconds,elapsed_seconds,silence,completed,attempted,syn_retransmits,detail
0,db.example:5432,reachable,SYN-ACK,192.0.2.7:5432,0.000412,0.00045,proven,1,1,0,
1,[2001:db8::7]:443,reachable,SYN-ACK,[2001:db8::7]:443,1.012,3,broken,2,3,1,
2,192.0.2.9:80,unreachable,prohibited,192.0.2.9:80,,0.001,,0,1,0,"a firewall said ""no"", politely"
3,'=cmd|' /C calc'!A0\x1b[2J\r\n,inconclusive,invalid target,,,,,0,0,0,\u202eevil
4,'-1:80,inconclusive,reason 29,,,,,0,0,0,'@SUM(A1)
`)
	records, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil || len(records) != len(golden)+1 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// Each line of json is the CheckResult that the service sent, in the words of the .proto file.
func TestJSON(t *testing.T) {
	got := render(t, "-o json a:1", golden...)
	i := 0
	for line := range strings.Lines(got) {
		var m tcpshakerv1.CheckResult
		if err := protojson.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if want := golden[i].Proto(); !proto.Equal(&m, want) {
			t.Errorf("line %d is\n%v, want\n%v", i, &m, want)
		}
		i++
	}
	if i != len(golden) {
		t.Errorf("%d lines", i)
	}
	first, _, _ := strings.Cut(render(t, "-o json a:1", golden[1]), "\n")
	want := `{"index":"1","target":"[2001:db8::7]:443","verdict":"VERDICT_REACHABLE","reason":"REASON_SYN_ACK",` +
		`"address":"[2001:db8::7]:443","rtt":"1.012s","silence":"SILENCE_BROKEN","detail":"","completed":2,"attempted":3,` +
		`"handshakes":[],"elapsed":"3s","syn_retransmits":1}`
	if first != want {
		t.Errorf("got\n%s, want\n%s", first, want)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"plain", "\x1b]0;x\a", "a\xffb", "ü\u202e", "\uFFFD", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := printable(s)
		for _, r := range p {
			if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u202e' {
				t.Fatalf("%q lets %U through", s, r)
			}
		}
		if !utf8.ValidString(p) {
			t.Fatalf("%q is not UTF-8", p)
		}
		if c := cell(s); c != "" && strings.ContainsAny(c[:1], "=+-@\t\r") {
			t.Fatalf("%q is a formula: %q", s, c)
		}
	})
}
