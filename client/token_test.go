package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/status"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// A token that cannot be one is an error of New, which does not tell it. The last option holds.
func TestInvalidTokens(t *testing.T) {
	source := func(context.Context) (string, error) { return token, nil }
	for name, tt := range map[string]struct {
		opts []Option
		bad  bool
	}{
		"empty":            {[]Option{WithToken("")}, true},
		"space":            {[]Option{WithToken("S3CRET S3CRET")}, true},
		"newline":          {[]Option{WithToken("S3CRET\n")}, true},
		"NUL":              {[]Option{WithToken("\x00S3CRET")}, true},
		"DEL":              {[]Option{WithToken("S3CRET\x7f")}, true},
		"not ASCII":        {[]Option{WithToken("S3CRETé")}, true},
		"all there is":     {[]Option{WithToken("!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~")}, false},
		"good, then bad":   {[]Option{WithToken(token), WithToken("")}, true},
		"bad, then good":   {[]Option{WithToken(""), WithToken(token)}, false},
		"bad, then source": {[]Option{WithToken(""), WithTokenSource(source)}, false},
		"bad, then nil":    {[]Option{WithToken(""), WithTokenSource(nil)}, true},
	} {
		c, err := New("localhost:1", tt.opts...)
		if err == nil {
			c.Close()
		}
		if (err != nil) != tt.bad || errors.Is(err, ErrInvalidToken) != tt.bad {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "CRET") || !strings.HasPrefix(err.Error(), "client: ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// To another machine a token does not go in plaintext, however that came about. Nothing at all is said where the credentials
// tell beforehand; where a dial option has changed them, nothing is asked.
func TestTokenStaysOffPlaintext(t *testing.T) {
	plain := WithTransportCredentials(insecure.NewCredentials())
	for name, opts := range map[string][]Option{
		"plaintext":                 {plain, WithToken(token)},
		"plaintext, after insecure": {WithToken(token), WithInsecure(), plain},
	} {
		if c, err := New("shaker.example:1", opts...); err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "CRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		target string
		opts   []Option
		said   string
	}{
		"a local name that leads away": {"passthrough:///localhost:1", nil, ""},
		"credentials of no security": {
			"passthrough:///shaker.example:1", []Option{WithTransportCredentials(openly{insecure.NewCredentials()})}, "",
		},
		"TLS": {"passthrough:///shaker.example:1", nil, "\x16"}, // a TLS handshake record, RFC 8446 section 5.1
	} {
		t.Run(name, func(t *testing.T) {
			dialer, said := awayDialer(t)
			c := newClient(t, tt.target, append(tt.opts, WithToken(token), WithDialOptions(dialer))...)
			if err := checkTwo(c); status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "CRET") {
				t.Errorf("%v", err)
			}
			if got := <-said; !strings.HasPrefix(got, tt.said) || (tt.said == "" && got != "") {
				t.Errorf("said %.24q", got)
			}
		})
	}
	t.Run("a dial option", func(t *testing.T) {
		g := new(guard)
		address := listen(t, "tcp", "127.0.0.1:0", g.options()...)
		c := newClient(t, address, WithToken(token), WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials())))
		for method, call := range calls {
			err := call(c)
			if status.Code(err) != codes.Unauthenticated || !errors.Is(err, errTokenInClear) {
				t.Errorf("%s: %v", method, err)
			}
		}
		if n := g.asked.Load(); n != 0 {
			t.Errorf("the service was asked %d times", n)
		}
	})
	t.Run("local credentials of the caller's", func(t *testing.T) {
		address := listen(t, "tcp", "127.0.0.1:0", new(guard).options()...)
		c := newClient(t, address, WithTransportCredentials(local.NewCredentials()), WithToken(token))
		if err := checkOne(c); err != nil {
			t.Error(err)
		}
	})
}

// openly is plaintext that does not call itself insecure, as somebody's own credentials may.
type openly struct {
	credentials.TransportCredentials
}

func (openly) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "somebody's"}
}

// A source is asked for each call and each try of one, with the call's context, and what it gives is what goes.
func TestTokenSource(t *testing.T) {
	g := new(guard)
	address := listen(t, "tcp", "127.0.0.1:0", g.options()...)
	type key struct{}
	var n atomic.Int32
	c := newClient(t, address, WithToken("other"), WithTokenSource(func(ctx context.Context) (string, error) {
		if ctx.Value(key{}) != "call" {
			return "", errors.New("not the call's context")
		}
		return fmt.Sprint("number", n.Add(1)), nil
	}), WithTokenSource(nil))
	for i := range 3 {
		_, err := c.Check(context.WithValue(t.Context(), key{}, "call"), "a:1")
		if saw := fmt.Sprint(g.saw.Load()); saw != fmt.Sprintf("[Bearer number%d]", i+1) {
			t.Errorf("sent %s; %v", saw, err)
		}
	}

	retried := dial(t, &fake{check: func(context.Context, *tcpshakerv1.CheckRequest) (*tcpshakerv1.CheckResponse, error) {
		return nil, status.Error(codes.Unavailable, "draining")
	}}, WithTokenSource(func(context.Context) (string, error) { n.Add(1); return token, nil }))
	n.Store(0)
	if err := checkOne(retried); status.Code(err) != codes.Unavailable || n.Load() != 4 {
		t.Errorf("%d tokens for four tries; %v", n.Load(), err)
	}
}

// A source that fails fails the call: nobody is asked, and its error is found.
func TestTokenSourceThatFails(t *testing.T) {
	g := new(guard)
	address := listen(t, "tcp", "127.0.0.1:0", g.options()...)
	failure := errors.New("the vault is closed")
	ended, cancel := context.WithCancel(t.Context())
	for name, tt := range map[string]struct {
		ctx    context.Context
		source func(context.Context) (string, error)
		code   codes.Code
		is     error
	}{
		"failure": {t.Context(), func(context.Context) (string, error) { return token, failure }, codes.Unauthenticated, failure},
		"bad token": {
			t.Context(), func(context.Context) (string, error) { return "S3CRET\r\n", nil }, codes.Unauthenticated, ErrInvalidToken,
		},
		"no token": {t.Context(), func(context.Context) (string, error) { return "", nil }, codes.Unauthenticated, ErrInvalidToken},
		"status": {
			t.Context(), func(context.Context) (string, error) { return "", status.Error(codes.NotFound, "x") },
			codes.Unauthenticated, nil,
		},
		"canceled": {ended, func(ctx context.Context) (string, error) {
			cancel()
			<-ctx.Done()
			return "", fmt.Errorf("vault: %w", ctx.Err())
		}, codes.Canceled, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, address, WithTokenSource(tt.source))
			_, err := c.Check(tt.ctx, "a:1")
			e, is := errors.AsType[*Error](err)
			if !is || status.Code(err) != tt.code || (tt.is != nil && !errors.Is(err, tt.is)) || e.StatusReason() != "" {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "CRET") {
				t.Errorf("told the token: %v", err)
			}
		})
	}
	if n := g.asked.Load(); n != 0 {
		t.Errorf("the service was asked %d times", n)
	}
}

// Nothing that the package makes prints the token, in whatever way.
func TestTokenIsNotPrinted(t *testing.T) {
	cfg := config{credentials: insecure.NewCredentials()}
	WithToken(token).apply(&cfg)
	b := newBearer(&cfg)
	address := listen(t, "tcp", "127.0.0.1:0", grpc.UnaryInterceptor(
		func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, refusal(codes.Unauthenticated, errorInfo("UNAUTHENTICATED"))
		}))
	c := newClient(t, address, WithToken(token))
	err := checkOne(c)
	if err == nil {
		t.Fatal("no error")
	}
	show := func(name string, v any, formats ...string) {
		for _, format := range formats {
			text := fmt.Sprintf(format, v)
			if strings.Contains(text, "S3CRET") || strings.Contains(text, fmt.Sprintf("%x", "S3CRET")) {
				t.Errorf("%s of the %s tells the token: %s", format, name, text)
			}
		}
	}
	for name, v := range map[string]any{
		"option": WithToken(token), "config": cfg, "credentials": b, "credentials by value": *b,
		"dial option": grpc.WithPerRPCCredentials(b), "error": err,
	} {
		show(name, v, "%v", "%+v", "%#v", "%s", "%q", "%x")
	}
	show("client", c, "%v", "%+v", "%#v") // the others go on into what gRPC's goroutines are changing
}
