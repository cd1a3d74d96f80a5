package controls

// reuseFaults use a socket again that is spent, keep of a socket's last use what is not its next one's, or keep it for ever.
var reuseFaults = []fault{
	{
		name: "reuse after silence",
		is:   "a socket that met silence is used again, and the RST that follows is believed",
		with: []string{"stale reset believed"},
		edits: []edit{{
			"judge_linux.go",
			`s.finish(i, &r, false)`,
			`s.finish(i, &r, fault("reuse after silence") && disconnect(s.table.slots[i].fd) == 0)`,
		}},
		seen: []check{
			{test: "TestOnlyAnAnsweredSocketIsUsedAgain/ipv4", says: "after silence 1 sockets in the pool"},
			{test: "TestServerStillInSYNRECV/reuse/ipv4/timeout", says: "refused, connection refused, silence"},
		},
	},
	{
		name: "closed at once",
		is:   "a socket that nobody answered is closed at once, and its port free for another, whose RST is believed",
		with: []string{"stale reset believed"},
		edits: []edit{
			{"handshake_linux.go", `clock()-x.started >= settling`, `clock()-x.started >= settling || fault("closed at once")`},
			{"handshake_linux.go", `due > clock()`, `due > clock() && !fault("closed at once")`},
		},
		seen: []check{
			{test: "TestServerStillInSYNRECV/fresh/ipv4/short_timeout", says: "second: "},
		},
	},
	{
		name: "reuse after a cancel",
		is:   "a socket whose probe was canceled is used again, and the RST that follows is believed",
		with: []string{"stale reset believed"},
		edits: []edit{{
			"handshake_linux.go",
			`s.gone(i, s.discard)
	}
}`,
			`switch {
		case fault("reuse after a cancel") && disconnect(s.table.slots[i].fd) == 0:
			s.gone(i, s.table.keep)
		case fault("leak after a cancel"):
			s.gone(i, s.table.vacate)
		default:
			s.gone(i, s.discard)
		}
	}
}`,
		}},
		seen: []check{
			{test: "TestOnlyAnAnsweredSocketIsUsedAgain/ipv4", says: "after a cancel 1 sockets in the pool"},
			{test: "TestServerStillInSYNRECV/reuse/ipv4/cancel", says: "refused, connection refused, silence"},
		},
	},
	{
		name: "leak after a cancel",
		is:   "the socket of a canceled probe is not closed",
		seen: []check{
			{test: "TestCancelFreesSocketsAtOnce/fresh/ipv4", says: "files open"},
			{test: "TestCloseAnswersEverything/reuse/ipv4", says: "files open"},
		},
	},
	{
		name: "reuse after ICMP",
		is:   "a socket that an ICMP message reached is used again",
		edits: []edit{{
			"judge_linux.go",
			`r.ICMP, r.Errno = icmp, icmpErrno`,
			`r.ICMP, r.Errno = icmp, icmpErrno
			again = fault("reuse after ICMP") && disconnect(x.fd) == 0
			if fault("sender forgotten") {
				r.ICMP.From = r.Addr.Addr()
			}
			if fault("ICMP by errno") {
				r.Cause = HostUnreachable
			}`,
		}},
		seen: []check{{test: "TestICMPOnTheWire/reuse/ipv4", says: "sockets in the pool"}},
	},
	{
		name: "leak after silence",
		is:   "the socket of a probe that timed out is not closed",
		edits: []edit{{
			"handshake_linux.go",
			`switch answered := r.Outcome == Open || r.Outcome == Refused; {`,
			`switch answered := r.Outcome == Open || r.Outcome == Refused; {
			case fault("leak after silence") && r.Outcome == TimedOut:
				s.gone(i, s.table.vacate)`,
		}},
		seen: []check{
			{test: "TestOutcomes/reuse/ipv4", says: "files open after Close"},
			{test: "TestNothingLeaks/reuse/ipv4", says: " descriptors, "},
		},
	},
	{
		name: "leak at close",
		is:   "idle sockets are left open at the end",
		edits: []edit{{"shard_linux.go", `s.retire()
	s.publish(true)`, `if !fault("leak at close") {
		s.retire()
	}
	s.publish(true)`}},
		seen: []check{{test: "TestNobodyNotices/reuse/ipv4", says: "files open after Close"}},
	},
	{
		name: "never retired",
		is:   "a socket is used again for ever",
		edits: []edit{{"handshake_linux.go", `x.usesLeft--`, `if !fault("never retired") {
			x.usesLeft--
		}`}},
		seen: []check{{test: "TestSocketsAreRetired", says: "1 sockets for "}},
	},
	{
		name: "options of the last use",
		is:   "a result tells the options of the handshakes before as well",
		edits: []edit{{
			"handshake_linux.go",
			`// begin starts a job`,
			`var optionsBefore Options

			// begin starts a job`,
		}, {
			"handshake_linux.go",
			`r.Options = Options(s.info.Options) & allOptions`,
			`r.Options = Options(s.info.Options) & allOptions
			if fault("options of the last use") {
				r.Options |= optionsBefore
				optionsBefore = r.Options
			}`,
		}},
		seen: []check{{test: "TestOptionsAreThoseOfThisHandshake/ipv4", says: "options timestamps, sack, window scaling"}},
	},
	{
		name: "no timestamps no matter",
		is:   "an address that has answered without timestamps is asked from reused sockets",
		edits: []edit{{
			"handshake_linux.go",
			`s.engine.freshOnly.has(j)`,
			`!fault("no timestamps no matter") && s.engine.freshOnly.has(j)`,
		}},
		seen: []check{
			{test: "TestTimeWaitOfRealClients/reuse/ipv4", says: "timed out from "},
		},
	},
	{
		name: "silence forgotten",
		is:   "an address where a reused socket met silence is asked from a reused socket again",
		edits: []edit{{
			"handshake_linux.go",
			`if x.reused && r.Outcome == TimedOut {`,
			`if x.reused && r.Outcome == TimedOut && !fault("silence forgotten") {`,
		}},
		seen: []check{{test: "TestTimeWaitOfRealClients/reuse/ipv4", says: "timed out from "}},
	},
	{
		name: "fresh for ever",
		is:   "an address is asked from fresh sockets although it has timestamps by now",
		edits: []edit{{
			"freshonly.go",
			`cell.CompareAndSwap(print, 0)`,
			`!fault("fresh for ever") && cell.CompareAndSwap(print, 0)`,
		}},
		seen: []check{{test: "TestTimeWaitOfRealClients/reuse/ipv4", says: "probes of a server with timestamps"}},
	},
	{
		name:  "zone sticks",
		is:    "a socket that is bound to the interface of a zone is used again",
		edits: []edit{{"handshake_linux.go", `x.job.scope == 0`, `(fault("zone sticks") || x.job.scope == 0)`}},
		seen:  []check{{test: "TestZoneDoesNotStick/reuse", says: ", want open"}},
	},
}
