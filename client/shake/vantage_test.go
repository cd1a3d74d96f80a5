package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/CarterTsai/tcp-shaker/client"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

var edge = client.Vantage{
	Name: "edge-1", Labels: map[string]string{"zone": "b", "region": "eu-west"}, Version: "v1.2.3",
	EngineMode: client.EngineReuse, EngineModeDetail: "the self-check passed", KernelRelease: "6.18.44",
	SourceAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
	Caller:          "batch",
	Limits: client.Limits{
		TargetsPerMessage: 1024, OutstandingPerStream: 16384, MinTimeout: time.Millisecond, MaxTimeout: time.Minute,
		HandshakesPerSecond: 20000, InFlight: 18336, InFlightDetail: "18336: asked for 65536, descriptors allow 18336",
		CallerHandshakesPerSecond: 100, CallerBurst: 300,
	},
}

func TestVantageTable(t *testing.T) {
	compare(t, vantageTable(edge), `
name                               edge-1
labels                             region=eu-west, zone=b
version                            v1.2.3
engine                             reuse: the self-check passed
kernel                             6.18.44
IPv4 from                          192.0.2.1
IPv6 from                          2001:db8::1
caller                             batch
timeout of a handshake             1ms to 1m
targets in a message               1024
targets outstanding in a stream    16384
all callers: handshakes a second   20000
all callers: handshakes in flight  18336: asked for 65536, descriptors allow 18336
this caller: handshakes a second   100
this caller: handshakes at once    300
this caller: targets outstanding   no limit
this caller: calls at a time       no limit
`)
	compare(t, vantageTable(client.Vantage{
		Name: "\x1b[2J", EngineMode: client.EngineFresh, Limits: client.Limits{InFlight: 7, MaxTimeout: 90 * time.Minute},
	}), `
name                               \x1b[2J
labels                             -
version                            -
engine                             fresh
kernel                             -
IPv4 from                          no address with a route to other machines
IPv6 from                          no address with a route to other machines
caller                             not asked for
timeout of a handshake             0s to 1h30m
targets in a message               0
targets outstanding in a stream    0
all callers: handshakes a second   no limit
all callers: handshakes in flight  7
this caller: handshakes a second   no limit
this caller: handshakes at once    no limit
this caller: targets outstanding   no limit
this caller: calls at a time       no limit
`)
}

// -o json is the message of the .proto file.
func TestVantageJSON(t *testing.T) {
	line, err := appendJSON(nil, edge.Proto())
	if err != nil {
		t.Fatal(err)
	}
	var m tcpshakerv1.GetVantageResponse
	if err := protojson.Unmarshal(line, &m); err != nil || !proto.Equal(&m, edge.Proto()) {
		t.Errorf("%s, %v", line, err)
	}
	if !strings.Contains(string(line), `"in_flight":18336`) || strings.Count(string(line), "\n") != 1 {
		t.Errorf("%s", line)
	}
}

// A vantage that cannot be had is a failed call, and one that cannot be written too.
func TestVantageFails(t *testing.T) {
	closed := closedAddress(t)
	o := shakeWith(t, nil, "vantage", "--server", closed)
	if o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, closed) || !strings.Contains(o.stderr, "(UNAVAILABLE)") {
		t.Errorf("%+v", o)
	}
	o = shakeWith(t, nil, "vantage", "--server", serve(t, byName)) // it does not implement GetVantage
	if o.code != exitFailed || !strings.Contains(o.stderr, "does not know the call: ") {
		t.Errorf("%+v", o)
	}
}

// A deadline that passes while there is no connection, or no answer, says so, and nothing of targets.
func TestVantageDeadline(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o := shakeWith(t, nil, "--server", silent.Addr().String(), "--deadline", "200ms", "vantage")
	if want := "shake: --deadline 200ms is over: still connecting to " + silent.Addr().String() + "\n"; o.stderr != want {
		t.Errorf("%s, want %s", o.stderr, want)
	}
	late := &client.Error{Err: status.Error(codes.DeadlineExceeded, "context deadline exceeded")}
	text := brokenOff(&options{deadline: time.Second, vantage: true}, &service{name: "the service s:1"}, 0, late).Error()
	if text != "--deadline 1s is over: the service s:1 has not answered" {
		t.Error(text)
	}
}
