package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// These are found by errors.Is in the error of a call for which no connection could be made,
// because one side talks TLS and the other plaintext. They are what the connection looked like, so
// they can be wrong about what is behind a proxy.
var (
	// ErrServiceSpeaksTLS: the service closed a plaintext connection before HTTP/2 began, as services
	// do that speak TLS. So do others, such as a proxy without a service behind it. See
	// [WithTransportCredentials].
	ErrServiceSpeaksTLS = errors.New("perhaps the service speaks TLS")
	// ErrServiceSpeaksPlaintext: the service answered a TLS handshake with something else. See
	// [WithInsecure].
	ErrServiceSpeaksPlaintext = errors.New("the service seems to speak plaintext")
)

// cannotConnect returns err, which gRPC gives for want of a connection, in words for the user.
func (c *connector) cannotConnect(err error) error {
	text := withoutFrames(message(err))
	reason := c.route.reason(text)
	kind := c.mismatch(reason)
	e := &connectError{kind: kind, err: err}
	within := ""
	switch {
	case errors.Is(kind, ErrServiceSpeaksTLS):
		reason = fmt.Sprintf("%v: it closed a plaintext connection before HTTP/2 began (%s)", kind, reason)
	case errors.Is(kind, ErrServiceSpeaksPlaintext):
		reason = fmt.Sprintf("%v: it answered a TLS handshake with something else (%s)", kind, reason)
	case notHTTP2(reason):
		reason = fmt.Sprintf("the service answered with something that is not HTTP/2 (%s)", reason)
	case gaveUp(text):
		within = fmt.Sprintf(" within %v", c.within)
		if strings.Contains(reason, "server preface") {
			reason = "the connection was accepted, and nothing came on it"
		}
	}
	e.text = printable(fmt.Sprintf("cannot connect to %s%s%s: %s", c.target, c.route.via(), within, reason))
	return e
}

// mismatch returns which side of the connection talks TLS if only one does. It reads the texts of
// gRPC, net and crypto/tls, because gRPC keeps only the text of a connection's error.
func (c *connector) mismatch(reason string) error {
	switch {
	case strings.Contains(reason, "first record does not look like a TLS handshake"):
		return ErrServiceSpeaksPlaintext
	case !c.plaintext || !saidHello(reason):
		return nil
	case strings.HasSuffix(reason, "EOF"), strings.HasSuffix(reason, "connection reset by peer"),
		strings.HasSuffix(reason, "broken pipe"):
		return ErrServiceSpeaksTLS
	default:
		return nil
	}
}

// notHTTP2 reports whether the service answered, and what it said is no frame of HTTP/2: a line of
// SSH, SMTP or HTTP/1.1, for instance.
func notHTTP2(reason string) bool {
	return saidHello(reason) &&
		(strings.Contains(reason, "frame too large") || strings.Contains(reason, "connection error: "))
}

// saidHello reports whether the connection was there, and failed when HTTP/2 began on it.
func saidHello(reason string) bool {
	return strings.Contains(reason, "preface") || strings.Contains(reason, "initial settings") ||
		strings.HasPrefix(reason, "write ")
}

// gaveUp reports whether an attempt to connect was ended by its timeout, which closes the
// connection.
func gaveUp(reason string) bool {
	for _, text := range []string{
		"i/o timeout", "context deadline exceeded", "use of closed network connection", "closed pipe", noConnectionYet,
	} {
		if strings.Contains(reason, text) {
			return true
		}
	}
	return false
}

// withoutFrames takes gRPC's own words from the text of a connection's error.
func withoutFrames(text string) string {
	if _, quoted, ok := strings.Cut(text, "connection error: desc = "); ok {
		if unquoted, err := strconv.Unquote(quoted); err == nil {
			text = unquoted
		}
	}
	text = strings.TrimPrefix(text, "transport: ")
	return strings.TrimPrefix(text, "Error while dialing: ")
}
