package client

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// CheckOption says how the targets of one call are probed. Options are applied in order, the last of a kind holds. The
// service judges the values: one out of range fails the call with INVALID_ARGUMENT, and nothing is probed.
type CheckOption interface {
	applyToCheck(*tcpshakerv1.CheckOptions)
}

type checkOptionFunc func(*tcpshakerv1.CheckOptions)

func (f checkOptionFunc) applyToCheck(o *tcpshakerv1.CheckOptions) { f(o) }

// checkOptions returns opts as a message; nil where there are none, so that they cost nothing on the wire.
func checkOptions(opts []CheckOption) *tcpshakerv1.CheckOptions {
	if len(opts) == 0 {
		return nil
	}
	options := new(tcpshakerv1.CheckOptions)
	for _, opt := range opts {
		opt.applyToCheck(options)
	}
	return options
}

// WithTimeout bounds one handshake, from its SYN to the answer: 1 ms to 60 s, or what [Limits]
// tells. 0 has no effect. Name lookup and waiting inside the service count against the context's
// deadline, never against this. Set it below the context's deadline divided by the attempts: if
// the deadline passes first, silence is [Inconclusive] and not [Unreachable].
//
// By default it is 2 s, or [Limits].MaxTimeout if that is less, so that a SYN that was lost and
// sent again after 1 s can still be answered. In [Client.Check] the service shortens that default,
// to no less than 1.2 s, if the context's deadline leaves less than 2 s for each attempt: with one
// attempt and a deadline of 2 s it is 1.88 s. In [Client.CheckAll] and [Client.Stream] the default
// stays.
func WithTimeout(timeout time.Duration) CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) {
		if timeout != 0 {
			o.Timeout = durationpb.New(timeout)
		}
	})
}

// WithAttempts makes up to n handshakes with each address, 1 to 16, each from a fresh source port.
// The next one follows silence at once, and the service's own trouble after 200 ms, or after the
// timeout if that is shorter. By default it is 1. 0 has no effect.
func WithAttempts(n int) CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) {
		switch {
		case n < 0 || uint64(n) > math.MaxUint32: // stays out of range, so that the service refuses it
			o.Attempts = math.MaxUint32
		case n > 0:
			o.Attempts = uint32(n)
		}
	})
}

// WithExhaustive makes all attempts, 10 ms apart, whatever they bring, and waits for all of them: Completed of Attempted is
// then a measure of loss. By default the verdict is told as soon as it is certain.
func WithExhaustive() CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) { o.Exhaustive = true })
}

// WithAddressPolicy says which addresses of a name must be reachable. By default it is [FirstAddress]. The zero value has no
// effect, and the option has none on a target that is an address.
func WithAddressPolicy(policy AddressPolicy) CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) {
		if policy != 0 {
			o.Addresses = tcpshakerv1.AddressPolicy(policy)
		}
	})
}

// WithIPFamily restricts a name to its addresses of one family; an address of the other is an invalid target. By default
// both families are used. The zero value has no effect.
func WithIPFamily(family IPFamily) CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) {
		if family != 0 {
			o.IpFamily = tcpshakerv1.IpFamily(family)
		}
	})
}

// WithEvidence fills [Result].Handshakes with what each handshake brought. By default it is empty.
func WithEvidence() CheckOption {
	return checkOptionFunc(func(o *tcpshakerv1.CheckOptions) { o.Evidence = true })
}

// AddressPolicy says which addresses of a name must be reachable for the name to be [Reachable]. The zero value leaves it to
// the service, which takes FirstAddress.
type AddressPolicy int32

const (
	// FirstAddress probes one address alone, the first in the order of RFC 6724.
	FirstAddress = AddressPolicy(tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST)
	// AnyAddress is reachable if one address is, else inconclusive if one is, or if one family of the name could not be
	// looked up, else unreachable.
	AnyAddress = AddressPolicy(tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY)
	// AllAddresses is unreachable if one address is, else inconclusive if one is, else reachable. It is never reachable if
	// the name has more than 16 addresses, or if one family of it could not be looked up.
	AllAddresses = AddressPolicy(tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL)
)

var addressPolicyNames = names[AddressPolicy]{"address policy", map[AddressPolicy]string{
	FirstAddress: "first", AnyAddress: "any", AllAddresses: "all",
}}

// String returns `first`, `any` or `all`.
func (p AddressPolicy) String() string { return addressPolicyNames.text(p) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (p AddressPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (p *AddressPolicy) UnmarshalText(text []byte) error { return addressPolicyNames.set(p, text) }

// IPFamily is a version of the Internet Protocol. The zero value means both.
type IPFamily int32

const (
	// IPv4 uses A records.
	IPv4 = IPFamily(tcpshakerv1.IpFamily_IP_FAMILY_IPV4)
	// IPv6 uses AAAA records.
	IPv6 = IPFamily(tcpshakerv1.IpFamily_IP_FAMILY_IPV6)
)

var ipFamilyNames = names[IPFamily]{"IP family", map[IPFamily]string{0: "both", IPv4: "IPv4", IPv6: "IPv6"}}

// String returns `IPv4`, `IPv6` or, of the zero value, `both`.
func (f IPFamily) String() string { return ipFamilyNames.text(f) }

// MarshalText implements encoding.TextMarshaler with the text of String. The error is always nil.
func (f IPFamily) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what MarshalText gives.
func (f *IPFamily) UnmarshalText(text []byte) error { return ipFamilyNames.set(f, text) }
