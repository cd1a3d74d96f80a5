package access

import (
	"strconv"
	"time"
)

// Kind says what a Refusal is about.
type Kind uint8

const (
	// Unauthenticated: the caller did not say who it is, or not in a way that is believed. The zero value, so that what is
	// forgotten is refused.
	Unauthenticated Kind = iota
	// MethodDenied: nobody, or not this caller, may use the method.
	MethodDenied
	// TooManyRPCs: the caller has as many RPCs under way as it may.
	TooManyRPCs
	// TooManyTargets: with this Check the caller would have more targets outstanding than it may.
	TooManyTargets
	// CallerRate and ServiceRate: the handshakes of a Check are more than the rate of the caller, or of all callers, allows
	// within its deadline, or ever.
	CallerRate
	ServiceRate

	kinds = iota
)

var kindWords = [kinds]string{
	Unauthenticated: "unauthenticated",
	MethodDenied:    "method_denied",
	TooManyRPCs:     "too_many_rpcs",
	TooManyTargets:  "too_many_targets",
	CallerRate:      "caller_rate",
	ServiceRate:     "service_rate",
}

// String returns the kind as metrics have it, such as `too_many_rpcs`.
func (k Kind) String() string {
	if int(k) < len(kindWords) {
		return kindWords[k]
	}
	return "kind_" + strconv.Itoa(int(k))
}

// Kinds returns all kinds, in their order.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Refuse counts and returns a Refusal of what may succeed after a wait.
func (v *View) Refuse(kind Kind, limit int, wait time.Duration) *Refusal {
	r := &Refusal{Kind: kind, Caller: v.name(), Limit: limit, Wait: wait}
	if v.control != nil {
		v.control.refuse(r)
	}
	return r
}

// refuseForGood counts and returns a Refusal of what needs more than limit.
func (v *View) refuseForGood(kind Kind, limit, need int) *Refusal {
	r := v.Refuse(kind, limit, 0)
	r.Need = need
	return r
}

// Refusal says why an RPC is not admitted, or not any more, or may not do what it asks.
type Refusal struct {
	Kind Kind
	// Caller is the name of who is refused; empty where it is not known.
	Caller string
	// Detail is for the log of the operator, never for the caller. It holds no token.
	Detail string
	// Limit is the one that is reached: RPCs, targets, or what a rate allows at once. 0 where there
	// is none.
	Limit int
	// Need is how many targets a Check has, or handshakes it may need, if that is more than Limit:
	// then no wait helps. Else it is 0.
	Need int
	// Wait is after how long it may be worth trying again. 0: not known, or never.
	Wait time.Duration
}

// Error returns kind and detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Kind.String()
	}
	return r.Kind.String() + ": " + r.Detail
}
