package controls

// timeFaults end a probe too early.
var timeFaults = []fault{
	{
		name: "short timeouts",
		is:   "a timeout is cut short by a tenth",
		edits: []edit{{"handshake_linux.go", `s.table.fly(i, sh)`, `s.table.fly(i, sh)
		if fault("short timeouts") {
			j.timeout -= j.timeout / 10
		}`}},
		seen: []check{
			{test: "TestOutcomes/reuse/ipv4", says: "was cut short"},
			{test: "TestAnswersAroundTheDeadline/reuse/ipv4", says: "cut short after"},
			{test: "TestMixedTruth/reuse", says: "the timeout was cut short"},
			{test: "TestWaitingDoesNotCount/reuse/ipv4", says: "timed out, queued "},
		},
	},
	{
		name: "waiting counts",
		is:   "the time in the queue counts against the timeout",
		edits: []edit{{"handshake_linux.go", `s.deadlines.set(i, after(started, j.timeout))`, `if fault("waiting counts") {
			started = j.queued
		}
		s.deadlines.set(i, after(started, j.timeout))`}},
		seen: []check{{test: "TestWaitingDoesNotCount/reuse/ipv4", says: "timed out, queued "}},
	},
	{
		name: "deadlines before answers",
		is:   "a probe expires by the clock of now, with an answer to it unread",
		edits: []edit{
			{"shard_linux.go", `d.at > s.asked`, `d.at > s.asked && !(fault("deadlines before answers") && d.at <= clock())`},
		},
		with: []string{"no last question"},
		seen: []check{
			{test: "TestStoppedLoopIsNotTheTargetsFault/reuse/ipv4", says: "timed out after "},
		},
	},
	{
		name: "no last question",
		is:   "a probe expires without its socket being asked once more",
		edits: []edit{{"judge_linux.go", `if s.judge(i) {
		return`, `if !fault("no last question") && s.judge(i) {
		return`}},
		seen: []check{{test: "TestDeadlineAsksOnceMore/reuse/ipv4", says: "timed out, want "}},
	},
	{
		name:  "no distrust",
		is:    "a loop that was stopped believes its deadlines at once",
		edits: []edit{{"shard_linux.go", `if s.asked < s.distrusted {`, `if !fault("no distrust") && s.asked < s.distrusted {`}},
		seen:  []check{{test: "TestGapPutsDeadlinesOff", says: "expired"}},
	},
	{
		name:  "pace ignored",
		is:    "probes start as fast as they can",
		edits: []edit{{"pace.go", `if p.interval == 0 {`, `if fault("pace ignored") || p.interval == 0 {`}},
		seen:  []check{{test: "TestPaceHolds/reuse", says: "want at least"}, {test: "TestPaceIsSmooth/1000", says: "starts within"}},
	},
	{
		name: "no bound of starts",
		is:   "a turn starts all that waits before it looks for answers",
		edits: []edit{{
			"turn_linux.go", `n < startsPerTurn && now-begun < startTime`,
			`(fault("no bound of starts") || n < startsPerTurn && now-begun < startTime)`,
		}},
		seen:  []check{{test: "TestBudgetUnderLoad/reuse/ipv4", says: "silences broken"}},
		alone: true,
	},
	{
		name:  "restless",
		is:    "a loop with nothing to do looks for it every 10 ms",
		edits: []edit{{"shard_linux.go", `return -1`, `return map[bool]int{false: -1, true: 10}[fault("restless")]`}},
		seen:  []check{{test: "TestIdleCostsNothing/reuse", says: "wakes without anything to do"}},
	},
}
