package server

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// TestOptionsDefaults: unset means timeout 2 s, one attempt, FIRST, both families.
func TestOptionsDefaults(t *testing.T) {
	want := options{
		timeout: 2 * time.Second, timeoutUnset: true, attempts: 1, addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST,
	}
	for _, o := range []*tcpshakerv1.CheckOptions{nil, {}} {
		if got, wrong := decodeOptions(o, DefaultMaxTimeout); *got != want || wrong != nil {
			t.Errorf("%v: %+v, %v", o, *got, wrong)
		}
	}
	// An operator's lower bound holds for the default too.
	if got, wrong := decodeOptions(nil, time.Second); got.timeout != time.Second || wrong != nil {
		t.Errorf("%+v, %v", *got, wrong)
	}
}

func TestOptionsRanges(t *testing.T) {
	for _, test := range []struct {
		o   *tcpshakerv1.CheckOptions
		bad string // the field, or nothing
	}{
		{&tcpshakerv1.CheckOptions{Timeout: durationpb.New(time.Millisecond)}, ""},
		{&tcpshakerv1.CheckOptions{Timeout: durationpb.New(60 * time.Second)}, ""},
		{&tcpshakerv1.CheckOptions{Timeout: durationpb.New(time.Millisecond - 1)}, "options.timeout"},
		{&tcpshakerv1.CheckOptions{Timeout: durationpb.New(60*time.Second + 1)}, "options.timeout"},
		{&tcpshakerv1.CheckOptions{Timeout: &durationpb.Duration{}}, "options.timeout"},
		{&tcpshakerv1.CheckOptions{Timeout: &durationpb.Duration{Seconds: math.MaxInt64}}, "options.timeout"},
		{&tcpshakerv1.CheckOptions{Timeout: &durationpb.Duration{Seconds: 1, Nanos: 1e9}}, "options.timeout"},
		{&tcpshakerv1.CheckOptions{Attempts: 1}, ""},
		{&tcpshakerv1.CheckOptions{Attempts: 16}, ""},
		{&tcpshakerv1.CheckOptions{Attempts: math.MaxUint32}, "options.attempts"},
		{&tcpshakerv1.CheckOptions{Addresses: tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL}, ""},
		{&tcpshakerv1.CheckOptions{Addresses: 4}, "options.addresses"},
		{&tcpshakerv1.CheckOptions{Addresses: -1}, "options.addresses"},
		{&tcpshakerv1.CheckOptions{IpFamily: tcpshakerv1.IpFamily_IP_FAMILY_IPV6}, ""},
		{&tcpshakerv1.CheckOptions{IpFamily: 3}, "options.ip_family"},
	} {
		_, wrong := decodeOptions(test.o, DefaultMaxTimeout)
		var bad []string
		for _, v := range wrong {
			bad = append(bad, v.field)
		}
		if got := strings.Join(bad, " "); got != test.bad {
			t.Errorf("%v: violations of %q, want %q", test.o, got, test.bad)
		}
	}
}

func TestLimits(t *testing.T) {
	if err := (Limits{}).withDefaults().validate(); err != nil {
		t.Error(err)
	}
	for _, l := range []Limits{
		{TargetsPerMessage: -1},
		{OutstandingPerStream: -1},
		{MaxTimeout: -1},
		{MaxTimeout: MinTimeout - 1},
		{MaxTimeout: DefaultMaxTimeout + 1},
		{LookupsPerRequest: -1},
		{Lookups: -1},
		{Connections: -1},
		{ConnectionsPerPeer: math.MaxInt},
	} {
		if _, err := New(Config{Prober: always(open()), Limits: l}); err == nil {
			t.Errorf("%+v: no error", l)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no prober: no error")
	}
}
