package controls

// shareFaults let one take what is another's, or forget who waits.
var shareFaults = []fault{
	{
		name: "no limit at an address",
		is:   "any number may be in flight to one address",
		edits: []edit{{
			"address.go",
			`to.inFlight >= a.limit ||`,
			`!fault("no limit at an address") && to.inFlight >= a.limit ||`,
		}},
		seen: []check{
			{test: "TestHalfThePortsToOneAddress/reuse/ipv4", says: "PortsExhausted:"},
			{test: "FuzzAddresses/seed#0", says: "inFlight:3"},
		},
	},
	{
		name: "waiters forgotten",
		is:   "who waits at an address that had no source port left is not told when there is one",
		edits: []edit{{"address.go", `case full || to.inFlight >= a.limit:`, `case full && fault("waiters forgotten"):
			to.inFlight--
		case full || to.inFlight >= a.limit:`}},
		seen: []check{{test: "FuzzAddresses/seed#1", says: "a place was free and somebody waited"}},
	},
	{
		name:  "full for ever",
		is:    "an address that had no source port left never gets its places back",
		edits: []edit{{"address.go", `to.full = false`, `to.full = full && fault("full for ever")`}},
		seen:  []check{{test: "TestAnAddressRecovers", says: "never more than 1 in flight"}},
	},
	{
		name:  "no fair share",
		is:    "one batch may have everything in flight",
		edits: []edit{{"caller.go", `return inFlight == 0`, `return fault("no fair share") || inFlight == 0`}},
		seen: []check{
			{test: "TestNewcomersAreNotKeptWaiting/reuse/ipv4", says: "one batch holds every place"},
			{test: "TestPartsOfThePlaces", says: "one batch gets"},
		},
	},
	{
		name: "callers not told apart",
		is:   "batches have their turns, whose they are does not matter",
		edits: []edit{{"caller.go", `name := s.batch.caller`, `name := s.batch.caller
	if fault("callers not told apart") {
		name = ""
	}`}},
		seen: []check{
			{test: "TestCallersTakeTurns", says: "starts"},
			{test: "TestCallersInTurn/reuse/ipv4", says: "behind one with a hundred thousand"},
			{test: "TestCallersInTurnAtOneAddress/reuse/ipv4", says: "after waiting"},
		},
	},
	{
		name: "last cancel first",
		is:   "of batches whose contexts have ended, the last is answered first",
		edits: []edit{{"shares_linux.go", `s.ending.push(sh)`, `s.ending.push(sh)
		for n := s.ending.len(); n > 1 && fault("last cancel first"); n-- {
			s.ending.push(s.ending.pop())
		}`}},
		seen: []check{
			{test: "TestCanceledInOrder/shards=1/in_a_row=true/reuse/ipv4", says: "is answered, and"},
			{test: "TestCanceledInOrder/shards=2/in_a_row=false/fresh/ipv6", says: "is answered, and"},
		},
	},
	{
		name:  "cancels as they run",
		is:    "ends of contexts are reported in the order in which their goroutines run",
		edits: []edit{{"cancel.go", `at.who.ctx.Err() != nil`, `at.who.ctx.Err() != nil && !fault("cancels as they run")`}},
		seen: []check{
			{test: "TestTheLastGoroutineRunsFirst", says: "are reported in another order"},
			{test: "TestCanceledInOrder/shards=1/in_a_row=true/reuse/ipv4", says: "is answered, and"},
		},
	},
	{
		name: "all loops woken",
		is:   "the end of a context wakes every loop",
		edits: []edit{{"batch.go", `holders := b.holders`, `holders := b.holders
	for k := range b.engine.shards {
		if fault("all loops woken") {
			holders[k/64] |= 1 << (k % 64)
		}
	}`}},
		seen: []check{{test: "TestCancelWakesWhoHoldsProbes/reuse/ipv4", says: "was woken 1 times; it holds a probe: false"}},
	},
	{
		name:  "canceled on the way",
		is:    "a loop that receives probes after their context has ended does not know that",
		edits: []edit{{"batch.go", `return b.ended`, `return map[bool]error{false: b.ended}[fault("canceled on the way")]`}},
		seen:  []check{{test: "TestCancelMeetsAdd/reuse", says: "no more results"}},
	},
	{
		name: "a share for each shard",
		is:   "opening a batch allocates something for each shard",
		edits: []edit{{"batch.go", `if ctx.Done() != nil {`, `for range e.shards {
		if fault("a share for each shard") {
			onTheHeap = new(Result)
		}
	}
	if ctx.Done() != nil {`}},
		seen: []check{{test: "TestIdleShardsCostNothing/reuse", says: "64 shards: an empty batch makes"}},
	},
	{
		name: "readers left behind",
		is:   "a loop sleeps before those run whom it has woken",
		edits: []edit{{
			"shard_linux.go",
			`sh.told, s.signaled = false, true`,
			`sh.told, s.signaled = false, !fault("readers left behind")`,
		}},
		seen: []check{{test: "TestReadersRunBeforeALoopSleeps/reuse/ipv4", says: "the loop slept"}},
	},
	{
		name: "memory ignored",
		is:   "more probes are in flight than half of tcp_mem's pressure threshold has pages",
		edits: []edit{{
			"bound.go",
			`max(min(b.Asked, b.Descriptors, b.Memory), shards)`,
			`max(min(b.Asked, b.Descriptors, max(b.Memory, map[bool]int{true: b.Asked}[fault("memory ignored")])), shards)`,
		}},
		seen: []check{
			{test: "TestMemoryBounds/reuse/ipv4", says: "8192 in flight at most"},
			{test: "TestBoundOf", says: "in force; want"},
		},
	},
}
