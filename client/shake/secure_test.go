package main

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
)

// token is what forToken lets in. The tests look for parts of it in all output.
const token = "tok~S3CRET+/=.x9"

// forToken answers as byName whoever has the token.
func forToken(s serverStream) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	if !slices.Equal(md.Get("authorization"), []string{"Bearer " + token}) {
		return status.Error(codes.Unauthenticated, "who are you?")
	}
	return byName(s)
}

// Service and caller know each other by certificates, on this machine too.
func TestCertificates(t *testing.T) {
	ours, others := testcert.NewCA("ours"), testcert.NewCA("others")
	creds := func(name string, auth tls.ClientAuthType) grpc.ServerOption {
		return grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{ours.Certificate(name)}, ClientCAs: ours.Pool(), ClientAuth: auth,
		}))
	}
	byAddress := serveOn(t, "tcp", "127.0.0.1:0", byName, creds("127.0.0.1", tls.NoClientCert))
	byHost := serveOn(t, "tcp", "127.0.0.1:0", byName, creds("shaker.example", tls.NoClientCert))
	mutual := serveOn(t, "tcp", "127.0.0.1:0", byName, creds("127.0.0.1", tls.RequireAndVerifyClientCert))
	socket := "unix:" + serveOn(t, "unix", filepath.Join(t.TempDir(), "socket"), byName, creds("localhost", tls.NoClientCert))
	plain := serve(t, byName)

	ca, otherCA := file(t, "ca.pem", ours.PEM()), file(t, "other.pem", others.PEM())
	both := file(t, "both.pem", append(others.PEM(), ours.PEM()...))
	cert, key := ours.Issue("edge.corp.example")
	edge := []string{"--cert", file(t, "edge.pem", cert), "--key", file(t, "edge.key", key)}
	cert, key = others.Issue("edge.corp.example")
	stranger := []string{"--cert", file(t, "edge.pem", cert), "--key", file(t, "edge.key", key)}

	for name, tt := range map[string]struct {
		server string
		args   []string
		want   string // in the message; empty: all is well
	}{
		"good":                     {byAddress, []string{"--ca", ca}, ""},
		"one of two CAs":           {byAddress, []string{"--ca", both}, ""},
		"wrong CA":                 {byAddress, []string{"--ca", otherCA}, "unknown authority"},
		"the system's roots":       {byAddress, []string{"--server-name", "127.0.0.1"}, "unknown authority"},
		"roots beside a cert":      {mutual, edge, "unknown authority"},
		"plaintext by default":     {byAddress, nil, "for TLS give --ca"},
		"TLS to plaintext":         {plain, []string{"--ca", ca}, "for plaintext drop --ca"},
		"wrong name":               {byHost, []string{"--ca", ca}, "IP SANs"},
		"the name told":            {byHost, []string{"--ca", ca, "--server-name", "shaker.example"}, ""},
		"another name told":        {byHost, []string{"--ca", ca, "--server-name", "other.example"}, "other.example"},
		"unix":                     {socket, []string{"--ca", ca}, ""},
		"unix, wrong CA":           {socket, []string{"--ca", otherCA}, "unknown authority"},
		"mutual":                   {mutual, append(edge, "--ca", ca), ""},
		"no client certificate":    {mutual, []string{"--ca", ca}, "cannot connect"},
		"wrong client certificate": {mutual, append(stranger, "--ca", ca), "cannot connect"},
		"not asked for one":        {byAddress, append(edge, "--ca", ca), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := shakeWith(t, nil, append(slices.Clone(tt.args), "--server", tt.server, "up:1")...)
			if tt.want == "" && (o.code != exitReachable || o.stderr != "") {
				t.Errorf("%+v", o)
			}
			if tt.want != "" && (o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, tt.want)) {
				t.Errorf("%+v, want %q", o, tt.want)
			}
		})
	}
}

// A token goes over what cannot be read on the way, or as --plaintext allows; no output has anything of it.
func TestTokens(t *testing.T) {
	ca := testcert.NewCA("ours")
	cert := ca.Certificate("127.0.0.1")
	secured := serveOn(t, "tcp", "127.0.0.1:0", forToken, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	caFile := file(t, "ca.pem", ca.PEM())
	plain := serve(t, forToken)
	socket := "unix:" + serveOn(t, "unix", filepath.Join(t.TempDir(), "socket"), forToken)
	_, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	right, windows := file(t, "token", []byte(token+"\n")), file(t, "token", []byte(token+"\r\n"))
	bare, wrong := file(t, "token", []byte(token)), file(t, "token", []byte(token+"x\n"))

	for name, tt := range map[string]struct {
		args string
		code int
	}{
		"plaintext on this machine":   {"--server " + plain + " --token-file " + right, exitReachable},
		"without a newline":           {"--server " + plain + " --token-file " + bare, exitReachable},
		"with a newline of Windows":   {"--server " + plain + " --token-file " + windows, exitReachable},
		"wrong":                       {"--server " + plain + " --token-file " + wrong, exitFailed},
		"none":                        {"--server " + plain, exitFailed},
		"unix":                        {"--server " + socket + " --token-file " + right, exitReachable},
		"unix, wrong":                 {"--server " + socket + " --token-file " + wrong, exitFailed},
		"TLS":                         {"--server " + secured + " --ca " + caFile + " --token-file " + right, exitReachable},
		"TLS, wrong":                  {"--server " + secured + " --ca " + caFile + " --token-file " + wrong, exitFailed},
		"plaintext where TLS is":      {"--server " + secured + " --token-file " + right, exitFailed},
		"plaintext":                   {"--plaintext --server " + plain + " --token-file " + right, exitReachable},
		"plaintext to another name":   {"--plaintext --server 0.0.0.0:" + port + " --token-file " + right, exitReachable},
		"TLS where plaintext is":      {"--server " + plain + " --ca " + caFile + " --token-file " + right, exitFailed},
		"no plaintext without a word": {"--server 0.0.0.0:" + port + " --token-file " + right, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			o := shakeWith(t, nil, append(strings.Fields(tt.args), "up:1")...)
			if o.code != tt.code || (o.code == exitReachable) != (o.stderr == "") {
				t.Errorf("%+v", o)
			}
			if strings.Contains(o.stdout+o.stderr, "CRET") {
				t.Errorf("told the token: %+v", o)
			}
		})
	}
	var env strings.Builder
	code := run(t.Context(), []string{"--server", plain, "up:1"}, func(key string) string {
		return map[string]string{"SHAKE_TOKEN_FILE": right}[key]
	}, nil, &env, &env)
	if code != exitReachable || strings.Contains(env.String(), "CRET") {
		t.Errorf("from the environment: code %d, %s", code, &env)
	}
}

// What is not spelled as this machine is spoken to in TLS, so a listener in plaintext gets a handshake and no more, whatever
// it does.
func TestTokenIsNotSentBeforeTLS(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	said := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			said <- err.Error()
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		said <- string(buf[:n])
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	path := file(t, "token", []byte(token))
	// 0.0.0.0 leads to this machine, but does not say so (ip(7)).
	o := shakeWith(t, nil, "--server", "0.0.0.0:"+port, "--token-file", path, "up:1")
	if o.code != exitFailed {
		t.Errorf("%+v", o)
	}
	if got := <-said; !strings.HasPrefix(got, "\x16\x03") || strings.Contains(got, "CRET") { // RFC 8446 section 5.1
		t.Errorf("said %.24q", got)
	}
}

// Who asked too much is told when to come again.
func TestRetryDelayIsTold(t *testing.T) {
	refused, err := status.New(codes.ResourceExhausted, "enough").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	o := shakeWith(t, nil, "--server", serve(t, func(serverStream) error { return refused.Err() }), "up:1")
	if o.code != exitFailed || !strings.Contains(o.stderr, "enough (RESOURCE_EXHAUSTED); ask again in 1.5s") {
		t.Errorf("%+v", o)
	}
}
