package client

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// errorDomain is the domain of the google.rpc.ErrorInfo of the service's own statuses.
const errorDomain = "tcpshaker.v1"

// StatusReason returns why the service refused or gave up the call, as a word that does not change; status.Code of the error
// says the same more coarsely. Among them are
//
//	UNAUTHENTICATED     it does not know the caller: no client certificate or token, or one that is not good (any more)
//	PERMISSION_DENIED   it knows the caller, who may not do this
//	QUOTA_EXCEEDED      RESOURCE_EXHAUSTED: the caller asks too much at once. [Error.RetryDelay] says
//	                    when to ask again, if waiting helps
//	TOO_MANY_TARGETS, ANSWER_TOO_LARGE   RESOURCE_EXHAUSTED: the request is too large, today and tomorrow
//	DRAINING            UNAVAILABLE: it is about to end
//	STREAM_AGE          UNAVAILABLE: the stream is old; Stream goes on with another by itself
//
// and a newer service may have more. It is empty where the status is not the service's own: nobody could be asked, no token
// was to be had, or what is on the way has answered. (Reasons come with google.rpc.ErrorInfo; status.Convert(err).Details()
// has that, and google.rpc.QuotaFailure, which names the quota.)
func (e *Error) StatusReason() string {
	for _, detail := range status.Convert(e.Err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			return info.GetReason()
		}
	}
	return ""
}

// RetryDelay returns how long to wait, at least, before the call is made again, where the service said so
// (google.rpc.RetryInfo); it is not negative, and may be 0. Not ok means that it did not: then asking the same again
// brings the same, or nobody knows.
func (e *Error) RetryDelay() (delay time.Duration, ok bool) {
	for _, detail := range status.Convert(e.Err).Details() {
		info, is := detail.(*errdetails.RetryInfo)
		if !is || !info.GetRetryDelay().IsValid() {
			continue
		}
		if delay := info.GetRetryDelay().AsDuration(); delay >= 0 {
			return delay, true
		}
	}
	return 0, false
}
