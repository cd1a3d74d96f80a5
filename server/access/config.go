package access

import (
	"errors"
	"fmt"
	"math"

	"github.com/CarterTsai/tcp-shaker/server/identity"
	"github.com/CarterTsai/tcp-shaker/server/policy"
	"github.com/CarterTsai/tcp-shaker/server/quota"
)

// Config says who may do what. The zero value is open: everyone may ask for everything but the never-list, as often as they
// like.
type Config struct {
	// Policy is the never-list, which holds whoever asks. nil: that of policy.New(policy.Config{}), for a service that only this
	// machine's own users can reach.
	Policy *policy.Policy

	// Identity tells who makes an RPC, and has the TLS of listeners. nil: nobody is asked, and Callers must be empty; then the
	// Control is open. Not nil, it is closed, also where Callers is empty, unless Anyone is set.
	Identity *identity.State

	// Anyone says that Identity is there for its TLS alone: the Control is open, and Callers must be empty.
	Anyone bool

	// Callers are what those may whom Identity names. One that Identity can name and that is missing here may nothing.
	Callers []Caller

	// Rate bounds the handshakes of all callers together. Zero: no limit. As of a caller's, a Check never has more than its
	// Burst at once, and a stream's target that costs more waits for it.
	Rate quota.Rate

	// Destinations bounds the handshakes with one destination, by all callers together, and the ports that one caller touches.
	// Zero: no limits.
	Destinations quota.DestinationLimits

	// Reflection is who may use server reflection. Zero: ByCallers.
	Reflection Reflection

	// AuditProbes asks for a line in the log for each probe and each denied target, beside the one for each RPC.
	AuditProbes bool
}

// Caller is what one caller may.
type Caller struct {
	// Name is what identity.Identity calls it. Not empty, and unique.
	Name string
	// Rules are what it may have probed. nil: nothing.
	Rules *policy.Rules
	// Rate bounds its handshakes, all its RPCs together. Zero: no limit.
	Rate quota.Rate
	// Outstanding bounds its targets under way, all its RPCs together. 0: no limit.
	Outstanding int
	// RPCs bounds the RPCs that it has at a time, of any method. 0: no limit.
	RPCs int
}

// Reflection says who may use server reflection (grpc.reflection).
type Reflection uint8

const (
	// ByCallers: those with an identity; everyone, where nobody is asked for one.
	ByCallers Reflection = iota
	// ByAnyone: also those without.
	ByAnyone
	// ByNobody: no one.
	ByNobody
)

// closed reports whether callers are asked who they are.
func (c *Config) closed() bool { return c.Identity != nil && !c.Anyone }

// validate returns all that is wrong with c.
func (c *Config) validate() error {
	var errs []error
	if !c.closed() && len(c.Callers) > 0 {
		errs = append(errs, errors.New("callers whom nobody asks who they are"))
	}
	seen := make(map[string]bool)
	for i := range c.Callers {
		caller := &c.Callers[i]
		if caller.Name == "" || seen[caller.Name] {
			errs = append(errs, fmt.Errorf("caller %q: the name is empty or given twice", caller.Name))
		}
		seen[caller.Name] = true
		if err := caller.Rate.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("caller %q: %w", caller.Name, err))
		}
		if min(caller.Outstanding, caller.RPCs) < 0 || max(caller.Outstanding, caller.RPCs) > math.MaxInt32 {
			errs = append(errs, fmt.Errorf("caller %q: outstanding and rpcs must be 0 to %d", caller.Name, math.MaxInt32))
		}
	}
	if err := c.Rate.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("rate of all callers: %w", err))
	}
	if err := c.Destinations.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("destinations: %w", err))
	}
	if c.Reflection > ByNobody {
		errs = append(errs, fmt.Errorf("reflection %d is not known", c.Reflection))
	}
	return errors.Join(errs...)
}
