package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
)

// place is a service that Run serves, reached through memory.
type place struct {
	listener *bufconn.Listener
	http     *http.Client // speaks HTTP/2 without TLS
	stop     func()       // ends the service and waits for its end; the test's end calls it too
}

// serve runs the whole service that c describes.
func serve(t *testing.T, c Config) *place {
	t.Helper()
	if c.Logger == nil {
		c.Logger = quiet
	}
	if c.Source == nil {
		c.Source = everySource
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{listener: bufconn.Listen(1 << 20)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, 0, p.listener) }()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.listener.DialContext(ctx) },
		Protocols:   new(http.Protocols),
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	p.http = &http.Client{Transport: transport}
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(p.stop)
	return p
}

// dial returns a gRPC connection to the service.
func (p *place) dial(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:bufconn", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answer is what a call came to.
type answer struct {
	code     codes.Code
	message  string
	details  string // grpc-status-details-bin
	encoding string // of the response
	body     []byte // all messages, with their prefixes
}

// post makes a call whose request is body, as it is, with headers as names and values in turn.
func (p *place) post(t *testing.T, method string, body []byte, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://bufconn"+method, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("content-type", "application/grpc")
	request.Header.Set("te", "trailers")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := p.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got := answer{encoding: response.Header.Get("grpc-encoding")}
	// An RPC can end before all of its request is sent; then the body ends with an error, behind
	// the trailers.
	if got.body, err = io.ReadAll(response.Body); err != nil && response.Header.Get("grpc-status") == "" && len(response.Trailer) == 0 {
		t.Fatal(err)
	}
	trailer := response.Trailer
	if response.Header.Get("grpc-status") != "" {
		trailer = response.Header
	}
	code, err := strconv.Atoi(trailer.Get("grpc-status"))
	if err != nil {
		t.Fatalf("%s ended without a status: %v", method, err)
	}
	got.code, got.message, got.details = codes.Code(code), trailer.Get("grpc-message"), trailer.Get("grpc-status-details-bin")
	return got
}

// frame returns a gRPC message with these bytes.
func frame(packed bool, body []byte) []byte {
	prefix := []byte{0, 0, 0, 0, 0}
	if packed {
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(body)))
	return append(prefix, body...)
}

// packed returns m as a compressed message.
func packed(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return frame(true, zip(t, raw))
}

func zip(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(raw)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
