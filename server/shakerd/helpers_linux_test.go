package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// line is one line of the log, as --log-format json writes it, or what else was printed.
type line struct {
	Msg         string
	Level       string
	Listen      any
	Metrics     string
	Shards      int
	MaxInFlight int `json:"max_in_flight"`
	Rate        float64
	Raw         string `json:"-"`
}

// logOf reads the lines of r until its end, and then closes the channel.
func logOf(r io.Reader) <-chan line {
	lines := make(chan line, 1000) // more than a test writes, so that the writer never waits
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			l := line{Raw: scanner.Text()}
			if json.Unmarshal(scanner.Bytes(), &l) != nil {
				l.Msg = l.Raw
			}
			lines <- l
		}
	}()
	return lines
}

// await returns the next line whose message begins with msg.
func await(t *testing.T, lines <-chan line, msg string) line {
	t.Helper()
	var seen []string
	for l := range lines {
		if strings.HasPrefix(l.Msg, msg) {
			return l
		}
		seen = append(seen, l.Raw)
	}
	t.Fatalf("the log ended without %q: %q", msg, seen)
	return line{}
}

// addresses are where a line says that the service listens.
func (l line) addresses(t *testing.T) []string {
	t.Helper()
	list, ok := l.Listen.([]any)
	if !ok {
		t.Fatalf("no addresses: %s", l.Raw)
	}
	var addresses []string
	for _, a := range list {
		addresses = append(addresses, a.(string))
	}
	return addresses
}

func dial(t *testing.T, address string) tcpshakerv1.ShakerServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return tcpshakerv1.NewShakerServiceClient(conn)
}
