package server

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestKeepalive: a client that pings every 5 s keeps its connection, with and without a stream,
// also where a ping comes a second early. One that pings more often than every 4 s loses it. The
// clock is synctest's, and the pings are frames of the test's own: gRPC's Go client does not ping
// more often than every 10 s.
func TestKeepalive(t *testing.T) {
	for _, tt := range []struct {
		name   string
		every  time.Duration
		early  time.Duration // every other ping comes so much earlier
		stream bool
		kept   bool
	}{
		{"5 s", 5 * time.Second, 0, false, true},
		{"5 s, with a stream", 5 * time.Second, 0, true, true},
		{"5 s, unsteady", 5 * time.Second, 900 * time.Millisecond, false, true},
		{"5 s, unsteady, with a stream", 5 * time.Second, 900 * time.Millisecond, true, true},
		{"10 s, unsteady", 10 * time.Second, 10 * time.Millisecond, true, true},
		{"3.9 s", 3900 * time.Millisecond, 0, false, false},
		{"3.9 s, with a stream", 3900 * time.Millisecond, 0, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := serve(t, Config{Prober: always(open())})
				defer p.stop()
				conn, err := p.listener.DialContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				f := http2.NewFramer(conn, conn)
				_, err = conn.Write([]byte(http2.ClientPreface))
				if err := errors.Join(err, f.WriteSettings()); err != nil {
					t.Fatal(err)
				}
				if tt.stream {
					if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: streamHeaders(t), EndHeaders: true}); err != nil {
						t.Fatal(err)
					}
				}
				pongs, goAway := 0, http2.ErrCodeNo
				over := make(chan struct{})
				go func() {
					defer close(over)
					for {
						frame, err := f.ReadFrame()
						if err != nil {
							return
						}
						switch frame := frame.(type) {
						case *http2.GoAwayFrame:
							goAway = frame.ErrCode
						case *http2.PingFrame:
							if frame.IsAck() {
								pongs++
							}
						}
					}
				}()
				const pings = 100
				for i := range pings {
					time.Sleep(tt.every - tt.early*time.Duration(i%2))
					if f.WritePing(false, [8]byte{1}) != nil {
						break
					}
				}
				synctest.Wait()
				if kept := pongs == pings && goAway == http2.ErrCodeNo; kept != tt.kept {
					t.Errorf("%d of %d pings answered, GOAWAY %v; want it kept: %t", pongs, pings, goAway, tt.kept)
				}
				if !tt.kept && goAway != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("GOAWAY %v", goAway)
				}
				conn.Close()
				<-over
			})
		})
	}
}

// streamHeaders returns the headers of a StreamCheck.
func streamHeaders(t *testing.T) []byte {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [...][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", streamMethod},
		{":authority", "bufconn"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return block.Bytes()
}
