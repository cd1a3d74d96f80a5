package client

import (
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// sentVantage has every field of the message.
func sentVantage() *tcpshakerv1.GetVantageResponse {
	return &tcpshakerv1.GetVantageResponse{
		Name:             "rack-7",
		Labels:           map[string]string{"region": "eu-west"},
		Version:          "v1",
		EngineMode:       tcpshakerv1.EngineMode_ENGINE_MODE_FRESH,
		EngineModeDetail: "asked for",
		SourceAddresses:  []string{"192.0.2.1", "2001:db8::1"},
		KernelRelease:    "6.18.0",
		Limits: &tcpshakerv1.Limits{
			TargetsPerMessage: 1, OutstandingPerStream: 2, MinTimeout: durationpb.New(time.Millisecond),
			MaxTimeout: durationpb.New(time.Minute), HandshakesPerSecond: 3.5, InFlight: 4, InFlightDetail: "4: why",
			CallerHandshakesPerSecond: 5.5, CallerBurst: 6, CallerOutstanding: 7, CallerRpcs: 8,
		},
		Caller: "edge",
	}
}

func TestVantage(t *testing.T) {
	c := dial(t, &fake{vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) { return sentVantage(), nil }})
	got, err := c.Vantage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Vantage{
		Name: "rack-7", Labels: map[string]string{"region": "eu-west"}, Version: "v1", EngineMode: EngineFresh,
		EngineModeDetail: "asked for", KernelRelease: "6.18.0",
		SourceAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Limits: Limits{
			TargetsPerMessage: 1, OutstandingPerStream: 2, MinTimeout: time.Millisecond,
			MaxTimeout: time.Minute, HandshakesPerSecond: 3.5, InFlight: 4, InFlightDetail: "4: why",
			CallerHandshakesPerSecond: 5.5, CallerBurst: 6, CallerOutstanding: 7, CallerRPCs: 8,
		},
		Caller: "edge",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A vantage as a message is the message that the service sent.
func TestVantageProto(t *testing.T) {
	for _, sent := range []*tcpshakerv1.GetVantageResponse{sentVantage(), {Limits: &tcpshakerv1.Limits{}}} {
		v, err := newVantage(sent)
		if got := v.Proto(); err != nil || !proto.Equal(got, sent) {
			t.Errorf("%v, %v; want %v", got, err, sent)
		}
	}
}
