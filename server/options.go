package server

import (
	"fmt"
	"time"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/shaker"
)

// maxAttempts is the upper end of CheckOptions.attempts. A probe's ID has room for more (see probeID).
const maxAttempts = 16

// options are the CheckOptions of one message, decoded: every field is set, and in range. They are not changed once made,
// and shared by the targets of their message.
type options struct {
	timeout      time.Duration
	timeoutUnset bool // the caller left the timeout to the service; see timeoutOf
	attempts     int
	exhaustive   bool
	addresses    tcpshakerv1.AddressPolicy // FIRST, ANY or ALL
	family       tcpshakerv1.IpFamily      // unspecified: both
	evidence     bool
}

// decodeOptions reads o, which may be nil, and returns a violation for each field that is out of range. The options are of
// use only where there is none.
func decodeOptions(o *tcpshakerv1.CheckOptions, maxTimeout time.Duration) (*options, []violation) {
	decoded := &options{
		timeout:      min(shaker.DefaultTimeout, maxTimeout),
		timeoutUnset: o.GetTimeout() == nil,
		attempts:     1,
		exhaustive:   o.GetExhaustive(),
		addresses:    tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST,
		family:       o.GetIpFamily(),
		evidence:     o.GetEvidence(),
	}
	var wrong []violation

	if d := o.GetTimeout(); d != nil {
		decoded.timeout = d.AsDuration()
		if !d.IsValid() || decoded.timeout < MinTimeout || decoded.timeout > maxTimeout {
			wrong = append(wrong, violation{"options.timeout", fmt.Sprintf("must be %v to %v", MinTimeout, maxTimeout)})
		}
	}

	if n := o.GetAttempts(); n > maxAttempts {
		wrong = append(wrong, violation{"options.attempts", fmt.Sprintf("must be at most %d", maxAttempts)})
	} else if n > 0 {
		decoded.attempts = int(n)
	}

	switch policy := o.GetAddresses(); policy {
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_UNSPECIFIED:
	case tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST,
		tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ANY,
		tcpshakerv1.AddressPolicy_ADDRESS_POLICY_ALL:
		decoded.addresses = policy
	default:
		wrong = append(wrong, violation{"options.addresses", "not a known address policy"})
	}

	switch decoded.family {
	case tcpshakerv1.IpFamily_IP_FAMILY_UNSPECIFIED,
		tcpshakerv1.IpFamily_IP_FAMILY_IPV4,
		tcpshakerv1.IpFamily_IP_FAMILY_IPV6:
	default:
		wrong = append(wrong, violation{"options.ip_family", "not a known IP family"})
	}
	return decoded, wrong
}

// addressesAtMost is how many addresses of a name are probed.
func (o *options) addressesAtMost() int {
	if o.addresses == tcpshakerv1.AddressPolicy_ADDRESS_POLICY_FIRST {
		return 1
	}
	return maxAddresses
}
