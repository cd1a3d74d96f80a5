package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// begin opens a stream and sends one message of targets.
func begin(t *testing.T, client client, o *tcpshakerv1.CheckOptions, targets ...string) tcpshakerv1.ShakerService_StreamCheckClient {
	t.Helper()
	stream, err := client.StreamCheck(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) > 0 {
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targets, Options: o}); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// collect reads a stream to its end. It fails if a target is answered twice.
func collect(t *testing.T, stream tcpshakerv1.ShakerService_StreamCheckClient) (map[uint64]tcpshakerv1.Reason, error) {
	t.Helper()
	reasons := make(map[uint64]tcpshakerv1.Reason)
	err := readToEnd(stream, func(response *tcpshakerv1.StreamCheckResponse) {
		for _, r := range response.Results {
			if _, twice := reasons[r.Index]; twice {
				t.Errorf("target %d is answered twice", r.Index)
			}
			reasons[r.Index] = r.Reason
		}
	})
	return reasons, err
}

// TestDrainAnswersWhatWasRead: a stream that a drain ends has answered all that it had read: handshakes in flight, attempts that
// begin later, names under way. What comes after is not probed.
func TestDrainAnswersWhatWasRead(t *testing.T) {
	resolver := &fakeResolver{names: map[string][]string{"late.test.": {"192.0.2.3"}}}
	fake := byAddress(script{
		"192.0.2.1:80": silence,
		"192.0.2.2:80": func(_ shaker.Probe, before int) reply {
			if before == 0 {
				return noPorts() // so another attempt begins 200 ms later
			}
			return open()
		},
		"192.0.2.3:80": answers(refused()),
		"192.0.2.9:80": answers(open()),
	})
	bubble(t, Config{Prober: fake, Resolver: resolver}, func(t *testing.T, client client, s *Server) {
		resolver.gate = make(chan struct{}) // of the bubble
		stream := begin(t, client, &tcpshakerv1.CheckOptions{Attempts: 2, Timeout: durationpb.New(time.Second)}, "192.0.2.1:80", "192.0.2.2:80", "late.test:80")
		synctest.Wait()
		began := time.Now()
		s.Drain()
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(resolver.gate) })
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.9:80"}}); err != nil {
			t.Fatal(err)
		}
		answered, err := collect(t, stream)
		_, _, retry := wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if d := retry.GetRetryDelay().AsDuration(); d != drainRetryDelay {
			t.Errorf("retry after %v, want %v", d, drainRetryDelay)
		}
		if len(answered) != 3 || answered[0] != timeout || answered[1] != synAck || answered[2] != rst {
			t.Errorf("answers %v", answered)
		}
		if n := len(fake.times("192.0.2.9:80")); n != 0 {
			t.Error("a target that came after the drain was probed")
		}
		if took := time.Since(began); took != 2*time.Second { // two silences
			t.Errorf("ended after %v", took)
		}
	})
}

// TestDrainIsBounded: what has no answer 4 s after the drain is left unanswered, and what has one by then is sent.
func TestDrainIsBounded(t *testing.T) {
	late := open()
	late.after = 4*time.Second - time.Microsecond
	fake := byAddress(script{"192.0.2.1:80": answers(late)}) // others hang
	bubble(t, Config{Prober: fake}, func(t *testing.T, client client, s *Server) {
		stream := begin(t, client, &tcpshakerv1.CheckOptions{}, "192.0.2.1:80", "192.0.2.9:80")
		synctest.Wait()
		began := time.Now()
		s.Drain()
		answered, err := collect(t, stream)
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if len(answered) != 1 || answered[0] != synAck {
			t.Errorf("answers %v", answered)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestHalfCloseInADrain: of a stream whose caller has sent all, and is answered, there is nothing to ask again: it ends with OK.
func TestHalfCloseInADrain(t *testing.T) {
	bubble(t, Config{Prober: byAddress(script{"192.0.2.1:80": silence})}, func(t *testing.T, client client, s *Server) {
		before, after := begin(t, client, nil, "192.0.2.1:80"), begin(t, client, nil, "192.0.2.1:80")
		before.CloseSend()
		synctest.Wait()
		s.Drain()
		synctest.Wait()
		after.CloseSend()
		for _, stream := range []tcpshakerv1.ShakerService_StreamCheckClient{before, after} {
			if answered, err := collect(t, stream); err != nil || len(answered) != 1 {
				t.Errorf("answers %v, %v", answered, err)
			}
		}
	})
}

// TestDrainOfHeldTargets: targets of a message that wait for a rate are answered as it allows, until the drain is over. The others
// are not probed.
func TestDrainOfHeldTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := always(open())
		client, s, stop := startStoppable(t, Config{Prober: fake, Access: rated(t, 10, 10)})
		defer stop()
		stream := begin(t, client, nil, targetsOf(100)...)
		synctest.Wait()
		s.Drain()
		answered, err := collect(t, stream)
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if len(answered) != 40 || fake.total() != 40 { // 10 at once, and 10 after each second
			t.Errorf("%d targets are answered, and %d probed", len(answered), fake.total())
		}
	})
}

// TestOldConnectionKeepsItsStreams: a connection past its age takes no new RPC, and ends none.
func TestOldConnectionKeepsItsStreams(t *testing.T) {
	bubble(t, Config{Prober: always(open()), StreamAge: -1}, func(t *testing.T, client client, _ *Server) {
		stream := begin(t, client, nil)
		for n := range 50 {
			time.Sleep(10 * time.Minute)
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatalf("after %d messages: %v", n, err)
			}
		}
		stream.CloseSend()
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// TestStreamAge: a stream of that age, give or take a tenth, ends in order: all that it has read is answered, then UNAVAILABLE. Its
// caller may come again at once.
func TestStreamAge(t *testing.T) {
	for _, tt := range []struct{ age, want time.Duration }{
		{0, DefaultStreamAge}, {time.Minute, time.Minute}, {time.Second, time.Second},
	} {
		fake := byAddress(script{"192.0.2.1:80": silence, "192.0.2.2:80": answers(open())})
		bubble(t, Config{Prober: fake, StreamAge: tt.age}, func(t *testing.T, client client, _ *Server) {
			var took []time.Duration
			for range 50 {
				began := time.Now()
				_, err := collect(t, begin(t, client, nil))
				took = append(took, time.Since(began))
				_, _, retry := wantStatus(t, err, codes.Unavailable, ReasonStreamAge)
				if retry == nil || retry.GetRetryDelay().AsDuration() != 0 {
					t.Errorf("retry %v", retry)
				}
			}
			if least, most := slices.Min(took), slices.Max(took); least < tt.want*9/10 || most > tt.want*11/10 || most-least < tt.want/20 {
				t.Errorf("%v: streams ended after %v to %v", tt.age, least, most)
			}

			began := time.Now()
			stream := begin(t, client, nil, "192.0.2.2:80")
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(tt.want * 8 / 10)
			o := &tcpshakerv1.CheckOptions{Attempts: 16}
			if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: []string{"192.0.2.1:80"}, Options: o}); err != nil {
				t.Fatal(err)
			}
			answered, err := collect(t, stream)
			wantStatus(t, err, codes.Unavailable, ReasonStreamAge)
			if answered[1] != timeout {
				t.Errorf("answers %v", answered)
			}
			if took, want := time.Since(began), tt.want*8/10+16*shaker.DefaultTimeout; took < want || took > max(want, tt.want*11/10) {
				t.Errorf("ended after %v, want %v", took, want)
			}
		})
	}
}

// TestStreamAgeAnswersHeldTargets: at its age a stream has no bound: also what waits for a rate is answered.
func TestStreamAgeAnswersHeldTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, stop := startStoppable(t, Config{Prober: always(open()), Access: rated(t, 10, 10), StreamAge: time.Second})
		defer stop()
		answered, err := collect(t, begin(t, client, nil, targetsOf(100)...))
		wantStatus(t, err, codes.Unavailable, ReasonStreamAge)
		if len(answered) != 100 {
			t.Errorf("%d targets are answered", len(answered))
		}
	})
}

// TestDrainOfAnOldStream: a drain bounds also a stream that its age is ending.
func TestDrainOfAnOldStream(t *testing.T) {
	bubble(t, Config{Prober: always(hanging()), StreamAge: time.Second}, func(t *testing.T, client client, s *Server) {
		stream := begin(t, client, nil, "192.0.2.1:80")
		time.Sleep(time.Minute)
		began := time.Now()
		s.Drain()
		_, err := collect(t, stream)
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestOldStreamIsNoWarning: the line of a stream that ended by its age is INFO, that of a drained one WARN.
func TestOldStreamIsNoWarning(t *testing.T) {
	for _, tt := range []struct {
		end  func(*Server)
		want slog.Level
	}{
		{func(*Server) { time.Sleep(time.Minute) }, slog.LevelInfo},
		{(*Server).Drain, slog.LevelWarn},
	} {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		bubble(t, Config{Prober: always(open()), StreamAge: time.Second, Logger: log}, func(t *testing.T, client client, s *Server) {
			stream := begin(t, client, nil)
			synctest.Wait()
			tt.end(s)
			if _, err := collect(t, stream); err == nil {
				t.Error("no error")
			}
		})
		if want := "level=" + tt.want.String() + " msg=rpc"; !strings.Contains(lines.String(), want) {
			t.Errorf("want %s, not %s", want, &lines)
		}
	}
}

// TestUnreadableMessageOfAnOldStream: a stream that retires still looks at one message. If it cannot
// be read, the caller gets its status, and the line in the log has the level of that.
func TestUnreadableMessageOfAnOldStream(t *testing.T) {
	one, err := proto.Marshal(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(1)})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		message     []byte
		code, level string
	}{
		"no protobuf": {[]byte{0xff, 0xff}, "Internal", "WARN"},
		"too large":   {make([]byte, maxRequest+1), "ResourceExhausted", "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines logBuffer
				p := serve(t, Config{Prober: always(hanging()), StreamAge: time.Second, Logger: jsonLog(&lines)})
				defer p.stop()
				stream, err := p.dial(t, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}))).NewStream(
					t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.SendMsg(one); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // the stream is old, and its target in flight
				if err := stream.SendMsg(tt.message); err != nil {
					t.Fatal(err)
				}
				if err := stream.RecvMsg(nil); status.Code(err).String() != tt.code {
					t.Errorf("the caller got %v, want %v", err, tt.code)
				}
				p.stop()
				wantLine(t, &lines, streamMethod, tt.code, tt.level)
			})
		})
	}
}
