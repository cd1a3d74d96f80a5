package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// with returns a good result of target "a:1" that change has made a bad one.
func with(change func(*tcpshakerv1.CheckResult)) *tcpshakerv1.CheckResult {
	m := reachable(0, "a:1")
	m.Handshakes = []*tcpshakerv1.Handshake{{}}
	change(m)
	return m
}

var badResults = map[string]*tcpshakerv1.CheckResult{
	"another target":   with(func(m *tcpshakerv1.CheckResult) { m.Target = "b:1" }),
	"no target":        with(func(m *tcpshakerv1.CheckResult) { m.Target = "" }),
	"index beyond":     with(func(m *tcpshakerv1.CheckResult) { m.Index = 1 }),
	"index far beyond": with(func(m *tcpshakerv1.CheckResult) { m.Index = 1<<64 - 1 }),
	"contradiction":    with(func(m *tcpshakerv1.CheckResult) { m.Reason = tcpshakerv1.Reason_REASON_TIMED_OUT }),
	"bad address":      with(func(m *tcpshakerv1.CheckResult) { m.Address = "a:1" }),
	"negative rtt":     with(func(m *tcpshakerv1.CheckResult) { m.Rtt = durationpb.New(-1) }),
	"invalid elapsed":  with(func(m *tcpshakerv1.CheckResult) { m.Elapsed = &durationpb.Duration{Seconds: 1 << 60} }),
	"invalid time":     with(func(m *tcpshakerv1.CheckResult) { m.ObservedTime = &timestamppb.Timestamp{Nanos: -1} }),
	"bad source":       with(func(m *tcpshakerv1.CheckResult) { m.Handshakes[0].Source = "?" }),
	"negative queued":  with(func(m *tcpshakerv1.CheckResult) { m.Handshakes[0].Queued = durationpb.New(-time.Hour) }),
	"icmp of nobody":   with(func(m *tcpshakerv1.CheckResult) { m.Handshakes[0].Icmp = &tcpshakerv1.Icmp{} }),
	"icmp type": with(func(m *tcpshakerv1.CheckResult) {
		m.Handshakes[0].Icmp = &tcpshakerv1.Icmp{Type: 256, ReportedBy: "192.0.2.1"}
	}),
}

// A service that sends nonsense gives ErrProtocol: no panic, and no result in a place that is not its own.
func TestBadResults(t *testing.T) {
	for name, bad := range badResults {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{
				check: func(context.Context, *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
					return &tcpshakerv1.CheckResponse{Results: []*tcpshakerv1.CheckResult{bad}}, nil
				},
				stream: script(respond(bad)),
			})
			one, err := c.Check(t.Context(), "a:1")
			if !errors.Is(err, ErrProtocol) || one.Target != "" {
				t.Errorf("Check: %+v, %v", one, err)
			}
			all, err := c.CheckAll(t.Context(), []string{"a:1"})
			if !errors.Is(err, ErrProtocol) || all != nil {
				t.Errorf("CheckAll: %+v, %v", all, err)
			}
			failed, _ := errors.AsType[*Error](err)
			if want := []UnansweredTarget{{0, "a:1"}}; failed == nil || !slices.Equal(failed.Unanswered, want) {
				t.Errorf("CheckAll: %+v has no result", failed)
			}
		})
	}
}

// script reads a stream to its end and then sends what it was given, whatever was asked.
func script(responses ...*tcpshakerv1.StreamCheckResponse) func(serverStream) error {
	return func(s serverStream) error {
		for {
			if _, err := s.Recv(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
		}
		for _, r := range responses {
			if err := s.Send(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestBadStreams(t *testing.T) {
	tests := map[string]func(serverStream) error{
		"nothing":           script(),
		"empty message":     script(respond()),
		"one missing":       script(respond(reachable(1, "b:1"))),
		"one twice":         script(respond(reachable(0, "a:1"), reachable(0, "a:1"))),
		"one too many":      script(respond(reachable(0, "a:1"), reachable(1, "b:1"), reachable(2, "c:1"))),
		"swapped":           script(respond(reachable(0, "b:1"), reachable(1, "a:1"))),
		"ends before it is": func(serverStream) error { return nil },
	}
	for name, stream := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{stream: stream})
			results, err := c.CheckAll(t.Context(), []string{"a:1", "b:1"})
			if !errors.Is(err, ErrProtocol) || results != nil {
				t.Errorf("%+v, %v", results, err)
			}
		})
	}
}

// A stream that ends with OK while targets are still to come has not kept its promise, though all sent were answered.
func TestStreamThatEndsBeforeItsTargets(t *testing.T) {
	c := dial(t, &fake{stream: func(s serverStream) error {
		request, err := s.Recv()
		if err != nil {
			return err
		}
		return s.Send(respond(reachable(0, request.GetTargets()[0])))
	}})
	over := make(chan struct{})
	targets := func(yield func(string) bool) {
		if yield("a:1") {
			<-over
		}
	}
	results, err := drain(c.Stream(t.Context(), targets))
	close(over)
	if !errors.Is(err, ErrProtocol) || len(results) != 1 {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestBadChecks(t *testing.T) {
	for name, results := range map[string][]*tcpshakerv1.CheckResult{
		"none": nil,
		"two":  {reachable(0, "a:1"), reachable(1, "a:1")},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{check: func(context.Context, *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
				return &tcpshakerv1.CheckResponse{Results: results}, nil
			}})
			result, err := c.Check(t.Context(), "a:1")
			if !errors.Is(err, ErrProtocol) || result.Target != "" {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

func TestBadVantages(t *testing.T) {
	for name, response := range map[string]*tcpshakerv1.GetVantageResponse{
		"address": {SourceAddresses: []string{"192.0.2.1:80"}},
		"timeout": {Limits: &tcpshakerv1.Limits{MaxTimeout: durationpb.New(-1)}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, &fake{vantage: func(context.Context) (*tcpshakerv1.GetVantageResponse, error) { return response, nil }})
			if _, err := c.Vantage(t.Context()); !errors.Is(err, ErrProtocol) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A sequence of any operations leaves pending and a naive twin of one mind.
func FuzzPending(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 2, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		p := newPending()
		var twin []string // the target of each index; answered ones are empty
		for _, op := range ops {
			if op%2 == 0 {
				p.add([]string{"x"})
				twin = append(twin, "x")
				continue
			}
			index := int(op / 2)
			want := index < len(twin) && twin[index] != ""
			target, err := p.take(uint64(index))
			if (err == nil) != want || (target.text != "") != want {
				t.Fatalf("take(%d): %v, %v", index, target, err)
			}
			if want {
				twin[index] = ""
			}
		}
		if p.complete() == nil {
			t.Fatal("complete before the end")
		}
		p.close()
		if (p.complete() == nil) != !slices.Contains(twin, "x") {
			t.Fatalf("complete: %v", p.complete())
		}
	})
}
