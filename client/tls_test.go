package client

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
)

// A service and a caller that know each other by certificates talk; a caller without one, or with a wrong one, gets UNAVAILABLE.
func TestMutualTLS(t *testing.T) {
	ours, others := testcert.NewCA("ours"), testcert.NewCA("others")
	address := listen(t, "tcp", "127.0.0.1:0", grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{ours.Certificate("127.0.0.1")},
		ClientCAs:    ours.Pool(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
	})))
	edge := []tls.Certificate{ours.Certificate("edge.corp.example")}
	for name, tt := range map[string]struct {
		config *tls.Config
		want   string // in the error; empty: no error
	}{
		"good":       {&tls.Config{RootCAs: ours.Pool(), Certificates: edge}, ""},
		"wrong CA":   {&tls.Config{RootCAs: others.Pool(), Certificates: edge}, "unknown authority"},
		"no CA":      {&tls.Config{Certificates: edge}, "unknown authority"},
		"wrong name": {&tls.Config{RootCAs: ours.Pool(), Certificates: edge, ServerName: "shaker.example"}, "shaker.example"},
		// These two the service alone judges, after the handshake is over for the caller (RFC 8446 section 4.4.2.4). Whether
		// its alert is read before a write to the closed connection fails is luck.
		"no client certificate": {&tls.Config{RootCAs: ours.Pool()}, "cannot connect"},
		"wrong client certificate": {
			&tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{others.Certificate("edge.corp.example")}},
			"cannot connect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, address, WithTransportCredentials(credentials.NewTLS(tt.config)))
			err := checkTwo(c)
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// A token goes with every call, over whatever cannot be read on the way; a wrong one is the service's to refuse.
func TestTokenGoesWithEveryCall(t *testing.T) {
	ca := testcert.NewCA("ours")
	secured := grpc.Creds(credentials.NewServerTLSFromCert(new(ca.Certificate("127.0.0.1"))))
	for name, tt := range map[string]struct {
		network, address, scheme string
		server                   []grpc.ServerOption
		client                   []Option
	}{
		"loopback": {network: "tcp", address: "127.0.0.1:0"},
		"unix":     {network: "unix", address: filepath.Join(t.TempDir(), "socket"), scheme: "unix:"},
		"TLS": {
			network: "tcp", address: "127.0.0.1:0", server: []grpc.ServerOption{secured},
			client: []Option{WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: ca.Pool()}))},
		},
		"insecure": {network: "tcp", address: "127.0.0.1:0", client: []Option{WithInsecure()}},
	} {
		t.Run(name, func(t *testing.T) {
			g := new(guard)
			address := tt.scheme + listen(t, tt.network, tt.address, append(g.options(), tt.server...)...)
			right := newClient(t, address, append(tt.client, WithToken(token))...)
			wrong := newClient(t, address, append(tt.client, WithToken(token+"x"))...)
			none := newClient(t, address, tt.client...)
			for method, call := range calls {
				if err := call(right); err != nil {
					t.Errorf("%s: %v", method, err)
				}
				for _, c := range []*Client{wrong, none} {
					if err := call(c); status.Code(err) != codes.Unauthenticated || strings.Contains(err.Error(), "CRET") {
						t.Errorf("%s without the token: %v", method, err)
					}
				}
			}
			if saw, _ := g.saw.Load().([]string); saw != nil {
				t.Errorf("without a token %q was sent", saw)
			}
		})
	}
}
