package server

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// TestDecodingIsBounded: a message of 4 MiB with two million targets is decoded no further than it takes to refuse it.
func TestDecodingIsBounded(t *testing.T) {
	const limit = 10_000
	raw := slices.Repeat([]byte{targetsField<<3 | 2, 0}, maxRequest/2)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var request tcpshakerv1.CheckRequest
	if err := newRequestCodec(limit).Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &request); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if len(request.GetTargets()) != limit+1 {
		t.Errorf("%d targets decoded, want %d, so that the handler refuses them", len(request.GetTargets()), limit+1)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d bytes were allocated to refuse a message", used)
	}
}

// FuzzCodec: a message is decoded as gRPC's own codec does it, but for targets beyond the limit.
func FuzzCodec(f *testing.F) {
	for _, n := range []int{0, 1, 3, 4, 5} {
		request := &tcpshakerv1.CheckRequest{Options: &tcpshakerv1.CheckOptions{Attempts: 3}}
		for i := range n {
			request.Targets = append(request.Targets, fmt.Sprint(i))
		}
		raw, err := proto.Marshal(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append(raw, 0xff))
	}
	const limit = 3
	ours, theirs := newRequestCodec(limit), encoding.GetCodecV2(grpcproto.Name)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want tcpshakerv1.CheckRequest
		data := mem.BufferSlice{mem.SliceBuffer(raw)}
		err, wantErr := ours.Unmarshal(data, &got), theirs.Unmarshal(data, &want)
		if len(got.GetTargets()) > limit {
			if len(got.GetTargets()) != limit+1 || wantErr == nil && !slices.Equal(got.GetTargets(), want.GetTargets()[:limit+1]) {
				t.Fatalf("%d targets of %d", len(got.GetTargets()), len(want.GetTargets()))
			}
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && !proto.Equal(&got, &want) {
			t.Fatalf("%v, want %v; %v, want %v", &got, &want, err, wantErr)
		}
	})
}
