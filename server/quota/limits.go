package quota

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The greatest figures of DestinationLimits.
const (
	MaxPorts  = 128
	MaxWindow = 30 * 24 * time.Hour
)

// DestinationLimits is what may be done to one destination. The zero value is no limits, and each field's zero is none of that
// kind. A value must not change while it is used; a reload brings another one.
type DestinationLimits struct {
	// PerAddress is the rate of handshakes with one address, by all callers together.
	PerAddress Rate

	// PerPrefix is the rate of handshakes with all addresses of one prefix, by all callers together.
	PerPrefix Rate

	// IPv4Bits and IPv6Bits are how long those prefixes are: 0 to 32, and 0 to 128. They have no defaults here: 0 is the whole
	// family. Values outside count as the nearest inside.
	IPv4Bits, IPv6Bits int

	// Ports is how many distinct ports of one address a caller may touch in a Window, 1 to MaxPorts; more counts as MaxPorts. 0:
	// any number.
	Ports int

	// Window is how long a port counts after it was last touched, 1 ns to MaxWindow. A slide, not a grid: there is no moment at
	// which all ports are forgiven. It is kept to 2 µs, on the long side. Without Ports it means nothing.
	Window time.Duration
}

// Validate returns all that is wrong with l; the figures of a rate that is not in use are not looked at.
func (l *DestinationLimits) Validate() error {
	var errs []error
	if err := l.PerAddress.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("per address: %w", err))
	}
	if err := l.PerPrefix.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("per prefix: %w", err))
	}
	if l.IPv4Bits < 0 || l.IPv4Bits > 32 {
		errs = append(errs, fmt.Errorf("prefix of IPv4 of %d bits: must be 0 to 32", l.IPv4Bits))
	}
	if l.IPv6Bits < 0 || l.IPv6Bits > 128 {
		errs = append(errs, fmt.Errorf("prefix of IPv6 of %d bits: must be 0 to 128", l.IPv6Bits))
	}
	if l.Ports < 0 || l.Ports > MaxPorts {
		errs = append(errs, fmt.Errorf("%d ports per address: must be 0 (no limit) to %d", l.Ports, MaxPorts))
	}
	if l.Ports != 0 && (l.Window <= 0 || l.Window > MaxWindow) {
		errs = append(errs, fmt.Errorf("window of ports of %v: must be 1ns to %v", l.Window, MaxWindow))
	}
	return errors.Join(errs...)
}

// Limit is one of the DestinationLimits.
type Limit uint8

// The zero Limit is none.
const (
	PerAddress Limit = iota + 1
	PerPrefix
	PortsPerAddress
)

// String returns what an operator calls the limit in the configuration, such as "per_address".
func (l Limit) String() string {
	switch l {
	case 0:
		return "none"
	case PerAddress:
		return "per_address"
	case PerPrefix:
		return "per_prefix"
	case PortsPerAddress:
		return "ports_per_address"
	default:
		return "limit " + strconv.Itoa(int(l))
	}
}

// Excess says why a Take was refused. The zero value is no excess.
type Excess struct {
	// Limit is the first limit without room for the Take. A limit into which the Take does not fit
	// at all comes before those that are only used up.
	Limit Limit

	// Wait is how long until all limits would let the same Take through if nobody else came; at
	// least 1 ns. It is 0 if they never would. Of several ports of one address each has a wait of
	// its own.
	Wait time.Duration

	// Need and Most are set only if Wait is 0. Need is how many handshakes with one address or
	// prefix, or ports of one address, the Take asks for. Most is how many the limit can have.
	Need, Most int
}
