package controls

// tellingFaults are right about the target and wrong in what they tell of it.
var tellingFaults = []fault{
	{
		name: "least RTT",
		is:   "the round trip is the least that the socket ever had",
		edits: []edit{{
			"handshake_linux.go",
			`r.RTT = time.Duration(s.info.Rtt) * time.Microsecond`,
			`r.RTT = time.Duration(s.info.Rtt) * time.Microsecond
			if fault("least RTT") {
				r.RTT = time.Duration(s.info.Min_rtt) * time.Microsecond
			}`,
		}},
		seen: []check{{test: "TestRoundTripsAndRetransmits/reuse/ipv4", says: ": want "}},
	},
	{
		name: "retransmits of an answer",
		is:   "SYNs that were sent again before an answer are not counted",
		edits: []edit{{
			"handshake_linux.go",
			`s.finish(i, r, again && left`,
			`if fault("retransmits of an answer") {
				r.Retransmits = 0
			}
			s.finish(i, r, again && left`,
		}},
		seen: []check{{test: "TestRoundTripsAndRetransmits/reuse/ipv4", says: ", 0 retransmits"}},
	},
	{
		name: "retransmits of a timeout",
		is:   "SYNs that were sent again in vain are not counted",
		edits: []edit{{
			"judge_linux.go",
			`r.Retransmits = s.info.Total_retrans
	switch {
	case resendFailed`,
			`if fault("retransmits of a timeout") {
				s.info.Retransmits, s.info.Total_retrans = 0, 0
			}
			r.Retransmits = s.info.Total_retrans
	switch {
	case fault("left-over error believed") && s.soft != 0:
		r.Outcome, r.Cause, r.Errno = Unreachable, HostUnreachable, s.soft
	case resendFailed`,
		}},
		seen: []check{{test: "TestRetransmitsAreCounted/reuse/ipv4", says: "timed out, 0 retransmits"}},
	},
	{
		name: "waiting not told",
		is:   "a result does not say how long its probe had waited",
		edits: []edit{{
			"handshake_linux.go",
			`time.Duration(x.started - x.job.queued),`,
			`time.Duration(x.started - max(x.job.queued, map[bool]int64{true: x.started}[fault("waiting not told")])),`,
		}},
		seen: []check{{test: "TestWaitingDoesNotCount/reuse/ipv4", says: "queued 0s"}},
	},
	{
		name: "sleep is a stop",
		is:   "the time that a loop has asked to sleep counts as one that it was stopped, which the other checks forgive",
		edits: []edit{{"shard_linux.go", `away = max(turn, late)`, `if fault("sleep is a stop") {
			late = s.polled - s.asked
		}
		away = max(turn, late)`}},
		seen: []check{{test: "TestLongestTurnIsMeasured", says: "that it was awake"}},
	},
	{
		name: "stops not told",
		is:   "a loop that was stopped does not tell",
		edits: []edit{{"shard_linux.go", `time.Duration(away))`, `time.Duration(away))
		if fault("stops not told") {
			s.counters.LongestTurn = 0
		}`}},
		seen: []check{{test: "TestLongestTurnIsMeasured", says: "it was stopped for"}},
	},
	{
		name: "self-check ignored",
		is:   "sockets are used again on a kernel that does not hold to it",
		edits: []edit{{"start_linux.go", `err := check()`, `err := check()
		if fault("self-check ignored") {
			err = nil
		}`}},
		seen: []check{{test: "TestSelfCheckFallsBack", says: "mode reuse"}},
	},
}
