package access

import (
	"errors"
	"net/netip"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// View is what an RPC may at a moment. Ask for another with each message. The zero value allows nothing. A View may be copied; its
// methods may be called from any goroutine, and none blocks.
type View struct {
	control  *Control
	snapshot *snapshot
	caller   *Caller  // nil where the Control is open, or the caller is gone
	account  *account // nil where the Control is open
}

// View returns what holds now.
func (a *Admission) View() View {
	if a == nil {
		return View{}
	}
	v := View{control: a.control, snapshot: a.control.snapshot.Load(), account: a.account}
	if a.account != nil {
		v.caller = v.snapshot.callers[a.identity.Name]
	}
	return v
}

// open reports whether nobody is asked who they are.
func (v *View) open() bool { return v.control != nil && !v.control.closed }

// rules are what the caller may have probed: nil where nobody is asked who they are, which package policy takes as such, and an
// error where there is nobody who may have anything.
func (v *View) rules() (*policy.Rules, error) {
	switch {
	case v.open():
		return nil, nil
	case v.caller == nil || v.caller.Rules == nil:
		return nil, ErrDenied
	default:
		return v.caller.Rules, nil
	}
}

// ErrDenied is what View.Addr, Name and Named return where there is no caller with rules.
var ErrDenied = errors.New("the caller may have nothing probed")

// Replaced returns a channel that is closed once another View is in force; nil, hence never, of the zero value.
func (v *View) Replaced() <-chan struct{} {
	if v.snapshot == nil {
		return nil
	}
	return v.snapshot.replaced
}

// Turn gives this RPC its Turn at the service's rate. Where another RPC of the caller has it, over is not nil, and closed when that is
// over; then ask again. Both are nil where there is no such rate, or nobody is asked who they are: then there are no turns.
func (v *View) Turn() (turn *Turn, over <-chan struct{}) {
	if v.account == nil || v.serviceRate().PerSecond == 0 {
		return nil, nil
	}
	return v.account.takeTurn()
}

// Reveals reports whether the caller may be told why a target is denied. Where callers have rules it may not: the rules would
// be told, and by the addresses of a name what the service's own resolver knows.
func (v *View) Reveals() bool { return v.open() }

// Addr returns nil where a target that is an address may be probed. An error is a *policy.DeniedError or ErrDenied.
func (v *View) Addr(addr netip.AddrPort) error {
	rules, err := v.rules()
	if err != nil {
		return err
	}
	return v.snapshot.Policy.AllowFor(rules, addr)
}

// Name returns nil where a name may be looked up to be probed at that port; each of its addresses is then for Named. An error is
// as Addr's.
func (v *View) Name(name string, port uint16) error {
	rules, err := v.rules()
	if err != nil {
		return err
	}
	return rules.AllowName(name, port)
}

// Named returns nil where an address of a name that Name allowed may be probed. An error is as Addr's.
func (v *View) Named(addr netip.AddrPort) error {
	rules, err := v.rules()
	if err != nil {
		return err
	}
	return v.snapshot.Policy.AllowNamed(rules, addr)
}

// Denied counts a target that Addr, Name or Named denied.
func (v *View) Denied() {
	if v.control != nil {
		v.control.denied.Add(1)
	}
}

// Limited counts a target that came too often to its destination.
func (v *View) Limited() {
	if v.control != nil {
		v.control.limited.Add(1)
	}
}

// AuditProbes reports whether each probe is to be logged.
func (v *View) AuditProbes() bool { return v.snapshot != nil && v.snapshot.AuditProbes }

// name is the caller's; empty where it has none.
func (v *View) name() string {
	if v.caller == nil {
		return ""
	}
	return v.caller.Name
}

// callerRate is the caller's own.
func (v *View) callerRate() quota.Rate {
	if v.caller == nil {
		return quota.Rate{}
	}
	return v.caller.Rate
}

// serviceRate is that of all callers together.
func (v *View) serviceRate() quota.Rate {
	if v.snapshot == nil {
		return quota.Rate{}
	}
	return v.snapshot.Rate
}

// Rated reports whether handshakes are counted at all, but for destinations.
func (v *View) Rated() bool { return v.callerRate().PerSecond > 0 || v.serviceRate().PerSecond > 0 }

// ChargeCaller takes n handshakes from the caller's own rate: they may be made after wait. It takes all or nothing: a *Refusal
// tells that the rate does not allow n, or not before most has passed. Turn and ChargeService have to follow, once that wait is over:
// who waits for a small rate of its own must not keep others from the service's meanwhile. Without a rate, or with n 0, wait is 0
// and nothing is taken, here and below.
func (v *View) ChargeCaller(n int, most time.Duration) (wait time.Duration, err error) {
	if rate := v.callerRate(); rate.PerSecond > 0 {
		wait, ok := v.account.bucket.Take(rate, now(), n, most)
		return v.charged(CallerRate, rate, n, wait, ok)
	}
	return 0, nil
}

// ChargeService is ChargeCaller for the rate of all callers together.
func (v *View) ChargeService(n int, most time.Duration) (wait time.Duration, err error) {
	if rate := v.serviceRate(); rate.PerSecond > 0 {
		wait, ok := v.control.service.Take(rate, now(), n, most)
		return v.charged(ServiceRate, rate, n, wait, ok)
	}
	return 0, nil
}

// BookCaller is ChargeCaller for who can wait as long as it takes: n may be more than the rate allows at once. A *Refusal tells of
// a wait of more than 36 years. Turn and BookService have to follow.
func (v *View) BookCaller(n int) (wait time.Duration, err error) {
	if rate := v.callerRate(); rate.PerSecond > 0 {
		wait, ok := v.account.bucket.Book(rate, now(), n)
		return v.booked(CallerRate, rate, wait, ok)
	}
	return 0, nil
}

// BookService is BookCaller for the rate of all callers together.
func (v *View) BookService(n int) (wait time.Duration, err error) {
	if rate := v.serviceRate(); rate.PerSecond > 0 {
		wait, ok := v.control.service.Book(rate, now(), n)
		return v.booked(ServiceRate, rate, wait, ok)
	}
	return 0, nil
}

// charged makes a *Refusal of what a bucket has not given. What never fits in it has no wait.
func (v *View) charged(kind Kind, r quota.Rate, n int, wait time.Duration, ok bool) (time.Duration, error) {
	if ok {
		return wait, nil
	}
	if n > r.Full() {
		return 0, v.refuseForGood(kind, r.Full(), n)
	}
	return 0, v.Refuse(kind, r.Full(), wait)
}

// booked is charged for what was booked. A wait of more than 36 years is none.
func (v *View) booked(kind Kind, r quota.Rate, wait time.Duration, ok bool) (time.Duration, error) {
	if ok {
		return wait, nil
	}
	return 0, v.Refuse(kind, r.Full(), 0)
}

// Fits returns a *Refusal if a Check of so many targets, which may need so many handshakes, could
// not be served however long it waited: it has more than its caller may have outstanding, or than a
// rate allows at once.
func (v *View) Fits(targets, handshakes int) error {
	if _, limit, _ := v.CallerLimits(); limit > 0 && targets > limit {
		return v.refuseForGood(TooManyTargets, limit, targets)
	}
	kind, limit := CallerRate, v.callerRate().Full()
	if all := v.serviceRate().Full(); v.callerRate().PerSecond == 0 || v.serviceRate().PerSecond > 0 && all < limit {
		kind, limit = ServiceRate, all
	}
	if v.Rated() && handshakes > limit {
		return v.refuseForGood(kind, limit, handshakes)
	}
	return nil
}

// Late counts and returns the *Refusal of a Check of n handshakes whose time ran out while it
// waited for its turn. Its Wait is how long until the rates allow n, and at least a second: how
// long the RPC that has the turn takes is not known.
func (v *View) Late(n int) *Refusal {
	kind, limit, wait := CallerRate, v.callerRate().Full(), time.Second
	if rate := v.serviceRate(); rate.PerSecond > 0 {
		kind, limit = ServiceRate, rate.Full()
		wait = max(wait, v.control.service.Until(rate, now(), n))
	}
	if v.account != nil {
		wait = max(wait, v.account.bucket.Until(v.callerRate(), now(), n))
	}
	return v.Refuse(kind, limit, wait)
}

// Return gives back n handshakes that were charged to both, and are not made.
func (v *View) Return(n int) {
	v.ReturnCaller(n)
	v.returnService(n)
}

// ReturnAll gives back handshakes that were charged under was, a View of the same RPC that v has replaced or is: so many to the caller,
// so many to the service. Where a rate was raised since, what stands at it is forgiven already.
func (v *View) ReturnAll(was *View, caller, service int) {
	if v.callerRate().PerSecond <= was.callerRate().PerSecond {
		was.ReturnCaller(caller)
	}
	if v.serviceRate().PerSecond <= was.serviceRate().PerSecond {
		was.returnService(service)
	}
}

// ReturnCaller gives back n handshakes that were charged to the caller alone.
func (v *View) ReturnCaller(n int) {
	if rate := v.callerRate(); rate.PerSecond > 0 {
		v.account.bucket.Return(rate, now(), n)
	}
}

func (v *View) returnService(n int) {
	if rate := v.serviceRate(); rate.PerSecond > 0 {
		v.control.service.Return(rate, now(), n)
	}
}

// Burst is the most that ChargeCaller and ChargeService can allow at once; 0: no limit.
func (v *View) Burst() int {
	burst := 0
	for _, rate := range []quota.Rate{v.callerRate(), v.serviceRate()} {
		if rate.PerSecond > 0 && (burst == 0 || rate.Burst < burst) {
			burst = rate.Burst
		}
	}
	return burst
}

// CallerLimits returns the limits of the caller's own; zero where it has none.
func (v *View) CallerLimits() (rate quota.Rate, outstanding, rpcs int) {
	if v.caller == nil {
		return quota.Rate{}, 0, 0
	}
	return v.caller.Rate, v.caller.Outstanding, v.caller.RPCs
}

// Destination charges n handshakes with each of addrs, which belong to one target, to the limits of their destinations: all or
// nothing. ok is false where one is over its limit, and then excess tells which.
func (v *View) Destination(caller string, addrs []netip.AddrPort, n int) (excess quota.Excess, ok bool) {
	if v.snapshot == nil {
		return quota.Excess{}, true
	}
	return v.control.destinations.Take(&v.snapshot.Destinations, now(), caller, addrs, n)
}

// ReturnDestination gives back n handshakes with addr that were charged and are not made.
func (v *View) ReturnDestination(addr netip.AddrPort, n int) {
	if v.snapshot != nil && n > 0 {
		v.control.destinations.Return(&v.snapshot.Destinations, now(), addr, n)
	}
}

// Destined reports whether destinations have limits.
func (v *View) Destined() bool {
	return v.snapshot != nil && v.snapshot.Destinations != (quota.DestinationLimits{})
}

// Take adds up to n targets to those that the caller has outstanding, as many as its limit leaves, and returns how many.
func (v *View) Take(n int) int { return v.take(n, false) }

// TakeAll is Take for all of n or none; it reports which.
func (v *View) TakeAll(n int) bool { return v.take(n, true) == n }

func (v *View) take(n int, whole bool) int {
	if v.account == nil {
		return n
	}
	_, limit, _ := v.CallerLimits()
	return v.account.take(n, limit, whole)
}

// Add adds n targets to those outstanding, whatever the limit; negative where they are answered.
func (v *View) Add(n int) {
	if v.account != nil {
		v.account.add(n)
	}
}

// Room returns a channel that is closed when the caller has fewer targets outstanding; nil, hence never, where it has no
// limit.
func (v *View) Room() <-chan struct{} {
	if v.account == nil {
		return nil
	}
	return v.account.room()
}
