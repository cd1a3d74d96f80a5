package server

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// TestHostNameThatIsNotUTF8: protobuf sends no other strings, so GetVantage would be INTERNAL for
// every caller.
func TestHostNameThatIsNotUTF8(t *testing.T) {
	for host, want := range map[string]string{
		"edge-1":     "edge-1",
		"caf\xe9-1":  "caf\uFFFD-1",
		"\xff\xfe":   "\uFFFD",
		"\xc3\xa9-1": "é-1",
	} {
		got, err := placeName("", func() (string, error) { return host, nil })
		if err != nil || got != want {
			t.Errorf("host %q: %q, %v; want %q", host, got, err, want)
		}
	}
	if _, err := placeName("", func() (string, error) { return "", errors.New("none") }); err == nil {
		t.Error("a host name that cannot be read")
	}
	if got, err := placeName("given", nil); got != "given" || err != nil {
		t.Errorf("given: %q, %v", got, err)
	}
}

// TestConfigThatIsNotUTF8: New says which field it is, and what of it.
func TestConfigThatIsNotUTF8(t *testing.T) {
	const bad = "caf\xe9"
	for want, c := range map[string]Config{
		`Name "caf\xe9" is not UTF-8`:                   {Name: bad},
		`Version "caf\xe9" is not UTF-8`:                {Version: bad},
		`the key "caf\xe9" of Labels is not UTF-8`:      {Labels: map[string]string{bad: "x"}},
		`the value "caf\xe9" of label "x" is not UTF-8`: {Labels: map[string]string{"x": bad}},
		`the value "caf\xe9" of label "b" is not UTF-8`: {Labels: map[string]string{"a": "x", "b": bad}},
	} {
		c.Prober = always(open())
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// TestInterfaceThatIsNotUTF8: the kernel lets an interface be called anything. Its name comes into
// results as the zone of an address, and in what the engine says of an event of this host.
func TestInterfaceThatIsNotUTF8(t *testing.T) {
	router := netip.MustParseAddr("fe80::1").WithZone("w\xfflan0")
	script := func(p shaker.Probe, _ int) reply {
		r := refused()
		r.Outcome, r.Cause = shaker.Unreachable, shaker.HostUnreachable
		r.ICMP.From = router
		r.Source = netip.AddrPortFrom(router.Next(), 1234)
		return r
	}
	fake := newFake(script)
	fake.stats = shaker.Stats{ModeDetail: "on w\xfflan0", MaxInFlightDetail: "\xff"}
	client, _ := start(t, Config{Prober: fake})
	options := &tcpshakerv1.CheckOptions{Evidence: true}
	response, err := ask(client, t.Context(), options, "[2001:db8::1]:80")
	if err != nil {
		t.Fatal(err)
	}
	if r := response.Results[0]; !strings.Contains(r.Detail, "lan0") || !utf8.ValidString(r.Detail) || !strings.Contains(r.Handshakes[0].Icmp.ReportedBy, "lan0") {
		t.Errorf("result %v", r)
	}
	if read := streamOf(t, client, t.Context(), []string{"[2001:db8::1]:80"})(); read[tcpshakerv1.Reason_REASON_HOST_UNREACHABLE] != 1 {
		t.Errorf("results of a stream: %v", read)
	}
	if _, err := client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{}); err != nil {
		t.Error(err)
	}
}
