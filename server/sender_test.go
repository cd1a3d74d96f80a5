package server

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/access"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// stuffed returns a stream whose service cannot send its results: they are more than the windows of
// flow control hold, and the test has read none of them.
func stuffed(t *testing.T, p *place) tcpshakerv1.ShakerService_StreamCheckClient {
	t.Helper()
	const window = 64 << 10 // without it, gRPC lets the window grow
	conn := p.dial(t, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	stream := begin(t, tcpshakerv1.NewShakerServiceClient(conn), nil, targetsOf(10_000)...)
	synctest.Wait()
	return stream
}

// jsonLog returns a log whose lines lines.records decodes.
func jsonLog(lines *logBuffer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// wantLine checks the only line of an RPC. Without a code there must be none.
func wantLine(t *testing.T, lines *logBuffer, method, code, level string) {
	t.Helper()
	var got []map[string]any
	for _, record := range lines.records(t) {
		if record["msg"] == "rpc" && record["method"] == method {
			got = append(got, record)
		}
	}
	switch {
	case code == "" && len(got) == 0:
	case len(got) != 1 || got[0]["code"] != code || got[0]["level"] != level:
		t.Errorf("lines %v, want one of %s with %q, %s", got, method, code, level)
	}
}

// TestStuckReaderEndsByItsAge: a stream whose caller takes no results ends one minute after its age,
// not before, and its caller can learn the status. That is not in order, so the level is WARN.
func TestStuckReaderEndsByItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines logBuffer
		p := serve(t, Config{Prober: always(open()), StreamAge: 10 * time.Minute, Logger: jsonLog(&lines)})
		defer p.stop()
		stream := stuffed(t, p)
		time.Sleep(10*time.Minute*9/10 + 59*time.Second)
		synctest.Wait()
		wantLine(t, &lines, streamMethod, "", "")
		time.Sleep(2*time.Minute + 2*time.Second) // the age has a tolerance of two minutes
		synctest.Wait()
		wantLine(t, &lines, streamMethod, "Unavailable", "WARN")
		answered, err := collect(t, stream)
		wantStatus(t, err, codes.Unavailable, ReasonStreamAge)
		if n := len(answered); n == 0 || n == 10_000 {
			t.Errorf("%d targets are answered: the test does not fill the window", n)
		}
	})
}

// TestSlowReaderKeepsAnOldStream: a caller that takes some results at least every minute gets all of
// them, however long the stream then lasts beyond its age.
func TestSlowReaderKeepsAnOldStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, Config{Prober: always(open()), StreamAge: time.Second})
		defer p.stop()
		began := time.Now()
		stream := stuffed(t, p)
		answered := 0
		for {
			time.Sleep(20 * time.Second) // gRPC opens the window after some messages
			response, err := stream.Recv()
			if err != nil {
				wantStatus(t, err, codes.Unavailable, ReasonStreamAge)
				break
			}
			answered += len(response.Results)
		}
		if answered != 10_000 || time.Since(began) < 10*time.Minute {
			t.Errorf("%d targets are answered in %v", answered, time.Since(began))
		}
	})
}

// TestStuckReaderInADrain: a drain bounds also a stream that cannot send, with the status of a
// drain.
func TestStuckReaderInADrain(t *testing.T) {
	for _, age := range []time.Duration{-1, time.Second} { // the second one retires before the drain
		synctest.Test(t, func(t *testing.T) {
			var lines logBuffer
			p := serve(t, Config{Prober: always(open()), StreamAge: age, Logger: jsonLog(&lines)})
			defer p.stop()
			stream := stuffed(t, p)
			time.Sleep(30 * time.Second)
			go p.stop()
			time.Sleep(drainTime - time.Millisecond)
			synctest.Wait()
			wantLine(t, &lines, streamMethod, "", "")
			time.Sleep(20 * time.Millisecond) // Run looks every 10 ms what still runs
			synctest.Wait()
			wantLine(t, &lines, streamMethod, "Unavailable", "WARN")
			_, err := collect(t, stream)
			wantStatus(t, err, codes.Unavailable, ReasonDraining)
			synctest.Wait()
		})
	}
}

// TestStuckReaderAfterADrain: a Send that begins during the drain is bounded as well, also after
// others that had no such bound.
func TestStuckReaderAfterADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines logBuffer
		late := open()
		late.after = time.Minute
		p := serve(t, Config{
			Prober: newFake(func(probe shaker.Probe, _ int) reply {
				if probe.Addr.Port() == 1 {
					return open()
				}
				return late
			}),
			Logger: jsonLog(&lines),
		})
		defer p.stop()
		const window = 64 << 10
		conn := p.dial(t, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
		stream := begin(t, tcpshakerv1.NewShakerServiceClient(conn), nil, "192.0.2.1:1")
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(10_000)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Second)
		go p.stop()
		time.Sleep(drainTime + 20*time.Millisecond)
		synctest.Wait()
		wantLine(t, &lines, streamMethod, "Unavailable", "WARN")
		answered, err := collect(t, stream)
		wantStatus(t, err, codes.Unavailable, ReasonDraining)
		if n := len(answered); n == 0 || n == 10_000 {
			t.Errorf("%d targets are answered: the test does not fill the window", n)
		}
		synctest.Wait()
	})
}

// TestStuckReaderIsLetGo: a blocked Send does not hold up the end of a stream whose caller is not let
// in any more.
func TestStuckReaderIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines logBuffer
		config := callers(t, caller{name: "edge", allow: []string{everything}})
		control := control(t, config)
		p := serve(t, Config{Prober: always(open()), Access: control, Logger: jsonLog(&lines)})
		defer p.stop()
		const window = 64 << 10
		conn := p.dial(t, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
		stream, err := tcpshakerv1.NewShakerServiceClient(conn).StreamCheck(as(t.Context(), "edge"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&tcpshakerv1.StreamCheckRequest{Targets: targetsOf(10_000)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := control.Update(callers(t, caller{name: "other", allow: []string{everything}})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantLine(t, &lines, streamMethod, "Unauthenticated", "WARN")
		_, err = collect(t, stream)
		wantStatus(t, err, codes.Unauthenticated, ReasonUnauthenticated)
	})
}

// TestLineOfWhatStopCancels: RPCs that are still running when Run closes their connections have a
// line that says so. Their callers did not cancel them.
func TestLineOfWhatStopCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines logBuffer
		p := serve(t, Config{Prober: always(hanging()), Logger: jsonLog(&lines)})
		defer p.stop()
		conn := p.dial(t)
		checked := make(chan error, 1)
		go func() {
			_, err := tcpshakerv1.NewShakerServiceClient(conn).Check(t.Context(), &tcpshakerv1.CheckRequest{Targets: targetsOf(1)})
			checked <- err
		}()
		unread, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, vantageMethod)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.stop()
		if err := <-checked; err == nil {
			t.Error("no error")
		}
		if err := unread.RecvMsg(&tcpshakerv1.GetVantageResponse{}); err == nil || errors.Is(err, io.EOF) {
			t.Error(err)
		}
		wantLine(t, &lines, checkMethod, "Unavailable", "WARN")
		wantLine(t, &lines, vantageMethod, "Unavailable", "WARN")
	})
}

// TestLineOfADrainedWatch: the line of a health watch that a drain ends has the code that its caller
// gets.
func TestLineOfADrainedWatch(t *testing.T) {
	for name, c := range map[string]*access.Control{
		"open": nil, "closed": control(t, callers(t, caller{name: "edge", allow: []string{everything}})),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines logBuffer
				p := serve(t, Config{Prober: always(open()), Access: c, Logger: jsonLog(&lines)})
				defer p.stop()
				watch, err := healthpb.NewHealthClient(p.dial(t)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.stop()
				for err == nil { // SERVING, NOT_SERVING
					_, err = watch.Recv()
				}
				wantStatus(t, err, codes.Unavailable, ReasonDraining)
				wantLine(t, &lines, watchMethod, "Unavailable", "WARN")
			})
		})
	}
}
