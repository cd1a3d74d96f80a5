//go:build !race

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	checkMethod  = "/tcpshaker.v1.ShakerService/Check"
	streamMethod = "/tcpshaker.v1.ShakerService/StreamCheck"
	healthMethod = "/grpc.health.v1.Health/Check"
	watchMethod  = "/grpc.health.v1.Health/Watch"
)

// frames is a client that writes HTTP/2 as it likes, and reads all that comes, to count it. Writes are buffered until flush, and fail
// once the server has had enough; a write that does not come to its end in 2 s has failed as well.
type frames struct {
	conn    net.Conn
	out     bytes.Buffer
	framer  *http2.Framer // writes to out
	headers bytes.Buffer
	encoder *hpack.Encoder
	next    uint32 // stream
	token   string
	err     error // the first of flush

	gone chan struct{} // closed when the server has closed the connection
	pong chan struct{} // has a token where a PING was answered

	mu      sync.Mutex
	over    map[uint32]bool // streams that the server has ended
	moved   chan struct{}   // closed when a frame came
	windows map[uint32]int64
	codes   map[http2.ErrCode]int // of GOAWAY and RST_STREAM
}

// dialFrames connects from the evil peer's address, and sends the preface with settings. Without an identity token is empty.
func (s *served) dialFrames(ctx context.Context, token string, settings ...http2.Setting) (*frames, error) {
	raw, err := dialFrom(ctx, evilPeer, s.address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, s.tls())
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	f := &frames{
		conn: conn, next: 1, token: token, gone: make(chan struct{}), pong: make(chan struct{}, 1), moved: make(chan struct{}),
		over: make(map[uint32]bool), windows: map[uint32]int64{0: 65535}, codes: make(map[http2.ErrCode]int),
	}
	f.framer = http2.NewFramer(&f.out, conn)
	f.framer.AllowIllegalWrites = true
	f.encoder = hpack.NewEncoder(&f.headers)
	f.out.WriteString(http2.ClientPreface)
	_ = f.framer.WriteSettings(settings...)
	go f.read()
	return f, f.flush()
}

// close ends the connection and waits for its reader.
func (f *frames) close() {
	f.conn.Close()
	<-f.gone
}

func (f *frames) read() {
	defer close(f.gone)
	in := http2.NewFramer(nil, f.conn)
	in.SetReuseFrames()
	for {
		frame, err := in.ReadFrame()
		if _, ok := errors.AsType[http2.StreamError](err); ok {
			continue
		}
		if err != nil {
			return
		}
		f.mu.Lock()
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			if frame.StreamEnded() {
				f.over[frame.StreamID] = true
			}
		case *http2.RSTStreamFrame:
			f.over[frame.StreamID] = true
			f.codes[frame.ErrCode]++
		case *http2.GoAwayFrame:
			f.codes[frame.ErrCode]++
		case *http2.WindowUpdateFrame:
			f.windows[frame.StreamID] += int64(frame.Increment)
		case *http2.PingFrame:
			if frame.IsAck() {
				select {
				case f.pong <- struct{}{}:
				default:
				}
			}
		}
		close(f.moved)
		f.moved = make(chan struct{})
		f.mu.Unlock()
	}
}

// settled waits until the server has read all that was written, or has closed the connection.
func (f *frames) settled(ctx context.Context) {
	_ = f.framer.WritePing(false, [8]byte{1})
	if f.flush() != nil {
		return
	}
	select {
	case <-f.pong:
	case <-f.gone:
	case <-ctx.Done():
	}
}

// ended is how many streams the server has ended, and a channel that is closed when there may be more.
func (f *frames) ended() (int, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.over), f.moved
}

func (f *frames) isOver(id uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over[id]
}

// seen is how many GOAWAY and RST_STREAM frames came with that code.
func (f *frames) seen(code http2.ErrCode) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.codes[code]
}

// flush writes what is buffered.
func (f *frames) flush() error {
	if f.err == nil {
		_ = f.conn.SetWriteDeadline(time.Now().Add(backTime))
		_, f.err = f.conn.Write(f.out.Bytes())
	}
	f.out.Reset()
	return f.err
}

// block encodes the headers of an RPC, and more: names and values in turn.
func (f *frames) block(method string, more ...string) []byte {
	f.headers.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", "https", ":path", method, ":authority", "127.0.0.1",
		"content-type", "application/grpc", "te", "trailers",
	}, more...)
	if f.token != "" {
		fields = append(fields, "authorization", "Bearer "+f.token)
	}
	for i := 0; i < len(fields); i += 2 {
		_ = f.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return f.headers.Bytes()
}

// field encodes one header.
func (f *frames) field(name, value string) []byte {
	f.headers.Reset()
	_ = f.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true}) // in full, each time
	return f.headers.Bytes()
}

// open buffers the HEADERS of an RPC, and returns its stream.
func (f *frames) open(method string, more ...string) uint32 {
	id := f.next
	f.next += 2
	f.mu.Lock()
	f.windows[id] = 65535
	f.mu.Unlock()
	_ = f.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(method, more...), EndHeaders: true})
	return id
}

// send writes data to a stream as the server's windows allow, until all is written, ctx ends or the connection does. It returns how
// much.
func (f *frames) send(ctx context.Context, id uint32, data []byte) (written int) {
	for written < len(data) && ctx.Err() == nil && f.flush() == nil {
		f.mu.Lock()
		if f.over[id] {
			f.mu.Unlock()
			return written
		}
		n := min(len(data)-written, int(f.windows[0]), int(f.windows[id]), 16384)
		moved := f.moved
		if n > 0 {
			f.windows[0] -= int64(n)
			f.windows[id] -= int64(n)
		}
		f.mu.Unlock()
		if n > 0 {
			_ = f.framer.WriteData(id, false, data[written:written+n])
			written += n
			continue
		}
		select {
		case <-moved:
		case <-f.gone:
			return written
		case <-ctx.Done():
			return written
		}
	}
	_ = f.flush()
	return written
}

// message is a gRPC message with these bytes.
func message(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
}

// requestOf is the message of a Check or StreamCheck of n times the target.
func requestOf(target string, n int) []byte {
	var body []byte
	for range n {
		body = protowire.AppendTag(body, 1, protowire.BytesType)
		body = protowire.AppendString(body, target)
	}
	return message(body)
}
