package controls

// answerFaults make an answer of what is none, or give an answer to the wrong probe, twice, or never.
var answerFaults = []fault{
	{
		name: "no error is open",
		is:   "a socket without an error is called open",
		edits: []edit{{
			"judge_linux.go",
			`case s.info.Bytes_acked > 0:`,
			`case s.info.Bytes_acked > 0 && !fault("RST unsays the SYN-ACK"),
				(fault("no error is open") || fault("naive SO_ERROR")) && errno == 0,
				fault("any SYN is an answer") && s.info.State == tcpSynRecv:`,
		}},
		seen: []check{
			{test: "TestOutcomes/reuse/ipv4", says: "silent: "},
			{test: "TestBareSYNIsNoAnswer/reuse/ipv4", says: "open, want timed out"},
		},
	},
	{
		name: "any SYN is an answer",
		is:   "a SYN of the peer's is taken for a SYN-ACK",
		seen: []check{{test: "TestBareSYNIsNoAnswer/reuse/ipv4", says: "open, want timed out"}},
	},
	{
		name: "RST unsays the SYN-ACK",
		is:   "a port that answers and then resets is not called open",
		seen: []check{{test: "TestRSTAfterSYNACKIsOpen/reuse/ipv4", says: "refused, connection reset by peer, want open"}},
	},
	{
		name: "naive SO_ERROR",
		is:   "an event is open where SO_ERROR is 0 and nothing else is asked; what was answered with an error is used again",
		edits: []edit{
			{"judge_linux.go", `icmp, icmpErrno := s.errors.read(x.fd)`, `icmp, icmpErrno := ICMP{}, errno*0
			if !fault("naive SO_ERROR") {
				icmp, icmpErrno = s.errors.read(x.fd)
			}`},
			{"judge_linux.go", `if !icmp.From.IsValid() {`, `if !icmp.From.IsValid() && !fault("naive SO_ERROR") {`},
			{"judge_linux.go", `r.Cause, r.Event = diedOf(errno, resendFailed(&s.info))`, `r.Cause, r.Event = diedOf(errno, resendFailed(&s.info))
			again = fault("naive SO_ERROR") && disconnect(x.fd) == 0`},
		},
		with: []string{"no last question"},
		seen: []check{{test: "TestICMPOnTheWire/reuse/ipv4", says: "open, want timed out"}},
	},
	{
		name: "event of the last use",
		is:   "a slot starts while an event of its last use is unread, which is open because SO_ERROR is 0",
		edits: []edit{
			{"shard_linux.go", `started, again := s.start()`, `n := 0
			if fault("event of the last use") {
				n = s.poll(0)
			}
			started, again := s.start()`},
			{"shard_linux.go", `n := s.poll(0)`, `if !fault("event of the last use") {
				n = s.poll(0)
			}`},
			{"shard_linux.go", `case answered:`, `case answered, fault("event of the last use") && socketError(x.fd) == 0:`},
		},
		seen: []check{{test: "TestOneAnswer/reuse/ipv4", says: "open after "}},
	},
	{
		name: "self-connect",
		is:   "a probe that was connected to itself is called open",
		with: []string{"crossing ignored"},
		seen: []check{
			{test: "TestSelfConnectIsRefused/reuse/ipv4", says: ": open"},
			{test: "TestSelfConnectIsRefused/reuse/ipv6", says: ": open"},
		},
	},
	{
		name: "crossing ignored",
		is:   "what another probe of ours answered is called open",
		seen: []check{{test: "TestProbesThatMeetAreNoAnswer/reuse/ipv4", says: ": open, want refused"}},
	},
	{
		name: "asked again from beside",
		is:   "a probe is made again from the ports beside the one of the last try",
		edits: []edit{{
			"handshake_linux.go",
			`if j.repeats > 0 {`,
			`if j.repeats > 0 && !fault("asked again from beside") {`,
		}},
		seen: []check{{test: "TestSweepOfHighPorts/reuse/ipv4", says: "local error, local resources"}},
	},
	{
		name: "a knock too few",
		is:   "who has left a port is taken to knock there for ever",
		edits: []edit{{
			"doors.go",
			`door.knocking.Add(-1)`,
			`if !fault("a knock too few") {
				door.knocking.Add(-1)
			}`,
		}},
		seen: []check{{test: "TestNothingLeaks/reuse/ipv4", says: "still knock at port"}},
	},
	{
		name: "doors of the first range",
		is:   "only ports of the range that was in force at the start are looked after",
		edits: []edit{{
			"doors.go",
			`return door.knocking.Load() > 0 || door.left.Load() >= began`,
			`if fault("no doors below 1024") && port < 1024 {
				return true
			}
			return (door.knocking.Load() > 0 || door.left.Load() >= began) && (port >= 32768 || !fault("doors of the first range"))`,
		}},
		seen: []check{{test: "TestPortsMove/fresh/ipv4", says: "no crossing was seen"}},
	},
	{
		name: "no doors below 1024",
		is:   "an answer to a low source port is always doubted",
		seen: []check{{test: "TestPortsBelow1024/reuse/ipv4", says: "local error, local resources"}},
	},
	{
		name: "crossings by address",
		is:   "an answer is doubted only if it came from the address that it was sent to",
		edits: []edit{{
			"handshake_linux.go",
			`if s.engine.doors.crossed(`,
			`if !fault("crossings by address") || r.Source.Addr() == r.Addr.Addr().WithZone("") {
				knocked = s.engine.doors.crossed(r.Source.Port(), x.started)
			}
			if knocked && !fault("crossing ignored") && s.engine.doors.crossed(`,
		}, {
			"handshake_linux.go",
			`if r.Source.Port() == r.Addr.Port()`,
			`knocked := false
			if !fault("self-connect") && r.Source.Port() == r.Addr.Port()`,
		}},
		seen: []check{{test: "TestHairpin/reuse/ipv4", says: ": open from "}},
	},
	{
		name: "equal ports refused",
		is:   "an answer from the port number that it was sent to is taken for our own, whatever the address",
		edits: []edit{{
			"handshake_linux.go",
			`r.Source.Addr() == r.Addr.Addr().WithZone("") {
		// The`,
			`(fault("equal ports refused") || r.Source.Addr() == r.Addr.Addr().WithZone("")) {
		// The`,
		}},
		seen: []check{{test: "TestSourcePortIsTheTargets/fresh/ipv4", says: "refused, connection refused from "}},
	},
	{
		name: "silence after a doubt",
		is:   "a lost SYN of a repeat is the target's silence, though an answer came before",
		edits: []edit{{
			"judge_linux.go",
			`j.lost < mostLostRepeats {`,
			`j.lost < mostLostRepeats && !fault("silence after a doubt") {`,
		}},
		seen: []check{{test: "TestSilenceAfterADoubt/reuse/ipv4", says: "timed out, want open"}},
	},
	{
		name: "asked again from anywhere",
		is:   "a probe is made again from any port, also one that is knocked at",
		edits: []edit{{
			"handshake_linux.go",
			`if !s.engine.doors.quiet(uint16(port)) {`,
			`if !s.engine.doors.quiet(uint16(port)) && !fault("asked again from anywhere") {`,
		}},
		seen: []check{{test: "TestSweepOfHighPorts/reuse/ipv4", says: "local error, local resources"}},
	},
	{
		name: "stale reset believed",
		is:   "an RST that was meant for an earlier handshake is believed",
		edits: []edit{{
			"judge_linux.go",
			`x.job.stale < mostStaleRepeats {`,
			`x.job.stale < mostStaleRepeats && !fault("stale reset believed") {`,
		}},
		seen: []check{
			{test: "TestLostRST/fresh/ipv4", says: "refused, connection refused, want open"},
			{test: "TestSequenceAheadOfTheClock/ipv6", says: "refused, connection refused, want open"},
			{test: "TestRefusalFromTheSamePort/reuse/ipv4", says: "0 refusals were asked again, want 1"},
			{test: "TestLossyServer/fresh/ipv4/ports=1", says: "0 stale resets"},
		},
	},
	{
		name:  "clocks set back",
		is:    "who leaves a port a little earlier, and says so later, hides who left it last",
		edits: []edit{{"doors.go", `if was >= to ||`, `if was >= to && !fault("clocks set back") ||`}},
		seen:  []check{{test: "TestLaterIsNeverEarlier", says: "set back"}},
	},
	{
		name: "asked once",
		is:   "what comes between the reading of a socket's error and of its state is called trouble of ours",
		edits: []edit{{
			"judge_linux.go",
			`late != 0 {`,
			`late != 0 && !fault("asked once") {`,
		}},
		seen: []check{{test: "TestAnswerWhileWeAsk/reuse/ipv4", says: "local error, local resources, kernel gave up, want refused"}},
	},
	{
		name:  "started for nobody",
		is:    "what is added after the context has ended is probed all the same",
		edits: []edit{{"batch.go", `if b.ctx.Err() != nil {`, `if b.ctx.Err() != nil && !fault("started for nobody") {`}},
		seen:  []check{{test: "TestOneAnswer/reuse/ipv4", says: "late:true"}},
	},
	{
		name: "generation ignored",
		is:   "an event of a socket that was replaced is taken for its successor's",
		edits: []edit{{
			"shard_linux.go",
			`case x.generation != t.generation:`,
			`case x.generation != t.generation && !fault("generation ignored"):`,
		}},
		seen: []check{{test: "TestNoStaleEvent", says: "0 stale"}},
	},
	{
		name: "idle event is an end",
		is:   "an event of an idle socket is taken for the end of a flight, and the socket closed while it is in the pool",
		edits: []edit{{
			"shard_linux.go",
			`case x.state != flying:`,
			`case x.state == idle && fault("idle event is an end"):
				s.counters.IdleEvents += s.counters.Done[LocalError] // so that the test goes on until then
				s.discard(int32(t.slot))
			case x.state != flying:`,
		}},
		seen: []check{{test: "TestIdleSocketsSpeakToo", says: "bad file descriptor, want "}},
	},
	{
		name: "lost at cancel",
		is:   "a probe that is canceled has no answer",
		edits: []edit{{
			"batch.go",
			`b.results.put(r)`,
			`lost := fault("lost at close")
			if r.Err != ErrClosed {
				lost = r.Outcome == Canceled && fault("lost at cancel")
			}
			if !lost {
				b.results.put(r)
			}`,
		}},
		seen: []check{
			{test: "TestCancelFreesSocketsAtOnce/reuse/ipv4", says: "0 results of 3000"},
			{test: "TestOneAnswer/reuse/ipv4", says: " answers to "},
		},
	},
	{
		name: "given twice",
		is:   "a probe that is refused is answered twice, and another never",
		edits: []edit{{
			"batch.go",
			`b.open--`,
			`if fault("lost and still owed") && r.Outcome == TimedOut {
				b.open++
			}
			b.open--`,
		}, {
			"shard_linux.go",
			`s.counters.Done[r.Outcome]++`,
			`s.counters.Done[r.Outcome]++
			if fault("given twice") && r.Outcome == Refused {
				r.ID &^= 1
			}`,
		}},
		seen: []check{
			{test: "TestOneAnswer/reuse/ipv4", says: "an answer too many"},
			{test: "TestMixedTruth/fresh", says: "a second answer"},
		},
	},
	{
		name: "lost and still owed",
		is:   "a batch waits for ever for the rest of its answers",
		seen: []check{{test: "TestFullQueueIsSilence/reuse/ipv4", says: "no more results"}},
	},
	{
		name: "lost at close",
		is:   "a probe that is in the engine when it closes has no answer",
		seen: []check{
			{test: "TestCloseAnswersEverything/reuse/ipv4", says: "0 results of 2000"},
			{test: "TestAddWhileClosing/reuse", says: "0 answers to "},
		},
	},
	{
		name: "answered for another",
		is:   "a probe that waits at a cancel or a close is answered twice, and its neighbour never",
		edits: []edit{{
			"shares_linux.go",
			`s.refuse(sh, &j)`,
			`if sh.waiting > 0 && fault("answered for another") {
				j = (*sh.chunks.front())[0]
			}
			s.refuse(sh, &j)`,
		}},
		seen: []check{
			{test: "TestCancelFreesSocketsAtOnce/reuse/ipv4", says: "a second time"},
			{test: "TestCloseAnswersEverything/reuse/ipv4", says: "a second time"},
			{test: "TestOneAnswer/reuse/ipv4", says: "an answer too many"},
		},
	},
	{
		name: "closed before the loops end",
		is:   "Close returns while loops still have sockets to close",
		edits: []edit{
			{"engine.go", `e.loops.Wait()`, `if !fault("closed before the loops end") {
			e.loops.Wait()
		}`},
			{"shard_linux.go", `s.poller.close()`, `if fault("closed before the loops end") {
			stopThread()
		}
		s.poller.close()`},
		},
		seen: []check{{test: "TestCloseAnswersEverything/reuse/ipv4", says: "files open"}},
	},
	{
		name: "goroutine left",
		is:   "an engine leaves a goroutine behind",
		edits: []edit{{"start_linux.go", `e.pace.set(config.Rate)`, `e.pace.set(config.Rate)
		if fault("goroutine left") {
			go func() { select {} }()
		}`}},
		seen: []check{{test: "TestMappedAddressIsItsIPv4/reuse", says: "found unexpected goroutines", afterwards: true}},
	},
	{
		name:  "room not used again",
		is:    "the room for results grows with all that were ever given",
		edits: []edit{{"results.go", `for q.room < n`, `for !fault("room not used again") && q.room < n`}},
		seen:  []check{{test: "TestResultsKeepTheirOrderAndPlace", says: "with never more than 64 owed"}},
	},
	{
		name: "an allocation a probe",
		is:   "each result is copied to the heap",
		edits: []edit{{
			"stats.go",
			`type published struct {`,
			`var onTheHeap *Result

			type published struct {`,
		}, {
			"shard_linux.go",
			`sh.batch.put(r, done)`,
			`if fault("an allocation a probe") {
				onTheHeap = new(Result)
			}
			sh.batch.put(r, done)`,
		}},
		seen: []check{{test: "TestSteadyStateAllocatesNothing/reuse", says: "allocations a probe"}},
	},
}
