//go:build !race

package main

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// TestHealthIsNoProbe: who has no identity learns of grpc.health.v1 whether the service serves, and of no target anything.
func TestHealthIsNoProbe(t *testing.T) {
	s := newPlace(t).serve()
	conn := s.dial(evilPeer, "")
	health := healthpb.NewHealthClient(conn)
	own := tcpshakerv1.ShakerService_ServiceDesc.ServiceName
	for _, tt := range []struct {
		service string
		want    codes.Code
	}{
		{"", codes.OK},
		{own, codes.OK},
		{"tcp://127.0.0.1:22", codes.Unauthenticated},
		{"tcp://" + s.place.denied.Addr().String(), codes.Unauthenticated},
		{"tcp://" + s.address, codes.Unauthenticated},
		{"TCP://localhost:22", codes.Unauthenticated},
		{"grpc.health.v1.Health", codes.Unauthenticated},
		{own + "/", codes.Unauthenticated},
		{"nobody", codes.Unauthenticated},
	} {
		request := &healthpb.HealthCheckRequest{Service: tt.service}
		answer, err := health.Check(t.Context(), request)
		if status.Code(err) != tt.want || err == nil && answer.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("Check of %q: %v, %v, want %v", tt.service, answer, err, tt.want)
		}
		watch, err := health.Watch(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err = watch.Recv()
		if status.Code(err) != tt.want || err == nil && answer.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("Watch of %q: %v, %v, want %v", tt.service, answer, err, tt.want)
		}
	}
	list, err := health.List(t.Context(), &healthpb.HealthListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(list.Statuses)); !slices.Equal(got, []string{"", own}) {
		t.Errorf("List tells of %q", got)
	}
	if got := s.checkBy(conn); got != codes.Unauthenticated {
		t.Errorf("ShakerService: %v", got)
	}
	s.untouched()
}
