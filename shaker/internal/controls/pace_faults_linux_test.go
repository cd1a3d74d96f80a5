package controls

// paceFaults start probes at another pace than was asked for.
var paceFaults = []fault{
	{
		name:  "burst of 50 ms",
		is:    "starts may run 50 ms ahead of the pace",
		edits: []edit{{"pace.go", `if due-now > paceBurst {`, `if due-now > paceBurst && !(fault("burst of 50 ms") && due-now <= 50e6) {`}},
		seen: []check{
			{test: "TestPaceOnTheWire/1000/shards=1/reuse", says: "starts more than the rate allows, want"},
			{test: "TestPaceOnTheWire/20000/shards=2/fresh", says: "starts more than the rate allows, want"},
			{test: "TestPaceIsOneForAll/1000", says: "ahead of the pace"},
		},
	},
	{
		name: "torn pace",
		is:   "what two shards are granted at the same time is counted once",
		edits: []edit{{"pace.go", `due := p.next.Load()`, `due := p.next.Load()
		if fault("torn pace") && due-now <= paceBurst {
			for range 1000 { // during which another may be granted the same
				p.next.Load()
			}
			p.next.Store(max(due, now) + p.interval)
			return 0
		}`}},
		seen: []check{{test: "TestPaceIsOneForAll/20000", says: "ahead of the pace"}},
	},
	{
		name:  "pace caught up with",
		is:    "what was not started in time is started faster, up to 20 ms' worth of it",
		edits: []edit{{"pace.go", `max(due, now)+p.interval`, `max(due, now-map[bool]int64{true: 20e6}[fault("pace caught up with") && due != 0])+p.interval`}},
		seen: []check{
			{test: "TestPaceAfterAStop/shards=1/reuse", says: "starts more than the rate allows, want"},
			{test: "TestPaceAfterAStop/shards=2/fresh", says: "starts more than the rate allows, want"},
		},
	},
	{
		name:  "pace per shard",
		is:    "each shard has the pace that is meant for all together",
		edits: []edit{{"turn_linux.go", `s.engine.pace.take(now)`, `s.paceOf(fault("pace per shard")).take(now)`}},
		seen: []check{
			{test: "TestPaceOnTheWire/5000/shards=2/reuse", says: "starts more than the rate allows, want"},
			{test: "TestPaceOnTheWire/20000/shards=2/fresh", says: "starts more than the rate allows, want"},
		},
	},
}
