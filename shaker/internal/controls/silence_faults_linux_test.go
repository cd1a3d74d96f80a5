package controls

// silenceFaults break the promise itself: that the last ACK stays away, and that the engine says so only where it is true.
var silenceFaults = []fault{
	{
		name: "ack at once",
		is:   "the ACK is not held back",
		edits: []edit{{
			"socket_linux.go",
			`if e == nil && mode == Fresh {`,
			`if e == nil && (fault("ack at once") || fault("some acks at once") && fd%16 == 0) {
				e = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0)
			} else if e == nil && mode == Fresh {`,
		}},
		seen: []check{
			{test: "TestOutcomes/reuse/ipv4", says: "silence broken"},
			{test: "TestNobodyNotices/reuse/ipv4", says: "silence broken"},
			{test: "TestNobodyNotices/fresh/ipv6", says: "silence broken"},
			{test: "TestOnTheWire/reuse/ipv4", says: "silence broken"},
			{test: "TestTheKernelCountsNoConnection/syncookies=1/reuse/ipv4", says: "silence broken"},
		},
	},
	{
		name: "called proven",
		is:   "every silence is called proven",
		edits: []edit{{
			"silence.go",
			`case c.sent > c.resent+1:`,
			`case fault("called proven"):
				return Proven
			case c.sent > c.resent+1:`,
		}},
		seen: []check{
			{test: "TestStallIsNotSilence/reuse/ipv4", says: "silence proven"},
			{test: "TestDuplicateSYNACKBreaksTheSilence/reuse/ipv4", says: "silence proven"},
			{test: "TestSilenceNeedsAllThree", says: "= proven, want broken"},
		},
	},
	{
		name: "ack at once and called proven",
		is:   "the ACK is not held back, and the engine does not know: those who look from outside must see it",
		with: []string{"ack at once", "called proven"},
		seen: []check{
			{test: "TestOutcomes/reuse/ipv4", says: "3 handshakes were noticed"},
			{test: "TestNobodyNotices/reuse/ipv4", says: "5000 of 5000 handshakes were noticed, 0 not proven"},
			{test: "TestOnTheWire/reuse/ipv4", says: "ACK RST]"},
			{test: "TestTheKernelCountsNoConnection/syncookies=1/reuse/ipv4", says: "TcpPassiveOpens +1000, want +0"},
			{test: "TestTheKernelCountsNoConnection/syncookies=2/fresh/ipv6", says: "1000 noticed"},
			{test: "TestListenersOfEveryKind/multipath/reuse/ipv4", says: "200 noticed"},
			{test: "TestListenersOfEveryKind/fast_open/fresh/ipv6", says: "want [SYN SYN-ACK RST]"},
			{test: "TestBlockedAcceptNeverReturns/reuse/ipv4", says: "before the client that connects as usual"},
			{test: "TestMixedTruth/reuse", says: "silences called proven whose ACK was seen"},
			{test: "TestStoppedAtFullLoad/reuse", says: "0 not proven silent"},
		},
	},
	{
		name: "some acks at once",
		is:   "one socket of sixteen does not hold the ACK back, and the engine does not know",
		with: []string{"called proven"},
		seen: []check{
			{test: "TestOneAnswer/reuse/ipv4", says: " noticed"},
			{test: "TestNobodyNotices/fresh/ipv4", says: "of 5000 handshakes were noticed, 0 not proven"},
		},
	},
	{
		name: "stopped loop",
		is:   "a loop stops before it reads its first answers, for longer than the kernel holds an ACK back",
		edits: []edit{{
			"shard_linux.go",
			`for k := range n {`,
			`if fault("stopped loop") && s.table.inFlight > 0 && s.counters.Done[Open] == 0 {
				stopThread()
				s.polled = clock() // a stop that the loop notices is forgiven
			}
			for k := range n {`,
		}},
		seen: []check{{test: "TestOnTheWire/reuse/ipv4", says: "silence broken"}},
	},
	{
		name: "stopped loop and called proven",
		is:   "a loop stops, and calls what was noticed proven",
		with: []string{"stopped loop", "called proven"},
		seen: []check{
			{test: "TestNobodyNotices/reuse/ipv4", says: "handshakes were noticed, 0 not proven"},
		},
	},
	{
		name:  "count alone",
		is:    "silence is judged by the count of segments alone",
		edits: []edit{{"silence.go", `c.sinceAnswer+l.took < ackDue`, `(fault("count alone") || c.sinceAnswer+l.took < ackDue)`}},
		seen: []check{
			{test: "TestStallIsNotSilence/reuse/ipv4", says: "silence proven"},
			{test: "TestSilenceNeedsAllThree", says: "= proven, want unproven"},
		},
	},
	{
		name: "time alone",
		is:   "silence is judged by the time alone",
		edits: []edit{{"silence.go", `return Broken`, `if !fault("time alone") {
			return Broken
		}
		fallthrough`}},
		seen: []check{
			{test: "TestDuplicateSYNACKBreaksTheSilence/reuse/ipv4", says: "silence proven"},
			{test: "TestSilenceNeedsAllThree", says: "want broken"},
		},
	},
	{
		name:  "age of the last segment",
		is:    "the age of the last segment is taken for that of the SYN-ACK",
		edits: []edit{{"silence.go", `c.received <= 1`, `(fault("age of the last segment") || c.received <= 1)`}},
		seen: []check{
			{test: "TestSilenceNeedsAllThree", says: "= proven, want unproven"},
		},
	},
	{
		name:  "drops ignored",
		is:    "a segment that TCP dropped, and may have acknowledged, after the counters were read is no matter",
		edits: []edit{{"silence.go", `!l.dropped`, `(fault("drops ignored") || !l.dropped)`}},
		seen: []check{
			{test: "TestSilenceAgainstTheWire/reuse/ipv4", says: "silence proven: the wire says"},
			{test: "TestSilenceNeedsAllThree", says: "= proven, want unproven"},
		},
	},
	{
		name:  "taken ignored",
		is:    "a segment that TCP took, and may have acknowledged, after the counters were read is no matter",
		edits: []edit{{"silence.go", `!l.stirred`, `(fault("taken ignored") || !l.stirred)`}},
		seen: []check{
			{test: "TestSilenceAgainstTheWire/reuse/ipv6", says: "silence proven: the wire says"},
			{test: "TestSilenceNeedsAllThree", says: "= proven, want unproven"},
		},
	},
	{
		name: "no guard",
		is:   "what a peer sends without our ACK reaches TCP, and may be acknowledged, after the counters were read",
		edits: []edit{
			{"guard_linux.go", `if s.mode == Reuse && of == quiet {`, `if fault("no guard") || s.mode == Reuse && of == quiet {`},
		},
		seen: []check{
			{test: "TestDataBehindTheAnswer/reuse/ipv4/data", says: "silence proven, and we sent [SYN ACK RST]"},
			{test: "TestDataBehindTheAnswer/fresh/ipv6/data", says: "silence proven, and we sent [SYN ACK RST]"},
			{test: "TestDataBehindTheAnswer/fresh/ipv4/data_with_a_gap", says: "silence proven, and we sent [SYN ACK RST]"},
		},
	},
	{
		name:  "exposure ignored",
		is:    "a silence is called proven where the peer may have sent data",
		edits: []edit{{"silence.go", `!l.exposed`, `(fault("exposure ignored") || !l.exposed)`}},
		seen: []check{
			{test: "TestNoGuard/reuse/ipv4/not_deaf", says: "silence proven, want unproven"},
			{test: "TestSilenceNeedsAllThree", says: "= proven, want unproven"},
		},
	},
	{
		name:  "manners forgotten",
		is:    "a target that has sent data without our ACK is believed at the next handshake",
		edits: []edit{{"guard_linux.go", `x.deaf && of != talkative`, `x.deaf && (fault("manners forgotten") || of != talkative)`}},
		seen:  []check{{test: "TestManners/reuse/ipv4", says: "silence proven, and then manner 7; want unproven, 7"}},
	},
	{
		name:  "hidden is quiet",
		is:    "a target whose data a deaf socket did not get counts as quiet",
		edits: []edit{{"guard_linux.go", `	case hidden:`, `	case hidden && !fault("hidden is quiet"):`}},
		seen:  []check{{test: "TestHiddenSegmentsCount/reuse/ipv4", says: "manner 4"}},
	},
	{
		name: "deaf socket",
		is:   "the least hop count of a socket's last use is kept for its next, which no answer reaches",
		edits: []edit{{
			"handshake_linux.go",
			`if !x.deaf || setLeastHopCount`,
			`if !x.deaf || fault("deaf socket") || setLeastHopCount`,
		}},
		seen: []check{{test: "TestNoGuard/reuse/ipv6/deaf", says: "no more results"}},
	},
	{
		name: "resent SYNs as ACKs",
		is:   "a SYN that was sent again counts as an ACK",
		edits: []edit{{"silence.go", `switch {`, `if fault("resent SYNs as ACKs") {
			c.resent = 0
		}
		switch {`}},
		seen: []check{
			{test: "TestRoundTripsAndRetransmits/reuse/ipv4", says: "1 retransmits, silence broken"},
			{test: "TestSilenceNeedsAllThree", says: "= broken, want proven"},
		},
	},
	{
		name: "no linger",
		is:   "a killed prober's sockets end with a FIN",
		edits: []edit{{
			"socket_linux.go",
			`if e == nil && v6 {`,
			`if fault("no linger") {
				e = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
			}
			if e == nil && v6 {`,
		}},
		seen: []check{{test: "TestKilledProberIsNotNoticed/ipv4", says: "handshakes were noticed"}},
	},
}
