package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// targetsField is the number of the field `targets` in both requests.
const targetsField = 1

// requestCodec is gRPC's protobuf codec with a bound on the targets of a message. Two million empty targets fit into a message
// of 4 MiB and make 150 MB of Go; the check of their number, in the handler, comes after that. So of a message with more
// targets than allowed only as much is decoded as the handler needs to refuse it: one more than allowed. Nothing else can be
// done here, as gRPC makes INTERNAL of every error of a codec.
type requestCodec struct {
	encoding.CodecV2
	limit int // targets per message
}

func newRequestCodec(limit int) requestCodec {
	return requestCodec{CodecV2: encoding.GetCodecV2(proto.Name), limit: limit}
}

// Unmarshal implements encoding.CodecV2.
func (c requestCodec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v.(type) {
	case *tcpshakerv1.CheckRequest, *tcpshakerv1.StreamCheckRequest:
	default:
		return c.CodecV2.Unmarshal(data, v)
	}
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	raw := whole.ReadOnlyData()
	return c.CodecV2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw[:upToTargets(raw, c.limit+1)])}, v)
}

// upToTargets returns the length of the beginning of a message that ends with its n-th target: all of a message that has
// fewer, or that is malformed before, which the decoder then finds out.
func upToTargets(raw []byte, n int) int {
	for at := 0; at < len(raw); {
		number, kind, tag := protowire.ConsumeTag(raw[at:])
		if tag < 0 {
			break
		}
		value := protowire.ConsumeFieldValue(number, kind, raw[at+tag:])
		if value < 0 {
			break
		}
		at += tag + value
		if number == targetsField {
			if n--; n == 0 {
				return at
			}
		}
	}
	return len(raw)
}
