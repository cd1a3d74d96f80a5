//go:build !race

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// attackTime bounds each attack.
const attackTime = 500 * time.Millisecond

// TestHTTP2Misuse: whatever somebody does with HTTP/2, with an identity or without, an honest caller is answered, memory is bounded,
// and nothing is left of it.
func TestHTTP2Misuse(t *testing.T) {
	s := newPlace(t).serve()
	for _, attack := range []struct {
		name string
		run  func(ctx context.Context, t *testing.T, s *served, token string)
		by   []string // tokens
	}{
		{"rapid reset", rapidReset, []string{"", evilToken}},
		{"many streams", manyStreams, []string{"", evilToken, wideToken}},
		{"slow headers", slowHeaders, []string{""}},
		{"CONTINUATION flood", continuationFlood, []string{""}},
		{"never-read answers", neverRead, []string{"", evilToken}},
		{"1-byte windows", smallWindows, []string{evilToken}},
		{"slow bodies", slowBodies, []string{"", evilToken}},
		{"bodies by the byte", bytewiseBodies, []string{"", evilToken}},
	} {
		for _, token := range attack.by {
			who := map[string]string{"": "a stranger", evilToken: "a caller", wideToken: "a caller with many streams"}[token]
			t.Run(attack.name+" of "+who, func(t *testing.T) {
				s.underAttack(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), attackTime)
					defer cancel()
					attack.run(ctx, t, s, token)
				})
			})
		}
	}
	s.untouched()
}

// connections runs do on n connections at a time, and closes them when all are done.
func (s *served) connections(
	ctx context.Context, t *testing.T, token string, n int, do func(f *frames), settings ...http2.Setting,
) []*frames {
	t.Helper()
	all := make([]*frames, n)
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			patient, cancel := context.WithTimeout(t.Context(), backTime) // that a busy machine is slow ends no attack
			defer cancel()
			f, err := s.dialFrames(patient, token, settings...)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = f
			do(f)
		})
	}
	group.Wait()
	for _, f := range all {
		if f != nil {
			f.close()
		}
	}
	return all
}

// rapidReset opens 20,000 RPCs and resets each at once.
func rapidReset(ctx context.Context, t *testing.T, s *served, token string) {
	const connections, each = 8, 2500
	var sent atomic.Int64
	s.connections(ctx, t, token, connections, func(f *frames) {
		for range each {
			_ = f.framer.WriteRSTStream(f.open(streamMethod), http2.ErrCodeCancel)
			if f.out.Len() > 8192 && f.flush() != nil {
				return
			}
			sent.Add(1)
		}
		f.settled(t.Context()) // whatever time that takes, the attack lasts
	})
	t.Logf("%d resets", sent.Load())
	if sent.Load() != connections*each {
		t.Errorf("%d resets were sent, want %d", sent.Load(), connections*each)
	}
}

// manyStreams opens 150 RPCs on each of 8 connections and leaves them open: more than a connection may have, and than the caller may.
func manyStreams(ctx context.Context, t *testing.T, s *served, token string) {
	const connections, each = 8, 150
	method, most := streamMethod, 0
	switch token {
	case "":
		method, most = watchMethod, 8 // those of one peer without an identity, all connections together
	case evilToken:
		most = evilStreams
	case wideToken:
		most = connections * 100
	}
	patient, cancel := context.WithTimeout(t.Context(), backTime) // on a busy machine answers take their time
	defer cancel()
	var open, refused atomic.Int64
	open.Store(connections * each)
	s.connections(ctx, t, token, connections, func(f *frames) {
		for range each {
			id := f.open(method)
			if token == "" {
				_ = f.framer.WriteData(id, false, message(nil)) // a stream that was sent nothing stays as it is
			}
		}
		_ = f.flush()
		tick := time.NewTicker(5 * time.Millisecond) // the last answers may be other connections'
		defer tick.Stop()
		for before := 0; ; {
			n, moved := f.ended()
			open.Add(int64(before - n))
			before = n
			if open.Load() <= int64(most) {
				break
			}
			select {
			case <-moved:
				continue
			case <-tick.C:
				continue
			case <-patient.Done():
			}
			break
		}
		f.settled(patient)
		refused.Add(int64(f.seen(http2.ErrCodeRefusedStream)))
	})
	t.Logf("%d open, %d refused by their connection", open.Load(), refused.Load())
	if open.Load() > int64(most) {
		t.Errorf("%d RPCs are open, want at most %d", open.Load(), most)
	}
}

// slowHeaders begins HEADERS on 63 connections and never ends them; attackTime is from when all of them stand.
func slowHeaders(_ context.Context, t *testing.T, s *served, token string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*attackTime)
	defer cancel()
	var silent, begun atomic.Int64
	s.connections(ctx, t, token, 63, func(f *frames) {
		_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(checkMethod)[:5]})
		_ = f.flush()
		if begun.Add(1) == 63 {
			time.AfterFunc(attackTime, cancel)
		}
		select {
		case <-ctx.Done():
			silent.Add(1)
		case <-f.gone:
		}
	})
	if silent.Load() != 63 {
		t.Errorf("%d connections were silent", silent.Load())
	}
}

// continuationFlood sends CONTINUATION frames without an end: full ones on every other connection, and empty ones.
func continuationFlood(ctx context.Context, t *testing.T, s *served, token string) {
	const connections, most = 8, 20_000
	var turn, sent, full, empty atomic.Int64
	s.connections(ctx, t, token, connections, func(f *frames) {
		ended, fragment := &empty, []byte(nil)
		if turn.Add(1)%2 == 0 {
			ended, fragment = &full, slices.Clone(f.field("x-filler", strings.Repeat("x", 1000)))
		}
		_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(checkMethod)})
		for range most {
			_ = f.framer.WriteContinuation(1, false, fragment)
			sent.Add(1)
			if f.out.Len() > 16384 && f.flush() != nil {
				break
			}
		}
		_ = f.flush()
		patient, cancel := context.WithTimeout(t.Context(), backTime)
		defer cancel()
		if ended == &empty { // these may stay
			patient = ctx
		}
		select {
		case <-f.gone:
			ended.Add(1)
		case <-patient.Done():
		}
	})
	t.Logf("%d CONTINUATION frames; the server ended %d connections with full ones and %d with empty ones, of 4 each",
		sent.Load(), full.Load(), empty.Load())
	if full.Load() != connections/2 {
		t.Errorf("the server ended %d connections with full frames, want all %d", full.Load(), connections/2)
	}
}

// neverRead asks about a million targets, and has no window for the answers.
func neverRead(ctx context.Context, t *testing.T, s *served, token string) {
	starve(ctx, t, s, token, 0)
}

// smallWindows is neverRead with one byte at a time.
func smallWindows(ctx context.Context, t *testing.T, s *served, token string) {
	starve(ctx, t, s, token, 1)
}

func starve(ctx context.Context, t *testing.T, s *served, token string, window uint32) {
	const connections, streams = 4, 4 // as many as the caller may
	requests := requestOf(s.address, 10_000)
	var all []byte
	for range 1_000_000/10_000/(connections*streams) + 1 {
		all = append(all, requests...)
	}
	var sent atomic.Int64
	s.connections(ctx, t, token, connections, func(f *frames) {
		var ids []uint32
		for range streams {
			ids = append(ids, f.open(streamMethod))
		}
		done := make([]int, len(ids))
		for more := true; more && ctx.Err() == nil && f.err == nil; {
			more = false
			for i, id := range ids {
				turn, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				done[i] += f.send(turn, id, all[done[i]:min(len(all), done[i]+65536)])
				cancel()
				if window > 0 {
					_ = f.framer.WriteWindowUpdate(id, window)
				}
				more = more || done[i] < len(all) && !f.isOver(id)
			}
		}
		for _, n := range done {
			sent.Add(int64(n))
		}
		<-ctx.Done()
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	t.Logf("%d targets' worth of requests were taken in", int(sent.Load())*10_000/len(requests))
}

// slowBodies announces a message of 4 MiB on 63 connections and sends it a byte at a time, at leisure.
func slowBodies(ctx context.Context, t *testing.T, s *served, token string) {
	method := healthMethod
	if token != "" {
		method = checkMethod
	}
	s.connections(ctx, t, token, 63, func(f *frames) {
		id := f.open(method)
		f.send(ctx, id, []byte{0, 0, 0x40, 0, 0})
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && f.err == nil {
			f.send(ctx, id, []byte{0})
			<-tick.C
		}
	})
}

// bytewiseBodies does the same as fast as it can, in DATA frames of one byte, on as many streams as get a place.
func bytewiseBodies(ctx context.Context, t *testing.T, s *served, token string) {
	method, streams := healthMethod, 2
	if token != "" {
		method, streams = checkMethod, 4
	}
	var total atomic.Int64
	s.connections(ctx, t, token, 4, func(f *frames) {
		var ids []uint32
		for range streams {
			id := f.open(method)
			f.send(ctx, id, []byte{0, 0, 0x40, 0, 0})
			ids = append(ids, id)
		}
		for ctx.Err() == nil && f.flush() == nil {
			for _, id := range ids {
				for range 1000 {
					f.mu.Lock()
					ok := f.windows[0] > 0 && f.windows[id] > 0
					if ok {
						f.windows[0]--
						f.windows[id]--
					}
					f.mu.Unlock()
					if !ok {
						break
					}
					_ = f.framer.WriteData(id, false, []byte{0})
					total.Add(1)
				}
			}
		}
		f.settled(t.Context())
	})
	t.Logf("%d DATA frames of a byte", total.Load())
}

// TestSilence: who connects and says nothing, before TLS or after it, is turned out in time; meanwhile all others are served.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := newPlace(t).serve()
	s.underAttack(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var silent []net.Conn
		for i := range 64 {
			conn, err := dialFrom(ctx, evilPeer, s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if i%2 == 0 {
				secured := tls.Client(conn, s.tls())
				if err := secured.HandshakeContext(ctx); err != nil {
					t.Fatal(err)
				}
				conn = secured
			}
			silent = append(silent, conn)
		}
		for i, conn := range silent {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("connection %d is still open", i)
			}
		}
	})
}
