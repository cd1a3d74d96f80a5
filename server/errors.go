package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/CarterTsai/tcp-shaker/server/access"
)

// This file alone makes a status. Each carries an ErrorInfo, whose domain and reason a program may go by; the words of
// messages may change. No text of the caller's comes back in one, which bounds the details: see TestStatusDetailsAreSmall.

// ErrorDomain is the domain of the google.rpc.ErrorInfo that each status of this service carries.
const ErrorDomain = "tcpshaker.v1"

// Reasons of ErrorInfo, as constant as the names of the API.
const (
	ReasonInvalidRequest   = "INVALID_REQUEST"   // INVALID_ARGUMENT; BadRequest names the fields
	ReasonTooManyTargets   = "TOO_MANY_TARGETS"  // RESOURCE_EXHAUSTED; metadata `limit`
	ReasonAnswerTooLarge   = "ANSWER_TOO_LARGE"  // RESOURCE_EXHAUSTED; metadata `limit`, in bytes
	ReasonDraining         = "DRAINING"          // UNAVAILABLE; ask again, elsewhere if there is an elsewhere
	ReasonStreamAge        = "STREAM_AGE"        // UNAVAILABLE; the stream is old: ask on with a new one, at once
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED" // DEADLINE_EXCEEDED
	ReasonCanceled         = "CANCELED"          // CANCELED
	ReasonUnauthenticated  = "UNAUTHENTICATED"   // UNAUTHENTICATED; say who you are, or ask the operator
	ReasonDenied           = "PERMISSION_DENIED" // PERMISSION_DENIED; nobody, or not this caller, may use the method
	ReasonQuota            = "QUOTA_EXCEEDED"    // RESOURCE_EXHAUSTED; QuotaFailure tells which, RetryInfo when, if a wait helps; metadata `limit`, and `needed` if none helps
	ReasonInternal         = "INTERNAL"          // INTERNAL; the log knows more under the request id
)

// drainRetryDelay is when a caller that was turned away should ask again: time enough for a load balancer to have noticed.
const drainRetryDelay = time.Second

// violation is one field of a request that is out of range.
type violation struct {
	field       string // its path in the request, such as `options.timeout`
	description string
}

// newStatus is the one way to a status.
func newStatus(code codes.Code, reason, message string, metadata map[string]string, details ...protoadapt.MessageV1) error {
	st := status.New(code, message)
	info := &errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain, Metadata: metadata}
	detailed, err := st.WithDetails(append([]protoadapt.MessageV1{info}, details...)...)
	if err != nil { // a detail that cannot be marshaled: then the code and the message alone
		return st.Err()
	}
	return detailed.Err()
}

// errInvalid is the answer to a request with fields out of range. There are as many violations as options at most.
func errInvalid(wrong []violation) error {
	bad := &errdetails.BadRequest{}
	for _, v := range wrong {
		bad.FieldViolations = append(bad.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: v.field, Description: v.description})
	}
	message := wrong[0].field + ": " + wrong[0].description
	if len(wrong) > 1 {
		message += fmt.Sprintf(" (and %d more)", len(wrong)-1)
	}
	return newStatus(codes.InvalidArgument, ReasonInvalidRequest, message, nil, bad)
}

// errTooManyTargets is the answer to a message with more targets than allowed. Trying again does not help, so there is no
// RetryInfo.
func errTooManyTargets(limit int) error {
	return errQuota(ReasonTooManyTargets, "targets per message", limit,
		fmt.Sprintf("a message may carry at most %d targets; StreamCheck takes any number of messages", limit))
}

// errAnswerTooLarge is the answer to a Check whose response could exceed maxAnswer.
func errAnswerTooLarge() error {
	return errQuota(ReasonAnswerTooLarge, "bytes per answer", maxAnswer,
		fmt.Sprintf("the answer could exceed %d bytes; StreamCheck answers in parts", maxAnswer))
}

// errTargetTooLong is the answer to a target that is so long that its result alone could exceed maxAnswer.
func errTargetTooLong() error {
	return errQuota(ReasonAnswerTooLarge, "bytes per answer", maxAnswer,
		fmt.Sprintf("a target is so long that its result could exceed %d bytes", maxAnswer))
}

func errQuota(reason, subject string, limit int, message string) error {
	quota := &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
		{Subject: subject, Description: message},
	}}
	return newStatus(codes.ResourceExhausted, reason, message, map[string]string{"limit": strconv.Itoa(limit)}, quota)
}

// errDraining is the answer to RPCs while the service drains.
func errDraining() error {
	return newStatus(codes.Unavailable, ReasonDraining, "the service is shutting down", nil,
		&errdetails.RetryInfo{RetryDelay: durationpb.New(drainRetryDelay)})
}

// errStreamAge ends a stream that has reached its age. Its caller may open another at once.
func errStreamAge() error {
	return newStatus(codes.Unavailable, ReasonStreamAge, "the stream is old; a new one takes its place", nil,
		&errdetails.RetryInfo{RetryDelay: durationpb.New(0)})
}

// errInternal is the answer where an invariant of the service is broken. What it was is for the log, never for the caller.
func errInternal() error {
	return newStatus(codes.Internal, ReasonInternal, "internal error", nil)
}

// errRefused is the answer to an RPC that is not let in, or not any more, or would take more than its caller may have. It tells
// nothing of what the service knows of its callers: a wrong token and an unknown one, a certificate that was revoked and one
// that nobody knows, read the same.
func errRefused(r *access.Refusal) error { return errRefusedAs(r, "") }

// errRefusedAs also tells the request id, of an RPC that gets no header with it.
func errRefusedAs(r *access.Refusal, id string) error {
	metadata := make(map[string]string)
	if id != "" {
		metadata["request_id"] = id
	}
	switch r.Kind {
	case access.MethodDenied:
		return newStatus(codes.PermissionDenied, ReasonDenied, "this method is not served here", metadata)
	case access.TooManyRPCs, access.TooManyTargets, access.CallerRate, access.ServiceRate:
		return errOverQuota(r, metadata)
	default:
		return newStatus(codes.Unauthenticated, ReasonUnauthenticated,
			"the service does not know who calls: a client certificate or a bearer token that it accepts is needed", metadata)
	}
}

// errOverQuota says which quota, and when it may be worth trying again: at the soonest after
// minRetryDelay, so that no caller comes back at once. If no wait helps, the status says what is
// needed and has no RetryInfo.
func errOverQuota(r *access.Refusal, metadata map[string]string) error {
	subject := "caller"
	if r.Kind == access.ServiceRate {
		subject = "all callers"
	}
	metadata["limit"] = strconv.Itoa(r.Limit)
	if r.Need > 0 {
		metadata["needed"] = strconv.Itoa(r.Need)
	}
	message := quotaMessage(r)
	details := []protoadapt.MessageV1{
		&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: subject, Description: message}}},
	}
	if r.Wait > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(max(r.Wait, minRetryDelay))})
	}
	return newStatus(codes.ResourceExhausted, ReasonQuota, message, metadata, details...)
}

// quotaMessage says what a quota allows, with the configuration's name for it, and what a Check
// needs.
func quotaMessage(r *access.Refusal) string {
	setting, most := "", ""
	switch r.Kind {
	case access.CallerRate:
		setting, most = "callers[].limits.burst", counted(uint64(r.Limit), "handshake")+" at once"
	case access.ServiceRate:
		setting, most = "limits.burst", counted(uint64(r.Limit), "handshake")+" at once"
	case access.TooManyTargets:
		setting, most = "callers[].limits.outstanding", counted(uint64(r.Limit), "target")+" outstanding"
	default:
		setting, most = "callers[].limits.streams", counted(uint64(r.Limit), "call")+" at a time"
		if r.Caller == "" {
			setting = "without an identity"
		}
	}
	message := fmt.Sprintf("at most %s (%s)", most, setting)
	switch {
	case r.Kind == access.TooManyRPCs:
		return message
	case r.Need > 0 && r.Kind == access.TooManyTargets:
		return fmt.Sprintf("%s, this Check has %d; split it, or use StreamCheck, which waits", message, r.Need)
	case r.Need > 0:
		return fmt.Sprintf("%s, this Check may need %d; split it, or use StreamCheck, which waits", message, r.Need)
	case r.Wait == 0:
		return message + ", and the handshakes of one message would take more than 36 years"
	case r.Kind == access.TooManyTargets:
		return message + ", and the others of this caller leave too few; StreamCheck waits instead"
	default:
		return message + ", and too few are free before the deadline; StreamCheck waits instead"
	}
}

const minRetryDelay = 10 * time.Millisecond

// errEnded is the answer to an RPC whose context has ended: because its caller is not let in any more, by its deadline, because
// Run has stopped waiting for it, or by its caller.
func errEnded(ctx context.Context) error {
	if r, ok := errors.AsType[*access.Refusal](context.Cause(ctx)); ok {
		return errRefused(r)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return newStatus(codes.DeadlineExceeded, ReasonDeadlineExceeded, "the deadline of the RPC passed", nil)
	}
	if p := passageOf(ctx); p != nil && p.server.stopped.Load() {
		return errDraining()
	}
	return newStatus(codes.Canceled, ReasonCanceled, "the caller canceled the RPC", nil)
}
