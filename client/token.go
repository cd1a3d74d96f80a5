package client

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// ErrInvalidToken is found by errors.Is in the error of [New] where a token is empty or holds what is not visible ASCII (VCHAR
// of RFC 5234 appendix B.1, of which RFC 6750 section 2.1 uses a part), and in that of a call where a source gave such a one.
// What it held is not told.
var ErrInvalidToken = errors.New("a token is one or more visible ASCII characters")

// errTokenInClear is why a token is kept back on a connection that anybody on the way can read.
var errTokenInClear = errors.New("a token is not sent in plaintext to another machine")

// WithToken identifies the caller by a bearer token (RFC 6750), which goes with every call in the header `authorization`. By
// default there is none. An empty token, or one with other than visible ASCII, is an error of [New].
//
// The token goes over TLS, over a unix socket, and in plaintext to this machine; there it is given to whoever listens at that
// port. To another machine in plaintext it goes only after [WithInsecure]: then everyone on the way can read it, and be the
// caller from then on. Without that, New or the call gives an error. No error and no formatted value of this package holds
// the token.
func WithToken(token string) Option {
	return optionFunc(func(c *config) {
		c.token = func(context.Context) (string, error) { return token, nil }
		c.tokenErr = checkToken(token)
	})
}

// WithTokenSource is [WithToken] for tokens that change: source gives the token of each call, and of each try of a call that
// is retried. By default there is none. Nil has no effect. WithToken and WithTokenSource replace each other.
//
// The source is called by many goroutines at once and delays the call by what it takes, so it should keep a token for
// as long as that is good. It is given the call's context. Where it fails, nothing is asked, and the call fails with
// UNAUTHENTICATED (with CANCELED or DEADLINE_EXCEEDED where the context has ended) and no [Error.StatusReason]; errors.Is
// finds the source's error. A text of that error is shown as it is, so it must not hold a token.
func WithTokenSource(source func(ctx context.Context) (string, error)) Option {
	return optionFunc(func(c *config) {
		if source != nil {
			c.token, c.tokenErr = source, nil
		}
	})
}

// checkToken returns an error that wraps ErrInvalidToken, and nothing of the token.
func checkToken(token string) error {
	if token == "" {
		return fmt.Errorf("empty token: %w", ErrInvalidToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return fmt.Errorf("bad byte %d of %d: %w", i+1, len(token), ErrInvalidToken)
		}
	}
	return nil
}

// bearer is a credentials.PerRPCCredentials. It holds a function and not the token, so that no way of printing it, nor of
// printing what gRPC keeps it in, prints the token.
type bearer struct {
	source  func(context.Context) (string, error)
	inClear bool // plaintext is fine, wherever it leads
	local   bool // the transport is for this machine alone, and checks that
}

// newBearer returns the credentials for the token that c has.
func newBearer(c *config) *bearer {
	return &bearer{source: c.token, inClear: c.insecure, local: c.credentials.Info().SecurityProtocol == "local"}
}

// RequireTransportSecurity makes grpc.NewClient refuse credentials that are plaintext, and each connection be closed that
// turns out so, before anything is sent.
func (b *bearer) RequireTransportSecurity() bool { return !b.inClear && !b.local }

// GetRequestMetadata returns the header. It looks at the connection that is really there besides, because a dial option may
// have put other credentials in place of those that New chose.
func (b *bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if !b.inClear {
		if err := private(ctx); err != nil {
			return nil, &tokenError{codes.Unauthenticated, err}
		}
	}
	token, err := b.source(ctx)
	if ended := ctx.Err(); err != nil && ended != nil {
		return nil, &tokenError{status.FromContextError(ended).Code(), err}
	}
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return nil, &tokenError{codes.Unauthenticated, err}
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// private returns an error unless the RPC's connection cannot be read on the way: by its security, or because it does not
// leave this machine, which local credentials made sure of.
func private(ctx context.Context) error {
	info, _ := credentials.RequestInfoFromContext(ctx)
	if info.AuthInfo != nil && info.AuthInfo.AuthType() == "local" {
		return nil
	}
	if credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity) != nil {
		return errTokenInClear
	}
	return nil
}

// tokenError is why a call had no token. gRPC hands an error that has a status on as it is, so what it wraps is not lost. It
// is used by pointer, because gRPC compares errors.
type tokenError struct {
	code codes.Code
	err  error
}

func (e *tokenError) Error() string { return "token: " + e.err.Error() }

func (e *tokenError) Unwrap() error { return e.err }

// GRPCStatus is what status.FromError asks for.
func (e *tokenError) GRPCStatus() *status.Status { return status.New(e.code, e.Error()) }
