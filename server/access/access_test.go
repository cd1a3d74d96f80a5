package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const method = "/tcpshaker.v1.ShakerService/Check"

// config makes each of callers known by a token that is its name.
func config(t *testing.T, callers ...Caller) Config {
	t.Helper()
	var known []identity.Caller
	for _, c := range callers {
		known = append(known, identity.Caller{Name: c.Name, TokenSHA256: [][sha256.Size]byte{identity.HashToken(c.Name)}})
	}
	state, err := identity.NewState(known, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Identity: state, Callers: callers}
}

func newControl(t *testing.T, c Config) *Control {
	t.Helper()
	control, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return control
}

func admit(t *testing.T, c *Control, token string) *Admission {
	t.Helper()
	a, err := c.Admit(t.Context(), method, "peer", []string{"Bearer " + token})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// charge charges n to the caller and to the service, at once.
func charge(v *View, n int) error {
	if _, err := v.ChargeCaller(n, 0); err != nil {
		return err
	}
	if _, err := v.ChargeService(n, 0); err != nil {
		v.ReturnCaller(n)
		return err
	}
	return nil
}

func everything(t *testing.T) *policy.Rules {
	t.Helper()
	rule, err := policy.ParseRule("0.0.0.0/0:*")
	if err != nil {
		t.Fatal(err)
	}
	return policy.Compile([]policy.AccessRule{rule}, nil)
}

var target = netip.MustParseAddrPort("192.0.2.1:80")

// TestClosedStaysClosed: no Update makes a closed Control open, nor an open one closed, and one that fails changes nothing.
func TestClosedStaysClosed(t *testing.T) {
	closed := newControl(t, config(t, Caller{Name: "edge", Rules: everything(t)}))
	state, err := identity.NewState(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []Config{
		{},
		{Identity: state, Anyone: true},
		{Identity: state, Callers: []Caller{{Name: ""}}},
		{Identity: state, Rate: quota.Rate{PerSecond: 1}},
		{Identity: state, Destinations: quota.DestinationLimits{Ports: -1}},
		{Identity: state, Callers: []Caller{{Name: "a", Outstanding: -1}}},
	} {
		if err := closed.Update(next); err == nil {
			t.Errorf("updated to %+v", next)
		}
		a := admit(t, closed, "edge")
		if v := a.View(); v.Addr(target) != nil {
			t.Error("a failed update changed something")
		}
		a.Leave()
	}
	if err := closed.Update(Config{Identity: state}); err != nil { // nobody may anything any more
		t.Fatal(err)
	}
	if _, err := closed.Admit(t.Context(), method, "peer", []string{"Bearer edge"}); err == nil {
		t.Error("a caller that is gone was admitted")
	}
	open := newControl(t, Config{})
	if err := open.Update(Config{Identity: state}); err == nil {
		t.Error("an open one was closed: its running RPCs would not be asked")
	}
}

// TestZeroViewAllowsNothing, nor that of an Admission which is not there.
func TestZeroViewAllowsNothing(t *testing.T) {
	var nobody *Admission
	for _, v := range []View{{}, nobody.View()} {
		if v.Addr(target) == nil || v.Name("a.example", 80) == nil || v.Named(target) == nil || v.Reveals() {
			t.Error("allowed")
		}
		if err := charge(&v, 1); err != nil || v.Rated() || v.Destined() || v.AuditProbes() || v.Take(3) != 3 || v.Room() != nil {
			t.Error("charged")
		}
		for _, book := range []func(int) (time.Duration, error){v.BookCaller, v.BookService} {
			if wait, err := book(1); wait != 0 || err != nil {
				t.Error("booked")
			}
		}
		if turn, over := v.Turn(); turn != nil || over != nil || v.Replaced() != nil || v.Burst() != 0 {
			t.Error("a turn")
		}
		v.Return(1)
		v.ReturnAll(&View{}, 1, 1)
		v.Add(1)
		v.Denied()
		v.Limited()
		v.ReturnDestination(target, 1)
	}
}

// TestCallerWithoutRulesMayNothing: nil rules are not those of policy, where nil means that there are no callers.
func TestCallerWithoutRulesMayNothing(t *testing.T) {
	c := newControl(t, config(t, Caller{Name: "edge"}))
	a := admit(t, c, "edge")
	defer a.Leave()
	if v := a.View(); v.Addr(target) == nil || v.Name("a.example", 80) == nil || v.Named(target) == nil {
		t.Error("allowed")
	}
}

// TestUpdateKeepsAccounts: a reload gives nobody a fresh burst, nor does coming by another connection.
func TestUpdateKeepsAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edge := Caller{Name: "edge", Rules: everything(t), Rate: quota.Rate{PerSecond: 1, Burst: 1000}}
		c := newControl(t, config(t, edge))
		chargeEdge := func(n int) error {
			a := admit(t, c, "edge")
			defer a.Leave()
			v := a.View()
			return charge(&v, n)
		}
		if err := chargeEdge(900); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := c.Update(config(t, edge)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Update(config(t)); err != nil { // the caller is gone,
			t.Fatal(err)
		}
		if err := c.Update(config(t, edge)); err != nil { // and comes back
			t.Fatal(err)
		}
		var refused *Refusal
		if err := chargeEdge(101); !errors.As(err, &refused) || refused.Kind != CallerRate || refused.Wait != time.Second || refused.Limit != 1000 {
			t.Errorf("101 of 100: %v", err)
		}
		if err := chargeEdge(100); err != nil {
			t.Error(err)
		}
	})
}

// TestServiceRateGivesBack: what the service's rate refuses is not taken from the caller's.
func TestServiceRateGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config(t, Caller{Name: "edge", Rules: everything(t), Rate: quota.Rate{PerSecond: 1, Burst: 1000}})
		conf.Rate = quota.Rate{PerSecond: 1, Burst: 500}
		c := newControl(t, conf)
		a := admit(t, c, "edge")
		defer a.Leave()
		v := a.View()
		var refused *Refusal
		if err := charge(&v, 501); !errors.As(err, &refused) || refused.Kind != ServiceRate {
			t.Errorf("501 of 500: %v", err)
		}
		if err := charge(&v, 500); err != nil {
			t.Error(err)
		}
		conf.Rate = quota.Rate{}
		if err := c.Update(conf); err != nil {
			t.Fatal(err)
		}
		v = a.View()
		if err := charge(&v, 500); err != nil {
			t.Errorf("what the service refused was charged to the caller: %v", err)
		}
		if got := c.Stats().Refused[ServiceRate]; got != 1 {
			t.Errorf("%d refusals counted", got)
		}
	})
}

// TestLeaveOnce: a place comes back once, however often, and from wherever, Leave is called.
func TestLeaveOnce(t *testing.T) {
	c := newControl(t, config(t, Caller{Name: "edge", RPCs: 2}))
	first, second := admit(t, c, "edge"), admit(t, c, "edge")
	if _, err := c.Admit(t.Context(), method, "peer", []string{"Bearer edge"}); err == nil {
		t.Error("a third of two")
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(first.Leave)
	}
	wg.Wait()
	third := admit(t, c, "edge")
	if _, err := c.Admit(t.Context(), method, "peer", []string{"Bearer edge"}); err == nil {
		t.Error("a place came back twice")
	}
	second.Leave()
	third.Leave()
}

// TestAnonymous: by method, and with nothing but the right headers.
func TestAnonymous(t *testing.T) {
	for _, reflection := range []Reflection{ByCallers, ByAnyone, ByNobody} {
		conf := config(t, Caller{Name: "edge"})
		conf.Reflection = reflection
		c := newControl(t, conf)
		for name, want := range map[string]bool{
			"/grpc.health.v1.Health/Check": true, "/grpc.health.v1.Health/Watch": true, "/grpc.health.v1.Health/List": true,
			"/grpc.health.v1.Health/Other": false, "/grpc.health.v1.Health/Check/": false, "/grpc.health.v1.Health/check": false,
			"": false, method: false, "/tcpshaker.v1.ShakerService/GetVantage": false, "/tcpshaker.v1.ShakerService/StreamCheck": false,
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      reflection == ByAnyone,
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": reflection == ByAnyone,
		} {
			a, err := c.Admit(t.Context(), name, "peer", nil)
			if (err == nil) != want {
				t.Errorf("reflection %d, %q: %v", reflection, name, err)
			}
			if err != nil {
				continue
			}
			if v := a.View(); !a.Stranger() || v.Addr(target) == nil {
				t.Errorf("%q: a stranger may probe", name)
			}
			a.Leave()
			if _, err := c.Admit(t.Context(), name, "peer", []string{"Bearer wrong"}); err == nil {
				t.Errorf("%q with a wrong token", name)
			}
		}
	}
}

// TestStrangersAreFew: 8 of one peer, 256 in all, and places come back; who watches leaves a place to who asks.
func TestStrangersAreFew(t *testing.T) {
	c := newControl(t, config(t))
	const health = "/grpc.health.v1.Health/Watch"
	var all []*Admission
	for peer := range 40 {
		for range 10 {
			if a, err := c.Admit(t.Context(), health, strings.Repeat("p", peer), nil); err == nil {
				all = append(all, a)
			}
		}
		if want := min(256, 8*(peer+1)); len(all) != want {
			t.Fatalf("%d after %d peers, want %d", len(all), peer+1, want)
		}
	}
	asked, err := c.Admit(t.Context(), "/grpc.health.v1.Health/Check", "p", nil)
	if err != nil {
		t.Errorf("a Check beside all the watches: %v", err)
	}
	asked.Leave()
	for _, a := range all {
		a.Leave()
	}
	for _, s := range []crowd{c.askers, c.watchers} {
		if s.all != 0 || len(s.byPeer) != 0 {
			t.Errorf("left: %+v", s)
		}
	}
}

// TestHold: the context of an RPC ends when an Update turns its caller out, also where that came between Admit and Hold, and not
// when it does not.
func TestHold(t *testing.T) {
	edge, other := Caller{Name: "edge"}, Caller{Name: "other"}
	c := newControl(t, config(t, edge, other))
	ended := func(ctx context.Context) bool {
		refused, ok := errors.AsType[*Refusal](context.Cause(ctx))
		return ctx.Err() != nil && ok && refused.Kind == Unauthenticated
	}
	a, late, b := admit(t, c, "edge"), admit(t, c, "edge"), admit(t, c, "other")
	held, release := a.Hold(t.Context())
	kept, releaseKept := b.Hold(t.Context())
	if err := c.Update(config(t, edge, other)); err != nil || held.Err() != nil {
		t.Errorf("nothing has changed for it: %v, %v", err, held.Err())
	}
	if err := c.Update(config(t, other)); err != nil {
		t.Fatal(err)
	}
	lateHeld, releaseLate := late.Hold(t.Context())
	if !ended(held) || !ended(lateHeld) || kept.Err() != nil {
		t.Errorf("held %v, late %v, kept %v", context.Cause(held), context.Cause(lateHeld), kept.Err())
	}
	release()
	releaseKept()
	releaseLate()
	if len(c.live) != 0 {
		t.Errorf("%d live", len(c.live))
	}
}

// TestStrangersHaveLittleTime: their unary RPCs end after 10 s, whatever they wait for.
func TestStrangersHaveLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newControl(t, config(t))
		a, err := c.Admit(t.Context(), "/grpc.health.v1.Health/Check", "peer", nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := a.Limit(t.Context())
		defer cancel()
		<-ctx.Done()
		if _, ok := context.Cause(ctx).(*Refusal); time.Since(began) != 10*time.Second || !ok {
			t.Errorf("after %v: %v", time.Since(began), context.Cause(ctx))
		}
	})
}

// TestOutstandingIsNeverExceeded, whoever takes at the same time, and who waits for room hears of it.
func TestOutstandingIsNeverExceeded(t *testing.T) {
	c := newControl(t, config(t, Caller{Name: "edge", Outstanding: 100}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			a := admit(t, c, "edge")
			defer a.Leave()
			v := a.View()
			for taken := 0; taken < 10000; {
				n := v.Take(37)
				if used := c.accounts["edge"].targets.Load(); used > 100 {
					t.Errorf("%d outstanding", used)
				}
				if n == 0 {
					room := v.Room()
					if n = v.Take(37); n == 0 {
						<-room
						continue
					}
				}
				taken += n
				v.Add(-n)
			}
		})
	}
	wg.Wait()
	if used := c.accounts["edge"].targets.Load(); used != 0 {
		t.Errorf("%d left", used)
	}
}
