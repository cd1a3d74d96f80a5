package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// instant answers every probe at once with Open, from memory that it uses again: what remains is the service's own cost.
type instant struct{}

func (instant) Stats() shaker.Stats { return shaker.Stats{} }

func (instant) OpenFor(context.Context, string) Batch {
	return &instantBatch{ready: make(chan struct{}, 1)}
}

// instantBatch is for one goroutine, as a session is.
type instantBatch struct {
	ready          chan struct{}
	results, spare []shaker.Result
}

func (b *instantBatch) Add(probes []shaker.Probe) error {
	for _, p := range probes {
		b.results = append(b.results, shaker.Result{
			ID: p.ID, Addr: p.Addr, Outcome: shaker.Open, Silence: shaker.Proven, RTT: time.Millisecond, Elapsed: time.Millisecond,
		})
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return nil
}

func (b *instantBatch) Take() ([]shaker.Result, bool) {
	taken := b.results
	b.results, b.spare = b.spare[:0], taken
	return taken, true
}

func (b *instantBatch) Ready() <-chan struct{} { return b.ready }

func (b *instantBatch) Finish() {}

// feed is a stream that receives the same message over and over, and forgets what is sent on it.
type feed struct {
	grpc.ServerStream
	ctx     context.Context
	message *tcpshakerv1.StreamCheckRequest
	left    int // messages
	sent    int // results
}

func (f *feed) Context() context.Context { return f.ctx }

func (f *feed) Recv() (*tcpshakerv1.StreamCheckRequest, error) {
	if f.left == 0 {
		return nil, io.EOF
	}
	f.left--
	return f.message, nil
}

func (f *feed) Send(m *tcpshakerv1.StreamCheckResponse) error {
	f.sent += len(m.Results)
	return nil
}

func message(size int) *tcpshakerv1.StreamCheckRequest {
	return &tcpshakerv1.StreamCheckRequest{Targets: slices.Repeat([]string{"192.0.2.200:65000"}, size)}
}

// BenchmarkSession is the service's own part of a streamed target: from the decoded message to the result that is handed to
// gRPC. ns/op and allocs/op are per target.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("targets=%d", size), func(b *testing.B) {
			s, err := New(Config{Prober: instant{}, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			f := &feed{ctx: b.Context(), message: message(size), left: (b.N + size - 1) / size}
			want := f.left * size
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.StreamCheck(f); err != nil {
				b.Fatal(err)
			}
			if f.sent != want {
				b.Fatalf("%d results, want %d", f.sent, want)
			}
		})
	}
}

// TestSteadyStateAllocations: what a literal target costs in allocations, once its stream runs, is nothing but its message's.
func TestSteadyStateAllocations(t *testing.T) {
	const size, messages = 256, 400
	s, err := New(Config{Prober: instant{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	run := func(messages int) float64 {
		return testing.AllocsPerRun(3, func() {
			if err := s.StreamCheck(&feed{ctx: t.Context(), message: message(size), left: messages}); err != nil {
				t.Error(err)
			}
		})
	}
	perTarget := (run(messages) - run(messages/4)) / (size * messages * 3 / 4)
	if perTarget > 0.02 { // a few a message: its options, for one
		t.Errorf("%.3f allocations a target", perTarget)
	}
}

// BenchmarkStreamCheck is the whole way over bufconn but for the handshakes. ns/op is wall time per target and contains the
// client's and the server's gRPC, which share the processors.
func BenchmarkStreamCheck(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("targets=%d", size), func(b *testing.B) {
			client, _ := start(b, Config{Prober: instant{}})
			stream, err := client.StreamCheck(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			m := message(size)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for sent := 0; sent < b.N; sent += size {
					if stream.Send(m) != nil {
						return
					}
				}
				stream.CloseSend()
			}()
			for {
				if _, err := stream.Recv(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck is a unary RPC of one target over bufconn, with all interceptors.
func BenchmarkCheck(b *testing.B) {
	client, _ := start(b, Config{Prober: instant{}})
	request := &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.200:65000"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Check(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}
