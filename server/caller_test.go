package server

import (
	"context"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc/peer"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// TestPeerCaller: one caller is one address, or one IPv6 network, whatever the port; a unix socket is one as well.
func TestPeerCaller(t *testing.T) {
	for _, tt := range []struct {
		from net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 2}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, "2001:db8::/64"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::ffff:1"), Port: 2}, "2001:db8::/64"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::1"), Port: 2}, "2001:db8:0:1::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::/64"},
		{&net.UnixAddr{Name: "@", Net: "unix"}, localCaller},
	} {
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: tt.from})
		if got := peerCaller(ctx); got != tt.want {
			t.Errorf("%v is %q, want %q", tt.from, got, tt.want)
		}
	}
	if got := peerCaller(context.Background()); got != localCaller {
		t.Errorf("without a peer: %q", got)
	}
}

// TestProbesAreOfTheirCaller: each RPC opens its batch in the name of the caller, which Config.Caller may give.
func TestProbesAreOfTheirCaller(t *testing.T) {
	for _, tt := range []struct {
		caller func(context.Context) string
		want   string
	}{
		{nil, localCaller}, // bufconn tells no address
		{func(context.Context) string { return "edge" }, "edge"},
	} {
		prober := always(open())
		client, _ := start(t, Config{Prober: prober, Caller: tt.caller})
		if _, err := client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:1"}}); err != nil {
			t.Fatal(err)
		}
		if got := prober.callers; !slices.Equal(got, []string{tt.want}) {
			t.Errorf("callers %q, want %q", got, tt.want)
		}
	}
}
