//go:build !race

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// What the honest caller asks: so many workers, a Check of one target each time, one after the other; and a stream.
const (
	honestWorkers = 8
	honestPause   = 8 * time.Millisecond // from the beginning of one Check to that of the next, if it took less
	streamBatch   = 16
	streamPause   = 50 * time.Millisecond
)

// honest is what became of the honest caller's questions.
type honest struct {
	mu     sync.Mutex // protects what follows
	checks []time.Duration
	stream []time.Duration
	late   []time.Duration // how late its own timers were: what the machine, not the service, adds
	wrong  []string

	// limited are targets that came too often to their destination. Where they share a bucket with one that is flooded they do: the
	// seeds of the buckets' hash are random, and in one soak of 200 some do.
	limited map[string]bool
}

// limitedAtMost is how many honest targets may be limited: those of one prefix.
const limitedAtMost = 4

func (h *honest) fail(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.wrong) < 1000 {
		h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
	}
}

// honestTarget returns one after the other of 256 addresses in 64 prefixes; each eighth is of a port where nothing listens.
func honestTarget(i int) (target string, open bool) {
	open = i%8 != 3
	port := soakPort
	if !open {
		port = soakClosed
	}
	addr := netip.AddrFrom4([4]byte{198, 18, byte(i % 64), byte(1 + i/64%4)})
	return netip.AddrPortFrom(addr, uint16(port)).String(), open
}

// judge tells whether a result is what is true of the i-th target.
func (h *honest) judge(i int, r *tcpshakerv1.CheckResult) {
	target, open := honestTarget(i)
	want, reason := tcpshakerv1.Verdict_VERDICT_REACHABLE, tcpshakerv1.Reason_REASON_SYN_ACK
	if !open {
		want, reason = tcpshakerv1.Verdict_VERDICT_UNREACHABLE, tcpshakerv1.Reason_REASON_REFUSED
	}
	switch {
	case r.GetTarget() == target && r.GetReason() == tcpshakerv1.Reason_REASON_RATE_LIMITED:
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.limited == nil {
			h.limited = make(map[string]bool)
		}
		h.limited[target] = true
	case r.GetTarget() != target || r.GetVerdict() != want || r.GetReason() != reason:
		h.fail("%s: %v", target, r)
	}
}

// run asks until stop is closed, and then waits for the answers.
func (h *honest) run(t *testing.T, stop <-chan struct{}) {
	var wg sync.WaitGroup
	for w := range honestWorkers {
		conn := soakDial(t)
		defer conn.Close()
		client := tcpshakerv1.NewShakerServiceClient(conn)
		wg.Go(func() { h.work(as(context.Background(), "edge"), client, w*37, stop) })
	}
	conn := soakDial(t)
	defer conn.Close()
	client := tcpshakerv1.NewShakerServiceClient(conn)
	wg.Go(func() { h.flow(as(context.Background(), "edge"), client, stop) })
	wg.Wait()
}

func (h *honest) work(ctx context.Context, client tcpshakerv1.ShakerServiceClient, i int, stop <-chan struct{}) {
	var took, late []time.Duration
	due := time.Now()
	for {
		due = due.Add(honestPause)
		if now := time.Now(); due.Before(now) {
			due = now
		}
		select {
		case <-stop:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.checks, h.late = append(h.checks, took...), append(h.late, late...)
			return
		case <-time.After(time.Until(due)):
		}
		target, _ := honestTarget(i)
		began := time.Now()
		late = append(late, began.Sub(due))
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // its p99 is judged, and a pause of the machine fails nothing
		got, err := client.Check(ctx, &tcpshakerv1.CheckRequest{Targets: []string{target}})
		took = append(took, time.Since(began))
		cancel()
		if err != nil || len(got.GetResults()) != 1 {
			h.fail("%s: %v, %v", target, got, err)
		} else {
			h.judge(i, got.GetResults()[0])
		}
		i++
	}
}

// flow is one stream: a message now and then, and each answer timed from when its message was sent.
func (h *honest) flow(ctx context.Context, client tcpshakerv1.ShakerServiceClient, stop <-chan struct{}) {
	stream, err := client.StreamCheck(ctx)
	if err != nil {
		h.fail("stream: %v", err)
		return
	}
	var mu sync.Mutex // protects sent
	var sent []time.Time
	go func() {
		defer stream.CloseSend() //nolint:errcheck // Recv tells
		tick := time.NewTicker(streamPause)
		defer tick.Stop()
		for i := 0; ; i += streamBatch {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			targets := make([]string, streamBatch)
			for j := range targets {
				targets[j], _ = honestTarget(i + j)
			}
			mu.Lock()
			sent = append(sent, time.Now())
			mu.Unlock()
			if stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets}) != nil {
				return
			}
		}
	}()
	var took []time.Duration
	for {
		got, err := stream.Recv()
		if err != nil {
			if want := len(sent) * streamBatch; !errors.Is(err, io.EOF) || len(took) != want {
				h.fail("the stream ended with %v after %d of %d results", err, len(took), want)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.stream = took
			return
		}
		now := time.Now()
		mu.Lock()
		for _, r := range got.GetResults() {
			took = append(took, now.Sub(sent[r.GetIndex()/streamBatch]))
			h.judge(int(r.GetIndex()), r)
		}
		mu.Unlock()
	}
}

// spread is what is told of durations.
type spread struct {
	n                  int
	p50, p95, p99, max time.Duration
}

func spreadOf(d []time.Duration) spread {
	if len(d) == 0 {
		return spread{}
	}
	slices.Sort(d)
	return spread{len(d), d[len(d)/2], d[len(d)*95/100], d[len(d)*99/100], d[len(d)-1]}
}

func (s spread) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d, p50 %s, p99 %s, max %s", s.n, round(s.p50), round(s.p99), round(s.max))
}

// soakDial returns a connection that the caller closes.
func soakDial(t *testing.T) *grpc.ClientConn {
	conn, err := grpc.NewClient(soakService, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// as adds the token of a caller.
func as(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+name+soakToken)
}
