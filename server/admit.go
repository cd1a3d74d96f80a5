package server

import (
	"math"
	"net/netip"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
	"github.com/CarterTsai/tcp-shaker/server/target"
)

// decode checks a message as a whole, before anything of it is worked on.
func (s *Server) decode(targets []string, o *tcpshakerv1.CheckOptions) (*options, error) {
	decoded, wrong := decodeOptions(o, s.limits.MaxTimeout)
	if len(targets) == 0 {
		wrong = append(wrong, violation{"targets", "at least one is needed"})
	}
	if len(wrong) > 0 {
		return nil, errInvalid(wrong)
	}
	if len(targets) > s.limits.TargetsPerMessage {
		return nil, errTooManyTargets(s.limits.TargetsPerMessage)
	}
	return decoded, nil
}

// accept decodes a message of a stream and holds its targets, for feed to take them on. An error is the status that the RPC ends
// with.
func (s *session) accept(targets []string, o *tcpshakerv1.CheckOptions) error {
	decoded, err := s.server.decode(targets, o)
	if err != nil {
		return err
	}
	for _, text := range targets {
		if targetBound(math.MaxUint64, text, decoded) > maxAnswer {
			return errTargetTooLong()
		}
	}
	s.told.targets += uint64(len(targets))
	s.hold(targets, decoded)
	s.feed()
	return s.err
}

// take takes on targets, whatever they are: they are charged for, or the time of the RPC is over.
func (s *session) take(targets []string, o *options) {
	rated := s.view.Rated() && !s.ended
	for i, text := range targets {
		if s.err != nil {
			if rated {
				_, cost := priceRun(targets[i:], o, math.MaxInt)
				s.view.Return(cost)
			}
			return
		}
		t := s.tasks.take(len(targets) - i)
		t.index, t.text, t.options, t.view = s.next, text, o, s.view
		if rated {
			t.charged = price(text, o)
		}
		s.next++
		s.undecided++
		s.begin(t)
	}
	s.submit()
}

// begin brings a target on its way: a literal to start, a name to the lookups, anything else to its answer.
func (s *session) begin(t *task) {
	parsed, err := target.Parse(t.text)
	switch {
	case err != nil:
		s.answer(t, finding{reason: tcpshakerv1.Reason_REASON_INVALID_TARGET, detail: err.Error()})
	case parsed.Name == "" && !hasFamily(parsed.Addr.Addr(), t.options.family):
		s.answer(t, finding{reason: tcpshakerv1.Reason_REASON_INVALID_TARGET, detail: detailFamily})
	case parsed.Name == "":
		s.literal(t, parsed.Addr)
	case s.denied(t, t.view.Name(parsed.Name, parsed.Port)):
	case s.ended:
		s.answer(t, finding{reason: cutOff, detail: detailCutName})
	default:
		t.port = parsed.Port
		if s.names == nil {
			s.names = s.server.names.Request(s.work)
		}
		t.looked = true
		s.names.Lookup(parsed.Name, familyOf(t.options.family), t.place)
	}
}

// literal starts a target that is an address, if it may be probed.
func (s *session) literal(t *task, addr netip.AddrPort) {
	if s.denied(t, t.view.Addr(addr)) {
		return
	}
	only := [1]netip.Addr{addr.Addr()}
	s.start(t, only[:], addr.Port())
}

// denied answers a target that may not be probed, for the reason why, where there is one. Who has rules is not told the reason:
// whatever the target, and whether or not it exists, the answer is the same.
func (s *session) denied(t *task, why error) bool {
	if why == nil {
		return false
	}
	detail := detailDenied
	if t.view.Reveals() {
		detail = why.Error()
	}
	t.view.Denied()
	s.auditDenied(t, why)
	s.answer(t, finding{reason: tcpshakerv1.Reason_REASON_POLICY_DENIED, detail: detail})
	return true
}

// start begins the handshakes of a target whose addresses are known and allowed, unless its destination has been asked too
// often: that too is found before any packet.
func (s *session) start(t *task, addrs []netip.Addr, port uint16) {
	if s.ended {
		s.answer(t, finding{reason: cutOff, detail: detailCut})
		return
	}
	t.setAddresses(addrs, port)
	if t.view.Destined() && !s.spare(t) {
		return
	}
	s.startRound(t)
}

// spare charges a target to the limits of its destinations, and answers it where one is exceeded.
func (s *session) spare(t *task) bool {
	var room [maxAddresses]netip.AddrPort
	addrs := room[:0]
	for i := range t.addresses {
		addrs = append(addrs, t.addresses[i].addr)
	}
	excess, ok := t.view.Destination(s.turn, addrs, t.options.attempts)
	if ok {
		t.destined = true
		return true
	}
	t.addresses = nil // none of them was asked
	t.view.Limited()
	s.answer(t, finding{reason: tcpshakerv1.Reason_REASON_RATE_LIMITED, detail: limitedDetail(excess)})
	return false
}

// answer writes the result of a target, and frees it where nothing of it is under way.
func (s *session) answer(t *task, f finding) {
	s.out.slot(t.index).fill(t, f)
	t.decided = true
	s.undecided--
	s.giveBack(t)
	s.told.count(f.reason)
	s.fail(s.out.written())
	s.release(t)
}

// release frees a target that is decided and has nothing under way.
func (s *session) release(t *task) {
	if t.decided && t.inFlight == 0 {
		s.tasks.put(t)
	}
}

// hasFamily reports whether a literal address, which is never IPv4-mapped, is of the family asked for.
func hasFamily(addr netip.Addr, family tcpshakerv1.IpFamily) bool {
	switch family {
	case tcpshakerv1.IpFamily_IP_FAMILY_IPV4:
		return addr.Is4()
	case tcpshakerv1.IpFamily_IP_FAMILY_IPV6:
		return addr.Is6()
	default:
		return true
	}
}
