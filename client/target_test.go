package client

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// A target that cannot lead anywhere is an error of New, which says what is wrong and what is expected.
func TestNewSaysWhatATargetIs(t *testing.T) {
	for target, problem := range map[string]string{
		"":                                    "empty",
		"http://shaker.example":               `"http://"`,
		"http://shaker.example:50051":         `"http://"`,
		"https://shaker.example:443/":         `"https://"`,
		"https://":                            `"https://"`,
		"tcp://127.0.0.1:50051":               `"tcp://"`,
		"grpc://[::1]:50051":                  `"grpc://"`,
		"nosuch:///shaker.example:1":          `"nosuch://"`,
		"127.0.0.1":                           "no port",
		"localhost":                           "no port",
		"shaker.example":                      "no port",
		"[::1]":                               "no port",
		"::1":                                 "brackets",
		"fe80::1%eth0":                        "escape",
		"2001:db8::7:50051":                   "brackets",
		"host:50051:more":                     "too many colons",
		"[::1]:50051:more":                    "not host:port",
		"[::1":                                "not host:port",
		":50051":                              "no host",
		"[]:50051":                            "no host",
		"shaker.example:":                     "no port",
		"shaker.example:0":                    "1 to 65535",
		"shaker.example:65536":                "1 to 65535",
		"shaker.example:99999999999999999999": "1 to 65535",
		"shaker.example:-1":                   "1 to 65535",
		"shaker.example:+1":                   "1 to 65535",
		"shaker.example:nosuchservice":        "1 to 65535",
		"shaker.example:50051/path":           "1 to 65535",
		"shaker.example/path:50051":           "no host",
		"user@shaker.example:50051":           "no host",
		"shaker example:50051":                "no host",
		" 127.0.0.1:50051":                    "no host",
		"127.0.0.1:50051\n":                   "control character",
		"unix:":                               "no path",
		"unix://":                             "no path",
		"unix:///":                            "no path",
		"unix://run/shaker.sock":              "no path", // gRPC takes `run` for a host, and refuses it with each call
		"unix-abstract:":                      "no path",
		"dns:":                                "no host",
		"dns:///":                             "no host",
		"dns:///shaker.example:0":             "1 to 65535",
		"dns:///shaker.example:":              "no port",
		"dns:///http://shaker.example:1":      "no host",
	} {
		c, err := New(target)
		if err == nil {
			c.Close()
			t.Errorf("New(%q) gave no error", target)
			continue
		}
		for _, want := range []string{"client: ", problem, targetForms} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("New(%q): %v; want %q in it", target, err, want)
			}
		}
	}
}

// What gRPC resolves, by itself or by what the program brought along, New takes.
func TestNewTakesWhatGRPCResolves(t *testing.T) {
	resolvers := WithDialOptions(grpc.WithResolvers(manual.NewBuilderWithScheme("xds"), manual.NewBuilderWithScheme("http")))
	for _, target := range []string{
		"127.0.0.1:50051", "[::1]:50051", "[fe80::1%25eth0]:50051", "localhost:50051", "shaker.example:50051", "shaker.example:https",
		"shaker.example.:1", "my_service:65535", "xn--bcher-kva.example:443", "bücher.example:443", "[localhost]:1",
		"dns:///shaker.example:50051", "dns:///shaker.example", "dns:shaker.example:50051", "dns:///::1", "dns:///[::1]", "DNS:///a:1",
		"dns:///:50051", // of this machine, for gRPC
		"dns://192.0.2.53/shaker.example:50051", "dns://192.0.2.53:5353/shaker.example",
		"passthrough:///127.0.0.1:50051", "passthrough:///whatever a dialer knows", "passthrough:whatever",
		"unix:relative.sock", "unix:/run/shaker.sock", "unix:///run/shaker.sock", "unix-abstract:shaker", "unix-abstract:///shaker",
		"xds:///shaker", "http://a/b",
	} {
		c, err := New(target, resolvers)
		if err != nil {
			t.Errorf("New(%q): %v", target, err)
			continue
		}
		c.Close()
	}
	if _, err := New("xds:///shaker"); err == nil || !strings.Contains(err.Error(), `"xds://"`) {
		t.Errorf("of a resolver that is not there: %v", err)
	}
}

// What New takes is also what leads to the service.
func TestNamesThatLeadToTheService(t *testing.T) {
	address := listen(t, "tcp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(address)
	folder := t.TempDir()
	t.Chdir(folder)
	listen(t, "unix", "shaker.sock")
	abstract := filepath.Base(folder)
	listen(t, "unix", "@shaker-"+abstract)
	byHand := manual.NewBuilderWithScheme("byhand")
	byHand.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: address}}})
	for _, target := range []string{
		address, "localhost:" + port, "dns:///" + address, "dns:///:" + port, "passthrough:///" + address,
		"unix:shaker.sock", "unix:" + folder + "/shaker.sock", "unix://" + folder + "/shaker.sock",
		"unix-abstract:shaker-" + abstract, "byhand:///anything",
	} {
		c := newClient(t, target, WithInsecure(), WithDialOptions(grpc.WithResolvers(byHand)))
		if err := checkOne(c); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := os.Stat("shaker.sock"); err != nil {
		t.Error(err)
	}
}

// A dialer of the caller's may know names that nobody else does.
func TestNamesOfADialer(t *testing.T) {
	nobody := errors.New("nobody is there")
	c := newClient(t, "passthrough:///a name of the dialer's", WithInsecure(), WithDialOptions(
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, nobody })))
	if err := checkTwo(c); err == nil || !strings.Contains(err.Error(), nobody.Error()) {
		t.Error(err)
	}
}
