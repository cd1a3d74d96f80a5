package access

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// Control admits RPCs. Make one with New. Safe for concurrent use.
type Control struct {
	gate         *identity.Gate // nil without an Identity
	closed       bool           // callers are asked who they are
	snapshot     atomic.Pointer[snapshot]
	service      quota.Bucket // of all callers together
	destinations *quota.Destinations

	refused [kinds]atomic.Uint64 // by Kind
	denied  atomic.Uint64        // targets
	limited atomic.Uint64        // targets

	mu       sync.Mutex            // protects what follows
	accounts map[string]*account   // by caller; for ever, so that a caller that comes back finds its debts
	askers   crowd                 // unary RPCs without an identity
	watchers crowd                 // streams without an identity
	live     map[*Admission]func() // admitted RPCs of a closed Control, with what judges them again
}

// snapshot is what holds at a moment. It does not change once it is stored.
type snapshot struct {
	Config
	callers  map[string]*Caller
	replaced chan struct{} // closed once another is in force
}

// New returns a Control for c. Open or closed, it stays so.
func New(c Config) (*Control, error) {
	if c.Policy == nil {
		c.Policy = policy.New(policy.Config{})
	}
	next, err := newSnapshot(c)
	if err != nil {
		return nil, err
	}
	control := &Control{
		destinations: quota.NewDestinations(),
		accounts:     make(map[string]*account),
		askers:       crowd{byPeer: make(map[string]int)},
		watchers:     crowd{byPeer: make(map[string]int)},
		live:         make(map[*Admission]func()),
	}
	control.closed = c.closed()
	if c.Identity != nil {
		control.gate = identity.NewGate(c.Identity)
	}
	control.snapshot.Store(next)
	return control, nil
}

func newSnapshot(c Config) (*snapshot, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	s := &snapshot{Config: c, callers: make(map[string]*Caller, len(c.Callers)), replaced: make(chan struct{})}
	for _, caller := range c.Callers {
		s.callers[caller.Name] = &caller
	}
	return s, nil
}

// Gate is what connections have to pass, so that their other ends are known, and for TLS. nil without an Identity.
func (c *Control) Gate() *identity.Gate { return c.gate }

// Closed reports whether callers are asked who they are, and may nothing that is not allowed to them.
func (c *Control) Closed() bool { return c.closed }

// Update puts next in force, whole, or fails and changes nothing. Without a Policy the present one stays. RPCs whose callers are
// not let in any more end with a *Refusal; all others feel it from their next target on. Rates that have become lower or
// higher hold at once, and what was used of them stays used; who waits for one has to take it anew (View.Replaced).
func (c *Control) Update(next Config) error {
	current := c.snapshot.Load()
	if next.Policy == nil {
		next.Policy = current.Policy
	}
	if (next.Identity == nil) != (current.Identity == nil) || next.closed() != c.closed {
		return errors.New("access: whether callers are asked who they are cannot change")
	}
	s, err := newSnapshot(next)
	if err != nil {
		return err
	}
	if c.gate != nil {
		c.gate.Set(next.Identity)
	}
	c.forgive(current, s)
	c.snapshot.Store(s)
	c.forgive(current, s) // what was booked meanwhile
	close(current.replaced)
	c.judgeAgain()
	c.wake()
	return nil
}

// forgive ends the debts at rates that become higher.
func (c *Control) forgive(current, next *snapshot) {
	if next.Rate.PerSecond > current.Rate.PerSecond {
		c.service.Forgive(now())
	}
	for name, caller := range next.callers {
		if was := current.callers[name]; was != nil && caller.Rate.PerSecond > was.Rate.PerSecond {
			c.account(name).bucket.Forgive(now())
		}
	}
}

// judgeAgain asks of all admitted RPCs whether they still are. An RPC that is admitted meanwhile sees the new snapshot itself:
// it stands in live before it compares (Hold).
func (c *Control) judgeAgain() {
	c.mu.Lock()
	judges := make([]func(), 0, len(c.live))
	for _, judge := range c.live {
		judges = append(judges, judge)
	}
	c.mu.Unlock()
	for _, judge := range judges {
		judge()
	}
}

// wake has all look again who wait for room: their limits may be others now.
func (c *Control) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.accounts {
		a.wake()
	}
}

// account returns the account of a caller.
func (c *Control) account(name string) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.accounts[name]
	if a == nil {
		a = new(account)
		c.accounts[name] = a
	}
	return a
}

// now is the one clock of this package, with its monotonic reading.
func now() time.Time { return time.Now() }

// Stats is what a Control has done since it was made.
type Stats struct {
	// Refused are RPCs that were not admitted, and Checks that were refused for a rate, by kind.
	Refused [kinds]uint64
	// Denied are targets that the policy denied, Limited those that came too often to their destination.
	Denied, Limited uint64
}

// Stats returns the counters. They never fall.
func (c *Control) Stats() Stats {
	s := Stats{Denied: c.denied.Load(), Limited: c.limited.Load()}
	for i := range c.refused {
		s.Refused[i] = c.refused[i].Load()
	}
	return s
}
