package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/CarterTsai/tcp-shaker/client/internal/machine"
	"github.com/CarterTsai/tcp-shaker/client/internal/testcert"
)

// proxyAsk is a call that a helper process makes.
type proxyAsk struct {
	Target  string
	Dialer  bool // dial by a function that always fails
	NoProxy bool // grpc.WithNoProxy
}

// TestProxyHelper is the helper process of askBehindProxy: net/http reads HTTPS_PROXY once per
// process.
func TestProxyHelper(t *testing.T) {
	asks := os.Getenv("CLIENT_TEST_ASKS")
	if asks == "" {
		return // not a helper
	}
	var list []proxyAsk
	if err := json.Unmarshal([]byte(asks), &list); err != nil {
		t.Fatal(err)
	}
	for _, ask := range list {
		opts := []Option{WithConnectTimeout(2 * time.Second)}
		if !machine.IsThis(ask.Target) {
			opts = append(opts, WithInsecure())
		}
		if ask.Dialer {
			opts = append(opts, WithDialOptions(grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
				return nil, errors.New("the dialer's error")
			})))
		}
		if ask.NoProxy {
			opts = append(opts, WithDialOptions(grpc.WithNoProxy()))
		}
		answer := "answered"
		if err := checkTwo(newClient(t, ask.Target, opts...)); err != nil {
			answer = err.Error()
		}
		line, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("CLIENT_TEST_ANSWER %s\n", line)
	}
	os.Exit(0) // gRPC waits for a silent proxy also when its connection is closed, so a search for leaks would find that
}

// askBehindProxy makes calls in a process with env, and without any other variable of proxies. It
// returns an error's text, or `answered`, for each.
func askBehindProxy(t *testing.T, env []string, asks ...proxyAsk) []string {
	t.Helper()
	encoded, err := json.Marshal(asks)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyHelper$", "-test.count=1")
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasSuffix(strings.ToUpper(name), "_PROXY") && name != "REQUEST_METHOD" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(append(cmd.Env, env...), "CLIENT_TEST_ASKS="+string(encoded))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var answers []string
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "CLIENT_TEST_ANSWER "); ok {
			var answer string
			if err := json.Unmarshal([]byte(rest), &answer); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
	}
	if len(answers) != len(asks) {
		t.Fatalf("%d answers to %d calls\n%s", len(answers), len(asks), out)
	}
	return answers
}

// proxy is an HTTP proxy that notes what it is asked to connect to.
type proxy struct {
	address string
	mu      sync.Mutex
	asked   []string
}

// newProxy starts a proxy that leads everything to the service at address; without an address it
// forbids everything.
func newProxy(t *testing.T, address string) *proxy {
	p := new(proxy)
	p.address = accepting(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.asked = append(p.asked, request.Method+" "+request.Host)
		p.mu.Unlock()
		if address == "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer to.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, reader); to.Close() }()
		_, _ = io.Copy(conn, to)
	}).Addr().String()
	return p
}

func (p *proxy) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.asked, ", ")
}

// No proxy comes before a service on this machine, whatever HTTPS_PROXY holds and NO_PROXY lacks.
func TestNoProxyBeforeThisMachine(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "socket")
	abstract := "shaker-proxy-" + filepath.Base(filepath.Dir(folder))
	listen(t, "unix", socket)
	listen(t, "unix", "@"+abstract)
	address, v6 := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "[::1]:0")
	_, port, _ := net.SplitHostPort(address)
	var asks []proxyAsk
	for _, target := range []string{
		address, v6, "localhost:" + port, "dns:///localhost:" + port, "dns:///" + v6,
		"passthrough:///" + address, "passthrough:///localhost:" + port, "unix:" + socket, "unix://" + socket, "unix-abstract:" + abstract,
	} {
		asks = append(asks, proxyAsk{Target: target})
	}
	p := newProxy(t, "")
	for _, env := range []string{
		"HTTPS_PROXY=http://user:S3CRET@" + p.address, "https_proxy=" + p.address, "HTTPS_PROXY=socks5://" + p.address,
		"HTTPS_PROXY=http://user:S3CRET@%zz", "ALL_PROXY=http://" + p.address,
	} {
		for i, answer := range askBehindProxy(t, []string{env}, asks...) {
			if answer != "answered" {
				t.Errorf("%s, %s: %s", env, asks[i].Target, answer)
			}
		}
	}
	if asked := p.all(); asked != "" {
		t.Errorf("the proxy was asked %s", asked)
	}
}

// The error of a connection through a proxy names it, without user and password; that of another
// does not.
func TestErrorsNameTheProxy(t *testing.T) {
	t.Parallel()
	ca := testcert.NewCA("ours")
	secured := grpc.Creds(credentials.NewServerTLSFromCert(new(ca.Certificate("127.0.0.1"))))
	forbids, leads := newProxy(t, ""), newProxy(t, listen(t, "tcp", "127.0.0.1:0"))
	toTLS := newProxy(t, listen(t, "tcp", "127.0.0.1:0", secured))
	silent := accepting(t, "tcp", "127.0.0.1:0", mute).Addr().String()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	names := nameServer(t, 3, 0)
	const target, byNumber = "shaker.example:50051", "passthrough:///192.0.2.1:50051"
	for name, tt := range map[string]struct {
		env   []string
		ask   proxyAsk
		named string // the proxy; empty: none is named
		want  string
	}{
		"works":             {[]string{"HTTPS_PROXY=http://user:S3CRET@" + leads.address}, proxyAsk{Target: target}, "", "answered"},
		"forbids":           {[]string{"HTTPS_PROXY=http://user:S3CRET@" + forbids.address}, proxyAsk{Target: target}, forbids.address, "403"},
		"lower case":        {[]string{"https_proxy=" + forbids.address}, proxyAsk{Target: "dns:///" + target}, forbids.address, "403"},
		"port of gRPC's":    {[]string{"HTTPS_PROXY=" + forbids.address}, proxyAsk{Target: "dns:///shaker.example"}, forbids.address, "403"},
		"number":            {[]string{"HTTPS_PROXY=" + forbids.address}, proxyAsk{Target: byNumber}, forbids.address, "403"},
		"refuses":           {[]string{"HTTPS_PROXY=" + closed.Addr().String()}, proxyAsk{Target: target}, closed.Addr().String(), "refused"},
		"silent":            {[]string{"HTTPS_PROXY=" + silent}, proxyAsk{Target: target}, silent, "within 2s"},
		"leads to TLS":      {[]string{"HTTPS_PROXY=" + toTLS.address}, proxyAsk{Target: target}, toTLS.address, ErrServiceSpeaksTLS.Error()},
		"left out":          {[]string{"HTTPS_PROXY=" + forbids.address, "NO_PROXY=shaker.example"}, proxyAsk{Target: "dns://" + names + "/" + target}, "", "not known"},
		"WithNoProxy":       {[]string{"HTTPS_PROXY=" + forbids.address}, proxyAsk{Target: "dns://" + names + "/" + target, NoProxy: true}, "", "not known"},
		"a dialer":          {[]string{"HTTPS_PROXY=" + forbids.address}, proxyAsk{Target: byNumber, Dialer: true}, "", "the dialer's"},
		"a dialer, by name": {[]string{"HTTPS_PROXY=" + forbids.address}, proxyAsk{Target: "dns:///192.0.2.1:1", Dialer: true}, "", "the dialer's"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := askBehindProxy(t, tt.env, tt.ask)[0]
			via := "via the proxy of HTTPS_PROXY"
			if tt.named != "" {
				via += " (" + tt.named + ")"
			}
			if strings.Contains(answer, via) != (tt.named != "") || !strings.Contains(answer, tt.want) {
				t.Errorf("%s", answer)
			}
			if strings.Contains(answer, "S3CRET") || strings.Contains(answer, "user") {
				t.Errorf("tells the password: %s", answer)
			}
		})
	}
	if asked := leads.all(); asked != "CONNECT "+target {
		t.Errorf("the proxy was asked %s", asked)
	}
}

// nameServer answers every question after a delay, and with an rcode of RFC 1035 section 4.1.1.
func nameServer(t *testing.T, rcode byte, delay time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			message := make([]byte, 1500)
			n, from, err := conn.ReadFrom(message)
			if err != nil {
				return
			}
			if n < 12 {
				continue
			}
			message[2] |= 0x80 // an answer
			message[3] = rcode
			all.Go(func() {
				time.Sleep(delay)
				_, _ = conn.WriteTo(message[:n], from)
			})
		}
	})
	t.Cleanup(func() { conn.Close(); all.Wait() })
	return conn.LocalAddr().String()
}
