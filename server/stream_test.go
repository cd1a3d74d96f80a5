package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// streamAll sends the messages, half-closes, and returns all results.
func streamAll(t *testing.T, client client, messages ...*tcpshakerv1.StreamCheckRequest) []*tcpshakerv1.CheckResult {
	t.Helper()
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	var results []*tcpshakerv1.CheckResult
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := len(response.Results); n == 0 || n > flushResults || n > 1 && proto.Size(response) > flushBytes {
			t.Errorf("a message of %d results, %d bytes", n, proto.Size(response))
		}
		results = append(results, response.Results...)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return results
}

// TestStreamIndexCountsAllTargets: every target sent on the stream is answered exactly once, under its place among all, with
// the options of its own message.
func TestStreamIndexCountsAllTargets(t *testing.T) {
	fake := newFake(func(p shaker.Probe, _ int) reply {
		if p.Addr.Port()%3 == 0 {
			return refused()
		}
		r := open()
		r.after = time.Duration(p.Addr.Port()%5) * 10 * time.Microsecond
		return r
	})
	client, _ := start(t, Config{Prober: fake})
	var messages []*tcpshakerv1.StreamCheckRequest
	var sent []string
	for i := range 50 {
		m := &tcpshakerv1.StreamCheckRequest{}
		for j := range 100 + i {
			m.Targets = append(m.Targets, fmt.Sprintf("192.0.2.%d:%d", i+1, j+1))
		}
		m.Targets = append(m.Targets, "bad")
		if i%2 == 0 {
			m.Options = &tcpshakerv1.CheckOptions{Evidence: true}
		}
		sent = append(sent, m.Targets...)
		messages = append(messages, m)
	}
	answered := make([]bool, len(sent))
	for _, r := range streamAll(t, client, messages...) {
		if r.Index >= uint64(len(sent)) || answered[r.Index] || r.Target != sent[r.Index] {
			t.Fatalf("unexpected: %v", r)
		}
		answered[r.Index] = true
		if r.Target == "bad" {
			continue
		}
		var message, port int
		if _, err := fmt.Sscanf(r.Target, "192.0.2.%d:%d", &message, &port); err != nil {
			t.Fatal(err)
		}
		if wantEvidence := message%2 == 1; (len(r.Handshakes) == 1) != wantEvidence {
			t.Fatalf("%s: %d handshakes told", r.Target, len(r.Handshakes))
		}
		if (port%3 == 0) != (r.Reason == rst) || r.Address != r.Target {
			t.Fatalf("got %v", r)
		}
	}
	if i := slices.Index(answered, false); i >= 0 {
		t.Errorf("target %d has no answer", i)
	}
}

// TestOutstandingBound: "The service reads no further while the limit of outstanding targets is reached", by more than one
// message, whatever the caller writes; and goes on when results are taken.
func TestOutstandingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		fake := always(hanging())
		client, _, stop := startStoppable(t, Config{Prober: fake, Limits: Limits{OutstandingPerStream: 100}})
		defer stop()
		stream, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(gate)
			for range 20 {
				if stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: slices.Repeat([]string{"192.0.2.1:80"}, 30)}) != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if n := fake.total(); n != 120 { // 90 leave room for one more message
			t.Errorf("%d targets taken, want 120", n)
		}
		stop()
		<-gate
	})
}

// TestSlowReaderHoldsBackItself: with a caller that never reads, the service stops at its bound, though every target is
// decided at once; a caller that then reads gets all.
func TestSlowReaderHoldsBackItself(t *testing.T) {
	const limit, perMessage, messages = 1000, 100, 400
	fake := always(open())
	// Each answer is about 1 KB, so that 40,000 are far more than all windows hold.
	target := "192.0.2.1:80" + strings.Repeat(" ", 1000)
	synctest.Test(t, func(t *testing.T) {
		client, _, stop := startStoppable(t, Config{Prober: fake, Limits: Limits{OutstandingPerStream: limit}})
		defer stop()
		stream, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		writing := make(chan int)
		go func() {
			written := 0
			for range messages {
				if stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: slices.Repeat([]string{target}, perMessage)}) != nil {
					break
				}
				written++
			}
			stream.CloseSend()
			writing <- written
		}()
		synctest.Wait()
		select {
		case n := <-writing:
			t.Fatalf("all of %d messages were written without a read", n)
		default:
		}
		// Another stream is not held back.
		if got := check(t.Context(), t, client, "192.0.2.1:80", nil); got.Verdict != reachable {
			t.Errorf("got %v", got)
		}
		n := 0
		if err := readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) { n += len(response.Results) }); err != nil {
			t.Fatal(err)
		}
		if written := <-writing; written != messages || n != messages*perMessage {
			t.Errorf("%d messages written, %d results", written, n)
		}
	})
}

// TestDecidedTargetsCountUntilTheirLastHandshake: a target that is certain early is answered at once, and still counts as
// outstanding while it has handshakes in the engine, so that the bound bounds those too.
func TestDecidedTargetsCountUntilTheirLastHandshake(t *testing.T) {
	resolver := &fakeResolver{names: map[string][]string{"two.test.": {"192.0.2.1", "192.0.2.2"}}}
	fake := byAddress(script{"192.0.2.1:80": answers(open()), "192.0.2.2:80": silence})
	bubble(t, Config{Prober: fake, Resolver: resolver, Limits: Limits{OutstandingPerStream: 1}},
		func(t *testing.T, client client, _ *Server) {
			stream, err := client.StreamCheck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for range 2 {
				m := &tcpshakerv1.StreamCheckRequest{
					Targets: []string{"two.test:80"},
					Options: &tcpshakerv1.CheckOptions{Addresses: anyOf},
				}
				if err := stream.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			stream.CloseSend()
			for _, want := range []time.Duration{0, shaker.DefaultTimeout} {
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("answered after %v, want %v", took, want)
				}
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			// The half-close was not read before the second silence made room.
			if took := time.Since(began); took != 2*shaker.DefaultTimeout {
				t.Errorf("ended after %v", took)
			}
		})
}

// TestFlush: a message leaves at 256 results, 1 ms after its first result was known, and at once when nothing is under way.
func TestFlush(t *testing.T) {
	fake := newFake(func(p shaker.Probe, _ int) reply {
		r := open()
		r.after = time.Duration(p.Addr.Port()) * time.Microsecond
		return r
	})
	bubble(t, Config{Prober: fake}, func(t *testing.T, client client, _ *Server) {
		for _, test := range []struct {
			name  string
			ports []int // µs after which each is answered
			want  []int // results to a message
			at    []time.Duration
		}{
			{"at once", []int{10}, []int{1}, []time.Duration{10}},
			{"after 1 ms", []int{10, 500, 1000, 5000}, []int{3, 1}, []time.Duration{1010, 5000}},
			{"at 256", append(slices.Repeat([]int{10}, 300), 5000), []int{256, 44, 1}, []time.Duration{10, 1010, 5000}},
		} {
			stream, err := client.StreamCheck(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m := &tcpshakerv1.StreamCheckRequest{}
			for _, port := range test.ports {
				m.Targets = append(m.Targets, fmt.Sprintf("192.0.2.1:%d", port))
			}
			began := time.Now()
			if err := stream.Send(m); err != nil {
				t.Fatal(err)
			}
			for i, want := range test.want {
				response, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				n, at, due := len(response.Results), time.Since(began), test.at[i]*time.Microsecond
				if n != want || at != due {
					t.Errorf("%s: message %d: %d results after %v, want %d after %v", test.name, i, n, at, want, due)
				}
			}
			stream.CloseSend()
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		}
	})
}

// TestStreamDeadline: "A deadline works as for Check." What is sent when the time for work is over is answered at once, and a
// half-close still ends the stream with OK.
func TestStreamDeadline(t *testing.T) {
	bubble(t, Config{Prober: always(hanging())}, func(t *testing.T, client client, _ *Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := client.StreamCheck(ctx)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, attempted := range []uint32{1, 0} {
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}}); err != nil {
				t.Fatal(err)
			}
			response, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if got := response.Results[0]; got.Reason != cutOff || got.Verdict != inconclusive || got.Attempted != attempted {
				t.Errorf("got %v", got)
			}
			if took := time.Since(began); took < 900*time.Millisecond || took > 901*time.Millisecond {
				t.Errorf("answered after %v", took)
			}
		}
		stream.CloseSend()
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// TestPageBytes: a message stays within 256 KiB unless one result alone exceeds it, and no result is lost or sent twice.
func TestPageBytes(t *testing.T) {
	var sizes []int
	var indices []uint64
	p := &page{send: func(m *tcpshakerv1.StreamCheckResponse) error {
		sizes = append(sizes, proto.Size(m))
		for _, r := range m.Results {
			indices = append(indices, r.Index)
		}
		return nil
	}}
	lengths := []int{100, 200 << 10, 100 << 10, 1 << 20, 10, 255 << 10, 1, 1, 256 << 10}
	for i, length := range lengths {
		task := &task{index: uint64(i), text: strings.Repeat("x", length)}
		p.slot(0).fill(task, finding{reason: invalid})
		if err := p.written(); err != nil {
			t.Fatal(err)
		}
	}
	if p.pending() > 0 {
		p.flush()
	}
	if len(indices) != len(lengths) || !slices.IsSorted(indices) || slices.Compact(slices.Clone(indices))[len(indices)-1] != uint64(len(lengths)-1) {
		t.Errorf("sent %v", indices)
	}
	for _, size := range sizes {
		if size > flushBytes && !slices.Contains(lengths, size-size%(1<<10)) {
			t.Errorf("a message of %d bytes", size)
		}
	}
}

// TestDrain: "running Checks may finish; running streams, and new RPCs, end with UNAVAILABLE".
func TestDrain(t *testing.T) {
	bubble(t, Config{Prober: byAddress(script{"192.0.2.1:80": silence})}, func(t *testing.T, client client, s *Server) {
		stream, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.9:80"}}); err != nil {
			t.Fatal(err)
		}
		checked := make(chan *tcpshakerv1.CheckResult, 1)
		go func() { checked <- check(t.Context(), t, client, "192.0.2.1:80", nil) }()
		synctest.Wait()

		s.Drain()
		s.Drain()
		_, err = stream.Recv()
		if _, _, retry := wantStatus(t, err, codes.Unavailable, ReasonDraining); retry == nil {
			t.Error("no RetryInfo")
		}
		_, err = client.Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: []string{"192.0.2.1:80"}})
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		_, err = client.GetVantage(t.Context(), &tcpshakerv1.GetVantageRequest{})
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		late, err := client.StreamCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = late.Recv()
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if got := <-checked; got.Reason != timeout {
			t.Errorf("the running Check: %v", got)
		}
	})
}
