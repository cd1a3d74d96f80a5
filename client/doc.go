// Package client is the Go SDK of TCP Shaker: it asks a running service whether TCP targets answer, as seen from the place
// in the network where that service runs.
//
//	c, err := client.New("127.0.0.1:50051")
//	result, err := c.Check(ctx, "192.0.2.7:443")             // one target
//	results, err := c.CheckAll(ctx, targets)                 // many, in their order
//	for result, err := range c.Stream(ctx, targetSeq) { … }  // any number, as they complete
//
// A target is `ipv4:port`, `[ipv6]:port` or `name:port`. What became of it is a [Result], also where it was malformed,
// denied or never probed: then its Verdict is [Inconclusive], which must not be counted against the target. An error
// speaks of the request as a whole, and comes instead of a result, never with one.
//
// # Errors
//
// Every error of a call is an [*Error]. It wraps what gRPC gave, so status.FromError and status.Code work on it, and
// errors.Is finds context.Canceled and context.DeadlineExceeded in it. [Error.StatusReason] tells why the service refused a
// call, and [Error.RetryDelay] when it is worth another try. The package does not trust the service: an answer that is not
// exactly one sensible result for each target gives [ErrProtocol].
//
// # Connections
//
// A Client connects with its first call. Each call waits for a connection up to
// [WithConnectTimeout], by default 10 s. If there is none, the call fails with UNAVAILABLE and an
// error such as
//
//	cannot connect to shaker.example:50051 within 10s: dial tcp 192.0.2.1:50051: i/o timeout
//
// If one side talks TLS and the other plaintext, errors.Is finds [ErrServiceSpeaksTLS] or
// [ErrServiceSpeaksPlaintext]. If the context's deadline passes first, the code is
// DEADLINE_EXCEEDED, and the error says why the last attempt to connect failed.
//
// The environment variable HTTPS_PROXY names an HTTP proxy for connections to other machines,
// except those in NO_PROXY (net/http.ProxyFromEnvironment). The proxy looks up the service's name.
// An error of a connection through it says `via the proxy of HTTPS_PROXY (host:port)`. No proxy is
// used for a service on this machine (see [New]), or with a dialer of the caller's.
//
// # Transport security
//
// To a service on this machine (see [New]) connections are plaintext, as the service's own default is; to every other they
// are TLS, verified with the system's roots. [WithTransportCredentials] and [WithInsecure] say otherwise.
//
// A service that is shared wants to know who asks: give it a client certificate ([WithTransportCredentials]) or a token
// ([WithToken], [WithTokenSource]). What it answers otherwise is UNAUTHENTICATED; what the caller may not do is
// PERMISSION_DENIED, and what is too much at once RESOURCE_EXHAUSTED. Targets that the caller may not probe are no errors
// but results, with [ReasonPolicyDenied] or [ReasonRateLimited].
//
// # Retries
//
// Check and Vantage are tried up to four times if the service is UNAVAILABLE, 0.1 s to 1 s apart and
// within the context's deadline. A probe has no effect that a second one could double. If the stream
// of CheckAll or Stream ends with UNAVAILABLE, another stream asks again about the targets without a
// result, see [Client.Stream]. Calls go to the addresses of the service in turn (round_robin).
package client
