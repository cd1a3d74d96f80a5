package server

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/internal/errno"
	"github.com/CarterTsai/tcp-shaker/server/target"
)

// maxAnswer is how large one response message may get, in bytes. gRPC's clients refuse what exceeds 4 MiB, by default and
// after the work was done; it is kept below that to leave room for the frames around it.
const maxAnswer = 3 << 20

// Greatest encoded sizes in bytes of what a CheckResult holds, tags included. All field numbers are below 16, so each tag
// is one byte. TestBoundIsAnUpperBound compares them with proto.Size.
const (
	maxEnum     = 1 + 1             // no enum reaches 128
	maxCount    = 1 + 2             // completed, attempted: at most 256
	maxUint32   = 1 + 5             // a uint32
	maxDuration = 1 + 1 + 1 + 5 + 6 // seconds below 2^35, nanos below 2^30
	maxAddress  = 2 + len("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	maxZone     = len("%") + 15 // IFNAMSIZ less its NUL; the kernel gives one with a link-local router
	maxIcmp     = 1 + 1 + (1 + 2) + (1 + 2) + maxAddress + maxZone
	maxDetailed = 1 + 2 + maxDetail

	// maxHandshake is that of one Handshake within its CheckResult.
	maxHandshake = 1 + 2 + 2*(maxAddress+maxZone) + 3*maxEnum + 3*maxDuration + maxUint32 + (1 + 1 + 4*2) + (2 + errno.MaxName) + maxIcmp

	// maxRest is that of a CheckResult without index, target and handshakes. A detail stands with a verdict other than
	// REACHABLE only, rtt and silence with REACHABLE only, and of the two the detail is longer.
	maxRest = 2*maxEnum + maxAddress + maxDetailed + 2*maxCount + maxDuration + maxUint32
)

// resultBound is an upper bound of the encoded size of a CheckResult within its response.
func resultBound(index uint64, targetLen, handshakes int) int {
	size := 1 + protowire.SizeVarint(index) + lengthed(targetLen) + maxRest + handshakes*maxHandshake
	return lengthed(size)
}

// lengthed is the size of a field of so many bytes with its tag and length.
func lengthed(size int) int { return 1 + protowire.SizeVarint(uint64(size)) + size }

// answerFits reports whether a Check's answer cannot exceed maxAnswer, whatever becomes of its targets.
func answerFits(targets []string, o *options) bool {
	size := 0
	for i, text := range targets {
		if size += targetBound(uint64(i), text, o); size > maxAnswer {
			return false
		}
	}
	return true
}

// targetBound is the resultBound of a target.
func targetBound(index uint64, text string, o *options) int {
	handshakes := 0
	if o.evidence {
		handshakes = o.attempts * addressesAtMost(text, o)
	}
	return resultBound(index, len(text), handshakes)
}

// addressesAtMost is how many addresses of a target can be probed.
func addressesAtMost(text string, o *options) int {
	most := o.addressesAtMost()
	if most == 1 {
		return 1
	}
	if t, err := target.Parse(text); err != nil || t.Name == "" {
		return 1
	}
	return most
}

// resultSize is an upper bound of the encoded size of r within its response, and close to it: it takes small fields at their
// greatest, because a stream asks for it with every result.
func resultSize(r *tcpshakerv1.CheckResult) int {
	size := maxRest - maxDetailed + maxDuration + maxEnum
	size += 1 + protowire.SizeVarint(r.Index) + lengthed(len(r.Target)) + lengthed(len(r.Detail))
	for _, h := range r.Handshakes {
		size += lengthed(proto.Size(h))
	}
	return lengthed(size)
}
