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
		edits: []edit{{"turn_linux.go", `case sh.inFlight == 0`, `case fault("no fair share") || sh.inFlight == 0`}},
		seen:  []check{{test: "TestNewcomersAreNotKeptWaiting/reuse/ipv4", says: "one batch holds every place"}},
	},
}
