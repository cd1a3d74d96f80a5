package client

import (
	"context"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/client/internal/machine"
	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

func TestCheckOptions(t *testing.T) {
	tests := map[string]struct {
		opts []CheckOption
		want *tcpshakerv1.CheckOptions
	}{
		"none": {nil, nil},
		"no effect": {
			[]CheckOption{WithTimeout(0), WithAttempts(0), WithAddressPolicy(0), WithIPFamily(0)},
			&tcpshakerv1.CheckOptions{},
		},
		"all": {
			[]CheckOption{
				WithTimeout(1500 * time.Millisecond), WithAttempts(3), WithExhaustive(),
				WithAddressPolicy(AllAddresses), WithIPFamily(IPv6), WithEvidence(),
			},
			&tcpshakerv1.CheckOptions{
				Timeout:    durationpb.New(1500 * time.Millisecond),
				Attempts:   3,
				Exhaustive: true,
				Addresses:  tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL,
				IpFamily:   tcpshakerv1.IpFamily_IP_FAMILY_IPV6,
				Evidence:   true,
			},
		},
		"the last holds":         {[]CheckOption{WithAttempts(3), WithAttempts(5)}, &tcpshakerv1.CheckOptions{Attempts: 5}},
		"stays out of range":     {[]CheckOption{WithAttempts(-1)}, &tcpshakerv1.CheckOptions{Attempts: math.MaxUint32}},
		"for the service to say": {[]CheckOption{WithTimeout(-1)}, &tcpshakerv1.CheckOptions{Timeout: durationpb.New(-1)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := checkOptions(tt.opts)
			if !proto.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestIsLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:50051":                 true,
		"127.9.9.9:1":                     true,
		"[::1]:50051":                     true,
		"[::1]":                           true,
		"localhost:50051":                 true,
		"localhost":                       true,
		"dns:///localhost:50051":          true,
		"passthrough:///[::1]:50051":      true,
		"unix:/run/shaker.sock":           true,
		"unix:///run/shaker.sock":         true,
		"unix-abstract:shaker":            true,
		"192.0.2.1:50051":                 false,
		"shaker.example:50051":            false,
		"localhost.example:50051":         false,
		"dns://192.0.2.53/localhost:5005": false, // answered by another machine
		"dns:///unix:50051":               false,
		"unix.example:50051":              false,
		"[fe80::1]:50051":                 false,
		"xds:///localhost":                false,
		"":                                false,
	} {
		if got := machine.IsThis(target); got != want {
			t.Errorf("machine.IsThis(%q) = %v, want %v", target, got, want)
		}
		protocol := defaultCredentials(target).Info().SecurityProtocol
		if (protocol == "tls") == want {
			t.Errorf("credentials of %q: %s", target, protocol)
		}
	}
}

// awayDialer makes every target lead to a listener that is not on loopback as far as its address tells, and sends what the
// client says first.
func awayDialer(t *testing.T) (grpc.DialOption, <-chan string) {
	said := make(chan string, 16)
	return grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			buf := make([]byte, 512)
			n, _ := theirs.Read(buf)
			select {
			case said <- string(buf[:n]):
			default:
			}
		}()
		t.Cleanup(func() { ours.Close() })
		return ours, nil
	}), said
}

// By default nothing leaves this machine in plaintext: a local name that leads elsewhere is refused before a byte is said,
// and any other is spoken to in TLS.
func TestNoPlaintextByDefault(t *testing.T) {
	for target, want := range map[string]string{
		"passthrough:///localhost:1":      "",     // refused
		"passthrough:///shaker.example:1": "\x16", // a TLS handshake record, RFC 8446 section 5.1
	} {
		t.Run(target, func(t *testing.T) {
			dialer, said := awayDialer(t)
			c, err := New(target, WithDialOptions(dialer))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := checkOne(c); status.Code(err) != codes.Unavailable {
				t.Errorf("error %v", err)
			}
			if got := <-said; !strings.HasPrefix(got, want) || (want == "" && got != "") {
				t.Errorf("said %.24q", got)
			}
		})
	}
}

func TestWithInsecureSpeaksPlaintext(t *testing.T) {
	dialer, said := awayDialer(t)
	c, err := New("passthrough:///shaker.example:1", WithTransportCredentials(credentials.NewTLS(nil)), WithInsecure(),
		WithTransportCredentials(nil), WithDialOptions(dialer), WithDialOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = checkOne(c)
	if got := <-said; !strings.HasPrefix(got, "PRI * HTTP/2.0") { // RFC 9113 section 3.4
		t.Errorf("said %.24q", got)
	}
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	for _, target := range []string{"", "dns:///a\x00:1"} {
		if c, err := New(target); err == nil {
			c.Close()
			t.Errorf("New(%q) gave no error", target)
		}
	}
}
