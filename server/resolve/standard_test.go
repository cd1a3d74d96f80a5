package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDefaultResolver looks up the one name that every machine has a line for in /etc/hosts.
func TestDefaultResolver(t *testing.T) {
	r := NewGroup(Config{}).Request(t.Context())
	r.Lookup("localhost", Any, 1)
	got := <-r.Answers()
	if got.Err != nil || len(got.Addrs) == 0 {
		t.Fatalf("localhost: %+v", got)
	}
	for _, addr := range got.Addrs {
		if !addr.IsLoopback() {
			t.Errorf("localhost is %v", addr)
		}
	}
}

// TestFilesAskNoServer: the half of the standard resolver that knows /etc/hosts fails for what is
// not in it, by itself.
func TestFilesAskNoServer(t *testing.T) {
	files := Default().(*standard).files
	addrs, err := files.LookupNetIP(t.Context(), "ip", "not-in-any-hosts-file")
	if err == nil || !strings.Contains(err.Error(), errNoServers.Error()) {
		t.Errorf("%v, %v; want %v", addrs, err, errNoServers)
	}
}

// TestGivenUpQueriesHoldNoSocket: the end of a lookup closes its connection to a silent name
// server.
func TestGivenUpQueriesHoldNoSocket(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := Default().(*standard).absolute.(*net.Resolver).Dial(ctx, "udp", silent.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading on: %v", err)
	}
}

// TestTimeoutsStayTimeouts: a deadline does not close the connection, so that silence is read as
// such.
func TestTimeoutsStayTimeouts(t *testing.T) {
	conn, other := net.Pipe()
	defer conn.Close()
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	closeCanceled(ctx, conn)
	if err := conn.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a deadline: %v", err)
	}
}

func TestStandardOrder(t *testing.T) {
	var asked []string
	resolver := func(name string, addrs []netip.Addr, err error) Resolver {
		return resolverFunc(func(_ context.Context, network, host string) ([]netip.Addr, error) {
			asked = append(asked, name+" "+network+" "+host)
			return addrs, err
		})
	}
	notFound := &net.DNSError{IsNotFound: true}
	tests := []struct {
		host     string
		filesErr error
		asked    []string
		want     []netip.Addr
	}{
		{"localhost.", nil, []string{"files ip localhost"}, addrs("127.0.0.1")},
		{"redis.", notFound, []string{"files ip redis", "absolute ip redis."}, one},
		{"redis.", errNoServers, []string{"files ip redis", "absolute ip redis."}, one},
		{"redis.", &net.AddrError{}, []string{"files ip redis"}, nil},
		{"www.example.", nil, []string{"absolute ip www.example."}, one},
	}
	for _, tt := range tests {
		asked = nil
		s := &standard{files: resolver("files", addrs("127.0.0.1"), tt.filesErr), absolute: resolver("absolute", one, nil)}
		got, err := s.LookupNetIP(t.Context(), "ip", tt.host)
		if tt.want == nil {
			if !errors.Is(err, tt.filesErr) {
				t.Errorf("%s: %v, %v; want %v", tt.host, got, err, tt.filesErr)
			}
		} else if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.host, got, err, tt.want)
		}
		if !slices.Equal(asked, tt.asked) {
			t.Errorf("%s: asked %q, want %q", tt.host, asked, tt.asked)
		}
	}
}
