package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/identity"
)

// What those without an identity may have under way. They may ask for the service's health and little else, so these are for
// load balancers, orchestrators and the like, which ask often and are soon answered.
const (
	// strangersAtMost bounds their unary RPCs in all, and as many streams, and strangersPerPeer those of one peer, so that one cannot
	// take all places.
	strangersAtMost, strangersPerPeer = 256, 8

	// strangersTime is how long one of their unary RPCs may take to come in and be answered, and each message of a stream to come in;
	// strangersWatch is how long a stream of theirs may stay, after which they have to come again.
	strangersTime, strangersWatch = 10 * time.Second, 30 * time.Minute
)

// Admission is an RPC that was let in. Its methods are for the RPC's handler; Leave may be called from anywhere.
type Admission struct {
	control       *Control
	conn          *identity.Conn
	authorization []string
	method, peer  string

	refusal  *Refusal          // nil, but where the handler is to tell the caller of it
	snapshot *snapshot         // in force when it was admitted
	identity identity.Identity // zero without one
	account  *account          // nil without an identity
	state    atomic.Uint32     // admitted, reached or left
}

// The states of an Admission.
const (
	admitted uint32 = iota
	reached         // by its handler, which calls Leave when it returns
	left
)

// Admit decides about an RPC by its headers, before any message of it is read. peer names where it comes from, the same for all
// addresses of one network. The Admission's Leave must be called when the RPC is over. An error is a *Refusal.
func (c *Control) Admit(ctx context.Context, method, peer string, authorization []string) (*Admission, error) {
	a := &Admission{
		control: c, method: method, peer: peer, authorization: authorization, snapshot: c.snapshot.Load(),
	}
	var refusal *Refusal
	if a.snapshot.Reflection == ByNobody && isReflection(method) {
		refusal = c.refuse(&Refusal{Kind: MethodDenied, Detail: "reflection is for nobody"})
	}
	if !c.closed {
		a.refusal = refusal
		return a, nil
	}
	if refusal != nil {
		return nil, refusal
	}
	a.conn, _ = identity.ConnOf(ctx)
	if a.conn == nil {
		a.conn = new(identity.Conn) // it came by no gate: a token may still tell who it is
	}
	who, err := a.snapshot.Identity.Identify(a.conn, authorization, now())
	switch {
	case err == nil:
		a.identity, a.account = who, c.account(who.Name)
		limit := 0
		if caller := a.snapshot.callers[who.Name]; caller != nil {
			limit = caller.RPCs
		}
		if !a.account.enter(limit) {
			return nil, c.refuse(&Refusal{Kind: TooManyRPCs, Caller: who.Name, Limit: limit, Wait: time.Second})
		}
	case !errors.Is(err, identity.ErrNoIdentity) || !a.snapshot.forStrangers(method):
		return nil, c.refuse(&Refusal{Kind: Unauthenticated, Detail: detailOf(err)})
	default:
		if limit := c.crowdOf(method).enter(c, peer); limit > 0 {
			return nil, c.refuse(&Refusal{Kind: TooManyRPCs, Limit: limit, Wait: time.Second, Detail: "without an identity"})
		}
	}
	return a, nil
}

// Reach says that the RPC's handler runs, which will call Leave. It is false where Abandon has come before: the RPC is over.
func (a *Admission) Reach() bool { return a.state.CompareAndSwap(admitted, reached) }

// Abandon is Leave for an RPC that ends and whose handler was not reached; it reports whether it was so.
func (a *Admission) Abandon() bool {
	if !a.state.CompareAndSwap(admitted, left) {
		return false
	}
	a.giveBack()
	return true
}

// Leave gives back what Admit took. It may be called more than once.
func (a *Admission) Leave() {
	if a.state.Swap(left) != left {
		a.giveBack()
	}
}

func (a *Admission) giveBack() {
	switch {
	case !a.control.closed:
	case a.account != nil:
		a.account.leave()
	default:
		a.control.crowdOf(a.method).leave(a.control, a.peer)
	}
}

// Caller is the name of the caller; empty where it has no identity.
func (a *Admission) Caller() string {
	if a == nil {
		return ""
	}
	return a.identity.Name
}

// Stranger reports whether the caller had to say who it is, and did not: it then may ask about the service itself only.
func (a *Admission) Stranger() bool { return a.control.closed && a.account == nil }

// Refusal is what the caller is to be told of by the RPC's handler; nil where it may go on.
func (a *Admission) Refusal() *Refusal { return a.refusal }

// Refuse counts and returns a Refusal of this RPC, for what its messages turn out to ask.
func (a *Admission) Refuse(kind Kind) *Refusal {
	return a.control.refuse(&Refusal{Kind: kind, Caller: a.identity.Name})
}

// Limit returns the context that the RPC is to have from its headers on: it ends, with a *Refusal as its cause, when the caller's
// time is over. cancel must be called when the RPC is over.
func (a *Admission) Limit(ctx context.Context) (limited context.Context, cancel context.CancelFunc) {
	var end time.Time
	detail := ""
	switch {
	case a.Stranger() && isUnary(a.method):
		end, detail = now().Add(strangersTime), "without an identity a call has "+strangersTime.String()
	case a.Stranger():
		end, detail = now().Add(strangersWatch), "without an identity a stream has "+strangersWatch.String()
	case !a.identity.Until.IsZero():
		end, detail = a.identity.Until, "the certificate of caller "+a.identity.Name+" has run out"
	default:
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, end, &Refusal{Kind: Unauthenticated, Caller: a.identity.Name, Detail: detail})
}

// Expect says that the handler of a stream waits for its caller's next message: where that has no identity, end is called with a
// *Refusal when its time for that is over. arrived must be called when the message is there.
func (a *Admission) Expect(end context.CancelCauseFunc) (arrived func() bool) {
	if !a.Stranger() {
		return func() bool { return true }
	}
	return time.AfterFunc(strangersTime, func() {
		end(a.control.refuse(&Refusal{
			Kind: Unauthenticated, Detail: "without an identity a message of a stream has " + strangersTime.String(),
		}))
	}).Stop
}

// Hold returns the context that the handler of the RPC is to have: it ends, with a *Refusal as its cause, as soon as the caller
// would not be admitted any more, by an Update. release must be called when the handler has returned.
func (a *Admission) Hold(ctx context.Context) (held context.Context, release func()) {
	if !a.control.closed {
		return ctx, func() {}
	}
	held, cancel := context.WithCancelCause(ctx)
	judge := func() {
		if err := a.judge(); err != nil {
			cancel(err)
		}
	}
	a.control.mu.Lock()
	a.control.live[a] = judge
	a.control.mu.Unlock()
	if a.control.snapshot.Load() != a.snapshot { // replaced since Admit, perhaps before it stood in live
		judge()
	}
	return held, func() {
		a.control.mu.Lock()
		delete(a.control.live, a)
		a.control.mu.Unlock()
		cancel(nil)
	}
}

// judge decides again, by what holds now.
func (a *Admission) judge() error {
	s := a.control.snapshot.Load()
	if a.Stranger() {
		if !s.forStrangers(a.method) {
			return a.control.refuse(&Refusal{Kind: Unauthenticated, Detail: "the method is not for everyone any more"})
		}
		return nil
	}
	if s.Reflection == ByNobody && isReflection(a.method) {
		return a.control.refuse(&Refusal{Kind: MethodDenied, Detail: "reflection is for nobody any more"})
	}
	who, err := s.Identity.Identify(a.conn, a.authorization, now())
	if err == nil && who.Name != a.identity.Name {
		err = fmt.Errorf("the caller is %s now", who.Name)
	}
	if err != nil {
		return a.control.refuse(&Refusal{Kind: Unauthenticated, Caller: a.identity.Name, Detail: detailOf(err)})
	}
	return nil
}

// detailOf is what the log is told of an identity that is not there, or not believed.
func detailOf(err error) string {
	if e, ok := errors.AsType[*identity.Error](err); ok {
		return e.Detail
	}
	return err.Error()
}

// refuse counts.
func (c *Control) refuse(r *Refusal) *Refusal {
	c.refused[r.Kind].Add(1)
	return r
}

// crowd is how many RPCs without an identity there are. The Control's mu protects it.
type crowd struct {
	byPeer map[string]int // none is 0
	all    int            // their sum
}

// crowdOf is that of a method's kind: those who watch for half an hour leave those a place who ask once.
func (c *Control) crowdOf(method string) *crowd {
	if isUnary(method) {
		return &c.askers
	}
	return &c.watchers
}

// enter takes a place for an RPC of peer. It returns 0, or the limit that is reached.
func (s *crowd) enter(c *Control, peer string) (limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.byPeer[peer] >= strangersPerPeer:
		return strangersPerPeer
	case s.all >= strangersAtMost:
		return strangersAtMost
	}
	s.all++
	s.byPeer[peer]++
	return 0
}

func (s *crowd) leave(c *Control, peer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.all--
	if s.byPeer[peer]--; s.byPeer[peer] == 0 {
		delete(s.byPeer, peer)
	}
}

// forStrangers reports whether a method is for callers without an identity. What they may ask of grpc.health.v1 is for its
// handler to bound.
func (s *snapshot) forStrangers(method string) bool {
	switch method {
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List":
		return true
	default:
		return s.Reflection == ByAnyone && isReflection(method)
	}
}

func isUnary(method string) bool {
	return method == "/grpc.health.v1.Health/Check" || method == "/grpc.health.v1.Health/List"
}

func isReflection(method string) bool { return strings.HasPrefix(method, "/grpc.reflection.") }
