package controls

// blameFaults hold against the target what is not its doing, or do not tell who said what.
var blameFaults = []fault{
	{
		name: "no source port is silence",
		is:   "a probe that found no source port is called timed out",
		edits: []edit{{
			"handshake_linux.go",
			`r.Outcome, r.Cause, r.Errno = LocalError, refusedToSend(errno), errno`,
			`r.Outcome, r.Cause, r.Errno = LocalError, refusedToSend(errno), errno
			switch {
			case fault("no source port is silence") && errno == eAddrNotAvail:
				r.Outcome, r.Cause = TimedOut, NoCause
			case fault("no descriptor is a refusal") && r.Cause == LocalResources:
				r.Outcome, r.Cause = Refused, NoCause
			case fault("no route is the target's") && r.Cause == NoRoute:
				r.Outcome, r.Cause = Unreachable, NetUnreachable
			}`,
		}},
		seen: []check{{test: "TestExhaustedPortsAreOurTrouble/reuse/ipv4", says: "timed out, cannot assign requested address"}},
	},
	{
		name: "no descriptor is a refusal",
		is:   "a probe that found no descriptor is called refused",
		seen: []check{{test: "TestDescriptorsExhaustedAreOurTrouble/reuse/ipv4", says: "refused, too many open files"}},
	},
	{
		name: "no route is the target's",
		is:   "what connect(2) says at once is read as if the wire had said it",
		seen: []check{{test: "TestRoutesThatLeadNowhere/reuse/ipv4", says: "unreachable, net unreachable"}},
	},
	{
		name: "unknown errno is the target's",
		is:   "a synchronous error that is in no list is not our trouble",
		edits: []edit{{"errno_linux.go", `return LocalResources // EADDRNOTAVAIL`, `if fault("unknown errno is the target's") && errno == unix.EMFILE {
			return HostUnreachable
		}
		return LocalResources // EADDRNOTAVAIL`}},
		seen: []check{
			{test: "TestErrnosAreClassed", says: "host unreachable, want local resources"},
			{test: "TestDescriptorsExhaustedAreOurTrouble/reuse/ipv4", says: "host unreachable"},
		},
	},
	{
		name: "ICMP by errno",
		is:   "an ICMP message is classed by the errno that the kernel makes of it",
		seen: []check{
			{test: "TestICMPOnTheWire/reuse/ipv4", says: "3/13 from "},
			{test: "TestICMPOnTheWire/fresh/ipv6", says: "1/4 from "},
		},
	},
	{
		name: "sender forgotten",
		is:   "an ICMP message is said to come from the target",
		seen: []check{{test: "TestICMPOnTheWire/reuse/ipv4", says: "3/13 from 198.18."}},
	},
	{
		name:  "no IPV6_RECVERR",
		is:    "the kernel is not asked to keep ICMPv6 messages",
		edits: []edit{{"socket_linux.go", `IPV6_V6ONLY, 1); e == nil`, `IPV6_V6ONLY, 1); e == nil && !fault("no IPV6_RECVERR")`}},
		seen:  []check{{test: "TestICMPOnTheWire/reuse/ipv6", says: "icmp "}},
	},
	{
		name:  "own firewall is the target's",
		is:    "an ICMP message of our own firewall is held against the target",
		edits: []edit{{"judge_linux.go", `if !onThisHost`, `if !fault("own firewall is the target's") && !onThisHost`}},
		seen: []check{
			{test: "TestICMPFromOurselves", says: "3/13 from 192.0.2.2, 192.0.2.2 to 198.51.100.9: unreachable"},
			{test: "TestAnotherMachine/reuse/ipv4", says: "our firewall says 13: "},
		},
	},
	{
		name:  "ARP is our firewall",
		is:    "the kernel's word that a neighbour does not answer is taken for our own firewall's",
		edits: []edit{{"judge_linux.go", `!icmp.neighbour() &&`, `(fault("ARP is our firewall") || !icmp.neighbour()) &&`}},
		seen:  []check{{test: "TestICMPFromOurselves", says: "3/1 from 192.0.2.2, 192.0.2.2 to 198.51.100.9: local error"}},
	},
	{
		name: "left-over error believed",
		is:   "an error that an earlier target left in the socket is held against the next one that is silent",
		// (Over IPv6 the kernel keeps it where the next connect(2) clears it, as IPV6_RECVERR is set.)
		seen: []check{{test: "TestErrorsStayBehind/reuse/ipv4", says: "unreachable, host unreachable"}},
	},
	{
		name: "own side not asked",
		is:   "silence is believed without asking whether our own side worked",
		edits: []edit{{"witness_linux.go", `case TimedOut:`, `case TimedOut:
		if fault("own side not asked") {
			return false
		}`}},
		seen: []check{{test: "TestOwnEvents/reuse", says: "address deleted/silent/ipv6: [2001:db8:64:1"}},
	},
	{
		name:  "failed resend is silence",
		is:    "a SYN that could not be sent again counts as one that was not answered",
		edits: []edit{{"judge_linux.go", `uint32(info.Retransmits) > info.Total_retrans`, `uint32(info.Retransmits) > info.Total_retrans && !fault("failed resend is silence")`}},
		seen:  []check{{test: "TestErrnosAfterTheSYN/reuse/ipv4", says: "timed out"}},
	},
	{
		name: "kernel's patience",
		is:   "the kernel gives up when tcp_syn_retries says so",
		edits: []edit{{"socket_linux.go", `if e == nil {
		e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT`, `if e == nil && !fault("kernel's patience") {
		e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT`}},
		seen: []check{{test: "TestPatienceIsTheProbes", says: "kernel gave up"}},
	},
	{
		name:  "no address is no port",
		is:    "a host without an address of the family is said to have no free source port",
		edits: []edit{{"ask_linux.go", `== eAddrNotAvail`, `== eAddrNotAvail && !fault("no address is no port")`}},
		seen:  []check{{test: "TestNoAddressToSendFrom/reuse", says: "local resources, cannot assign requested address"}},
	},
	{
		name: "dead wire is the target's",
		is:   "the kernel's word that a neighbour does not answer is believed without asking whether the link works",
		edits: []edit{{"witness_linux.go", `case Unreachable:`, `case Unreachable:
		if fault("dead wire is the target's") {
			return false
		}`}},
		seen: []check{{test: "TestNeighbourBehindADeadWire/fresh/ipv4", says: "unreachable, host unreachable"}},
	},
}
