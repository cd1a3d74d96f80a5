//go:build foreign

package foreign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tap forwards the connections of one client to the service, and reads the HTTP/2 frames that pass.
type tap struct {
	address  string
	service  string
	listener net.Listener
	running  sync.WaitGroup

	mu          sync.Mutex
	connections int
	client      side // what the client sent
	server      side // what the service sent
	trouble     []error
}

// side counts what one end of the connections sent.
type side struct {
	pings      int            // PINGs that are not answers
	goAways    []string       // of each GOAWAY, its code and debug data
	encodings  map[string]int // RPCs by their grpc-encoding, which is empty without the header
	plain      int            // messages that are not compressed
	compressed int            // messages that are
}

// startTap listens on loopback until the test ends.
func startTap(t *testing.T, service string) *tap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{address: listener.Addr().String(), service: service, listener: listener}
	p.client.encodings, p.server.encodings = make(map[string]int), make(map[string]int)
	p.running.Go(p.serve)
	t.Cleanup(p.stop)
	return p
}

// stop waits until the client or the service has ended each connection.
func (p *tap) stop() {
	p.listener.Close()
	p.running.Wait()
}

func (p *tap) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // stop has closed the listener
		}
		p.mu.Lock()
		p.connections++
		p.mu.Unlock()
		server, err := net.Dial("tcp", p.service)
		if err != nil {
			p.fail(err)
			client.Close()
			continue
		}
		p.running.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { p.forward(server, client, &p.client, len(http2.ClientPreface)) })
			both.Go(func() { p.forward(client, server, &p.server, 0) })
			both.Wait()
			client.Close()
			server.Close()
		})
	}
}

func (p *tap) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = append(p.trouble, err)
}

// forward copies from one end to the other until the first ends, and reads what passes. The first
// preface bytes are not frames.
func (p *tap) forward(to, from net.Conn, sent *side, preface int) {
	frames, w := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		if err := p.read(frames, sent, preface); err != nil {
			p.fail(err)
		}
		_, _ = io.Copy(io.Discard, frames) // after an error too, so that the connection goes on
	}()
	_, _ = io.Copy(to, io.TeeReader(from, w)) // an end that breaks off is for the checks to see
	w.Close()
	<-read
	_ = to.(*net.TCPConn).CloseWrite()
}

// read counts the frames of one end of one connection.
func (p *tap) read(r io.Reader, sent *side, preface int) error {
	if _, err := io.CopyN(io.Discard, r, int64(preface)); err != nil {
		return nil // a connection without a request
	}
	framer := http2.NewFramer(io.Discard, r)
	framer.SetMaxReadFrameSize(1<<24 - 1)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil) // neither end asks for another size
	begun := make(map[uint32]bool)
	bodies := make(map[uint32][]byte)
	for {
		frame, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		switch f := frame.(type) {
		case *http2.PingFrame:
			if !f.IsAck() {
				sent.pings++
			}
		case *http2.GoAwayFrame:
			sent.goAways = append(sent.goAways, fmt.Sprintf("%v %q", f.ErrCode, f.DebugData()))
		case *http2.MetaHeadersFrame:
			if id := f.StreamID; !begun[id] { // later ones are trailers
				begun[id] = true
				sent.encodings[encodingOf(f)]++
			}
		case *http2.DataFrame:
			bodies[f.StreamID] = sent.messages(append(bodies[f.StreamID], f.Data()...))
		}
		p.mu.Unlock()
	}
}

func encodingOf(headers *http2.MetaHeadersFrame) string {
	for _, field := range headers.Fields {
		if field.Name == "grpc-encoding" {
			return field.Value
		}
	}
	return ""
}

// messages counts the complete gRPC messages at the beginning of body, and returns the rest. Each
// begins with a flag, which is 1 for a compressed one, and its length in four bytes.
func (s *side) messages(body []byte) []byte {
	const prefix = 5
	for len(body) >= prefix {
		end := prefix + uint64(binary.BigEndian.Uint32(body[1:]))
		if uint64(len(body)) < end {
			break
		}
		if body[0] == 0 {
			s.plain++
		} else {
			s.compressed++
		}
		body = body[end:]
	}
	return body
}
