package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/CarterTsai/tcp-shaker/client"
)

// callError is a failed call in words for a person. It wraps the error that the client gave.
type callError struct {
	text string
	err  error
}

func (e *callError) Error() string { return e.text }

func (e *callError) Unwrap() error { return e.err }

// explain says what the failed call err means; n results came before.
func explain(s *service, n int, err error) error {
	if err == nil {
		return nil
	}
	text := sentence(s.name, err) + inBrackets(err)
	if n > 0 {
		text += fmt.Sprintf(", after %d %s", n, plural(n, "result"))
	}
	if delay, ok := retryDelay(err); ok {
		text += "; ask again in " + short(delay)
	}
	if s.hint != nil {
		text += s.hint(err)
	}
	return &callError{text, err}
}

// sentence names the service and says what became of the call.
func sentence(service string, err error) string {
	reason := plain(err)
	if errors.Is(err, client.ErrProtocol) {
		return service + " broke its protocol: " + strings.TrimPrefix(reason, client.ErrProtocol.Error()+": ")
	}
	switch code := status.Code(err); {
	case code == codes.Unavailable && strings.HasPrefix(reason, "cannot connect to "): // it names the service
		return reason
	case code == codes.Unavailable && statusReason(err) == "": // not the service's own word
		return service + " cannot be reached: " + reason
	case refusals[code]:
		return service + " refuses the call: " + reason
	case code == codes.Unimplemented:
		return service + " does not know the call: " + reason
	case code == codes.DeadlineExceeded && whileConnecting(reason) != "":
		return "cannot connect to " + whileConnecting(reason) + " in time"
	case code == codes.DeadlineExceeded && strings.Contains(reason, beforeThat+"cannot connect to "):
		_, reason, _ = strings.Cut(reason, beforeThat)
		return reason
	case code == codes.DeadlineExceeded:
		return service + " did not answer in time: " + reason
	default:
		return service + " failed: " + reason
	}
}

// beforeThat stands in a text of package client between the end of the context and what the call waited
// for.
const beforeThat = "; before that, "

// whileConnecting returns the service, and the proxy if there is one, to which there was no connection
// yet when the context of the call ended. It is empty if that was not so.
func whileConnecting(reason string) string {
	_, to, _ := strings.Cut(reason, " while connecting to ")
	return to
}

// refusals are the codes with which a service that works turns a call away.
var refusals = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.Unauthenticated: true, codes.PermissionDenied: true,
	codes.ResourceExhausted: true, codes.Unavailable: true,
}

// inBrackets returns the status's code, and the id under which the service has logged the call.
func inBrackets(err error) string {
	if errors.Is(err, client.ErrProtocol) {
		return ""
	}
	in := code.Code(status.Code(err)).String() // the same numbers
	if e, ok := errors.AsType[*client.Error](err); ok && e.RequestID != "" {
		in += ", request " + e.RequestID
	}
	return " (" + in + ")"
}

// plain returns the text of err without what package client and gRPC put before it.
func plain(err error) string {
	if e, ok := errors.AsType[*client.Error](err); ok {
		err = e.Err
	}
	text := statusPrefix.ReplaceAllString(err.Error(), "")
	for connectionError.MatchString(text) { // each turn takes one off
		text = connectionError.ReplaceAllStringFunc(text, func(s string) string {
			inner, err := strconv.Unquote(connectionError.FindStringSubmatch(s)[1])
			if err != nil {
				return s[len("connection error: desc = "):]
			}
			return inner
		})
	}
	return transportPrefix.ReplaceAllString(text, "")
}

// What gRPC puts around the error of a socket or a handshake.
var (
	statusPrefix    = regexp.MustCompile(`rpc error: code = \w+ desc = `)
	connectionError = regexp.MustCompile(`(?s)connection error: desc = ("(?:[^"\\]|\\.)*")`)
	transportPrefix = regexp.MustCompile(`transport: (?:Error while dialing: )?`)
)

// retryDelay returns when the service says that the call may be made again.
func retryDelay(err error) (delay time.Duration, ok bool) {
	if e, is := errors.AsType[*client.Error](err); is {
		return e.RetryDelay()
	}
	return 0, false
}

// statusReason returns the service's own word for its refusal. It is empty if something else
// answered.
func statusReason(err error) string {
	if e, is := errors.AsType[*client.Error](err); is {
		return e.StatusReason()
	}
	return ""
}

// brokenOff is explain for a call that --deadline, if there is one, may have ended.
func brokenOff(o *options, s *service, n int, err error) error {
	if o.deadline > 0 && status.Code(err) == codes.DeadlineExceeded {
		text := fmt.Sprintf("--deadline %s is over: ", short(o.deadline))
		to := whileConnecting(plain(err))
		switch {
		case to != "":
			text += "still connecting to " + to
		case o.vantage:
			text += s.name + " has not answered"
		default:
			text += fmt.Sprintf("%s has answered %d %s, and not all", s.name, n, plural(n, "target"))
		}
		if _, cause, ok := strings.Cut(plain(err), beforeThat); ok { // package client waited for the service
			text += beforeThat + cause
		}
		return &callError{text, err}
	}
	return explain(s, n, err)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
